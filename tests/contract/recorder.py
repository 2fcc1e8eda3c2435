"""Keeps what the contract suites measured, for the tables of docs/pointers.md and docs/writers.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import pytest

OPTION = "--capabilities"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--capabilities FILE`` writes what was measured into FILE; kinds that did not run keep what stands there."""
    parser.addoption(OPTION, type=Path, metavar="FILE", help="write the measured capabilities to FILE")


class Place(Protocol):
    """Whose facts they are: a row of a table."""

    @property
    def table(self) -> str:
        """Names the table."""
        ...

    @property
    def kind(self) -> str:
        """The row."""
        ...


class Recorder:
    """Facts by table and kind."""

    def __init__(self) -> None:
        self.facts: dict[str, dict[str, dict[str, Any]]] = {}

    def __call__(self, place: Place, **facts: Any) -> None:
        """Keep facts of a place's kind."""
        self.facts.setdefault(place.table, {}).setdefault(place.kind, {}).update(facts)

    def write(self, path: Path) -> None:
        """Merge into the file."""
        known = json.loads(path.read_text()) if path.exists() else {}
        for table, kinds in self.facts.items():
            for kind, facts in kinds.items():
                known.setdefault(table, {}).setdefault(kind, {}).update(facts)
        path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")

"""Keeps what the contract suite measured, for docs/pointers.md's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.worlds.base import World

OPTION = "--capabilities"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--capabilities FILE`` writes what was measured into FILE; kinds that did not run keep what stands there."""
    parser.addoption(OPTION, type=Path, metavar="FILE", help="write the pointers' measured capabilities to FILE")


class Recorder:
    """Facts by kind."""

    def __init__(self) -> None:
        self.facts: dict[str, dict[str, Any]] = {}

    def __call__(self, world: World, **facts: Any) -> None:
        """Keep facts of a world's kind."""
        self.facts.setdefault(world.kind, {}).update(facts)

    def write(self, path: Path) -> None:
        """Merge into the file."""
        known = json.loads(path.read_text()) if path.exists() else {}
        for kind, facts in self.facts.items():
            known[kind] = {**known.get(kind, {}), **facts}
        path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")

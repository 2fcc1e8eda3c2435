"""The capability table's facts are those that the code declares, and every kind has its row and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from switchover.pointers.move import kinds
from tests.contract.worlds import WORLDS

DOCS = Path(__file__).parents[2] / "docs"
MEASURED = json.loads((DOCS / "capabilities.json").read_text())
FACTS = {"atomic", "compare_and_set", "fencing", "flips", "reads", "followed_p95_ms", "against"}


def test_every_kind_has_a_world() -> None:
    """Chroma's is no kind of its own: it shows a key beside a store without aliases."""
    assert sorted({*WORLDS} - {"chroma"}) == kinds()


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_was_measured_whole(kind: str) -> None:
    assert set(MEASURED[kind]) >= FACTS


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_a_page_that_says_what_a_page_must_say(kind: str) -> None:
    row = next(line for line in (DOCS / "pointers.md").read_text().splitlines() if line.startswith(f"| [`{kind}`]"))
    page = (DOCS / row.split("](")[1].split(")")[0]).read_text().lower()
    for part in ("connection", "rights", "sequence", "what happens", "cannot promise", "reader"):
        assert part in page, f"{kind}: its page lacks {part!r}"

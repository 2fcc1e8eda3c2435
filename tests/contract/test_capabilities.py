"""The capability table's facts are those that the code declares, and every kind has its row and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from switchover.signals import KINDS
from switchover.steps.move import kinds
from switchover.writers import AnyWriter
from tests.contract.encoders import ENCODERS
from tests.contract.signals import WORLDS as SIGNALS
from tests.contract.signals.base import FAULTS, READ
from tests.contract.worlds import WORLDS
from tests.contract.writers import WRITERS

DOCS = Path(__file__).parents[2] / "docs"
CAPABILITIES = json.loads((DOCS / "capabilities.json").read_text())
MEASURED = CAPABILITIES["pointers"]
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
    for part in ("connection", "rights", "sequence", "what happens", "cannot promise", "reader", "**tested against"):
        assert part in page, f"{kind}: its page lacks {part!r}"
    rights = page.split("**rights", 1)[1].split("**sequence", 1)[0]
    assert rights.count("```") >= 2, f"{kind}: its page has no rights to copy"


WRITER_KINDS = sorted(get_args(spec.model_fields["kind"].annotation)[0] for spec in get_args(get_args(AnyWriter)[0]))


def test_every_kind_of_writer_has_a_world() -> None:
    assert sorted(WRITERS) == WRITER_KINDS


@pytest.mark.parametrize("kind", WRITER_KINDS)
def test_every_kind_of_writer_was_measured(kind: str) -> None:
    assert set(CAPABILITIES["writers"][kind]) >= {"proof", "against", "foreign_change_seen"}


@pytest.mark.parametrize("kind", WRITER_KINDS)
def test_every_kind_of_writer_has_a_section_that_says_what_it_must(kind: str) -> None:
    sections = (DOCS / "writers.md").read_text().split("\n## ")
    section = next(text for text in sections if text.splitlines()[0] == kind)
    for part in (f"kind: {kind}", "**Connection.**", "**Rights.**", "**Proof**", "**Cannot promise.**"):
        assert part in section, f"{kind}: its section lacks {part!r}"


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_kind_of_encoder_was_measured_and_has_an_example(kind: str) -> None:
    assert set(CAPABILITIES["encoders"][kind]) >= {"exact", "known_by", "long_text", "against"}
    assert f"kind: {kind}" in (DOCS / "encoders.md").read_text()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_signals_was_measured_and_has_its_section(kind: str) -> None:
    facts = CAPABILITIES["signals"][kind]
    missing = {*FAULTS, *READ} - set(facts) - set(SIGNALS[kind].not_here)
    assert missing == set()
    assert facts["not_here"] == SIGNALS[kind].not_here
    assert f"\n## {kind}\n" in (DOCS / "signals.md").read_text()

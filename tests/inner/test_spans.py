"""Offsets in another unit, behind the document, or far too wide are named, never measured."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.spec import Probes
from switchover.edge.answers import Hit, Offsets, Reply
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.goldset import load_gold
from switchover.gold.spans import UNITS, find_text, in_characters, offset_fault

TEXTS = {
    "emoji": "\U0001f600\U0001f4a1 Release notes \U0001f680\U0001f680\U0001f680. " * 3
    + "The alias is moved by one request. " + "More text follows here. " * 5,
    "German": "Größere Änderungen an Übersetzungen für die Straße. " * 4
    + "Der Alias zeigt auf genau einen Index. " + "Weiterer Text folgt. " * 5,
    "Chinese": "别名总是指向唯一的索引。" * 5 + "切换只需要一个请求。" + "后面还有更多的文字。" * 5,
    "beyond the BMP": "\U00020bb7野家\U00020bb7野家で" * 6 + "牛丼を食べる。" + "続きます。" * 6,
    "ASCII": "Nothing else. " * 9 + "The alias is moved by one request. " + "More text follows here. " * 9,
}  # fmt: skip
QUOTES = {
    "emoji": "The alias is moved by one request.",
    "German": "Der Alias zeigt auf genau einen Index.",
    "Chinese": "切换只需要一个请求。",
    "beyond the BMP": "牛丼を食べる。",
    "ASCII": "The alias is moved by one request.",
}
COUNTS: dict[Offsets, Any] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le")) // 2,
    "bytes": lambda text: len(text.encode()),
}


def hit(doc: str, unit: Offsets, **changes: Any) -> dict[str, Any]:
    start = TEXTS[doc].find(QUOTES[doc])
    ends = (start, start + len(QUOTES[doc]))
    first, last = (COUNTS[unit](TEXTS[doc][:end]) for end in ends)
    return {"doc": doc, "start": first, "end": last, "text": QUOTES[doc], **changes}


def fault_of(found: dict[str, Any], unit: Offsets = "characters") -> str | None:
    return offset_fault(TEXTS[found["doc"]], found["start"], found["end"], found["text"], unit)


@pytest.mark.parametrize("doc", TEXTS)
@pytest.mark.parametrize("unit", COUNTS)
@pytest.mark.parametrize("said", COUNTS)
def test_a_unit_that_is_not_the_one_that_is_said_is_named(doc: str, unit: Offsets, said: Offsets) -> None:
    fault = fault_of(hit(doc, unit), said)
    if hit(doc, unit) == hit(doc, said):
        assert fault is None
    else:
        assert fault is not None
        fitting = [each for each in COUNTS if hit(doc, each) == hit(doc, unit)]
        assert fault in [f"counts {UNITS[each][0]}; say `answer.offsets: {each}`" for each in fitting]


@pytest.mark.parametrize("doc", TEXTS)
@pytest.mark.parametrize("unit", COUNTS)
def test_offsets_of_any_unit_become_characters(doc: str, unit: Offsets) -> None:
    found = hit(doc, unit)
    start, end = (in_characters(TEXTS[doc], found[name], unit) for name in ("start", "end"))
    assert TEXTS[doc][start:end] == QUOTES[doc]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"start": 0, "end": 10_000}, "ends behind the document, which has "),
        ({"start": 0, "end": 10_000, "text": ""}, "ends behind the document"),
        ({"start": 0, "end": len(TEXTS["ASCII"])}, "characters for a text of 34; allowed: the place of that text"),
    ],
)
def test_a_span_that_covers_everything_is_named(changes: dict[str, Any], fault: str) -> None:
    found = fault_of(hit("ASCII", "characters", **changes))
    assert found is not None
    assert fault in found


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "# Heading\n\n" + QUOTES["German"]},
        {"text": QUOTES["German"].replace(" ", "\n  ")},
        {"text": "<p>Der Alias zeigt auf einen Index</p>"},
        {"text": ""},
    ],
)
def test_a_text_that_was_cleaned_or_has_a_heading_is_no_fault(changes: dict[str, Any]) -> None:
    assert fault_of(hit("German", "characters", **changes)) is None


@pytest.mark.parametrize("doc", TEXTS)
@pytest.mark.parametrize(
    "changed",
    [
        str,
        str.upper,
        lambda text: text.replace(" ", "\n  "),
        lambda text: f"A heading\n{text}",
        lambda text: f"## {text}",
    ],
    ids=["exact", "upper case", "white space", "a heading", "marks"],
)
def test_a_text_without_offsets_is_found_in_the_corpus(doc: str, changed: Any) -> None:
    text = changed(QUOTES[doc])
    if len([each for each in QUOTES[doc] if each.isalnum()]) < 12 and text != QUOTES[doc]:
        assert find_text(text, TEXTS) is None, "too short for a search that is not exact"
        return
    found = find_text(text, TEXTS, doc=doc)
    assert found is not None
    name, start, end = found
    assert name == doc and TEXTS[doc][start:end].rstrip(".。") == QUOTES[doc].rstrip(".。")


def test_a_text_that_is_nowhere_is_not_found_in_some_place() -> None:
    for text in ("", "   ", "Nothing of this stands anywhere at all.", "..."):
        assert find_text(text, TEXTS) is None
    assert find_text(QUOTES["German"], TEXTS, doc="ASCII") is None
    assert find_text(QUOTES["German"], TEXTS, doc="not there") is None


@pytest.mark.parametrize("said", COUNTS)
@pytest.mark.parametrize("unit", COUNTS)
def test_such_a_probe_has_failed_in_words_and_its_coverage_is_not_believed(
    tmp_path: Path, unit: Offsets, said: Offsets
) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(
        '{"id": "q", "question": "?", "paraphrases": ["a", "b", "c"],'
        f' "answers": [{{"doc": "Chinese", "quote": "{QUOTES["Chinese"]}"}}]}}'
    )
    encoder = WordLlamaEncoder(dimension=8)
    gold = load_gold(path, corpus=lambda docs: TEXTS, encoder=encoder, minimum=1)
    reply = Reply(status=200, cited="s", hits=[Hit(**hit("Chinese", unit))], offsets=said)
    asked = [Asked(arm="green", question=0, paraphrase=0, seed=0, reply=reply, at=datetime.now(timezone.utc))]
    round = Round(phase="warm", tick=0, seeds=[0])
    (row,) = evidence_rows(asked, round, gold=gold, encoder=encoder, probes=Probes())
    if hit("Chinese", unit) == hit("Chinese", said):
        assert (row.coverage, row.error) == (1.0, None)
    else:
        assert row.coverage == 0
        assert (row.error or "").startswith("not measured: hit 1 in 'Chinese', span ")
        assert ("bytes" if unit == "bytes" else "characters") in (row.error or "").rpartition("; ")[2]

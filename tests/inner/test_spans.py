"""Offsets in another unit, behind the document, or far too wide are named, never measured."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.spec import Probes
from switchover.edge.answers import Reply
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.goldset import load_gold
from switchover.gold.spans import span_fault

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
COUNTS = {
    "characters": len,
    "UTF-16 units": lambda text: len(text.encode("utf-16-le")) // 2,
    "UTF-8 bytes": lambda text: len(text.encode()),
}


def hit(doc: str, unit: str, **changes: Any) -> dict[str, Any]:
    start = TEXTS[doc].find(QUOTES[doc])
    ends = (start, start + len(QUOTES[doc]))
    first, last = (COUNTS[unit](TEXTS[doc][:end]) for end in ends)
    return {"doc": doc, "start": first, "end": last, "text": QUOTES[doc], "tokens": 9, **changes}


@pytest.mark.parametrize("doc", TEXTS)
@pytest.mark.parametrize("unit", COUNTS)
def test_a_unit_that_is_not_characters_is_named(doc: str, unit: str) -> None:
    fault = span_fault([hit(doc, unit)], TEXTS)
    same = hit(doc, unit) == hit(doc, "characters")
    if same:
        assert fault is None
    else:
        assert fault is not None
        assert f"counts {unit}; allowed: characters" in fault


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"start": 0, "end": 10_000}, "ends behind the document, which has "),
        ({"start": 0, "end": 10_000, "text": ""}, "ends behind the document"),
        ({"start": 0, "end": len(TEXTS["ASCII"])}, "characters for a text of 34; allowed: the place of that text"),
    ],
)
def test_a_span_that_covers_everything_is_named(changes: dict[str, Any], fault: str) -> None:
    found = span_fault([{"doc": "elsewhere", "start": 0, "end": 10**9}, hit("ASCII", "characters", **changes)], TEXTS)
    assert found is not None
    assert found.startswith(f"hit 2 in 'ASCII', span 0..{changes['end']}: ")
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
    assert span_fault([hit("German", "characters", **changes)], TEXTS) is None


@pytest.mark.parametrize("unit", COUNTS)
def test_such_a_probe_has_failed_in_words_and_its_coverage_is_not_believed(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(
        '{"id": "q", "question": "?", "paraphrases": ["a", "b", "c"],'
        f' "answers": [{{"doc": "Chinese", "quote": "{QUOTES["Chinese"]}"}}]}}'
    )
    encoder = WordLlamaEncoder(dimension=8)
    gold = load_gold(path, corpus=lambda docs: TEXTS, encoder=encoder, minimum=1)
    reply = Reply(status=200, arm="green", index_hash="h", cited="s", hits=[hit("Chinese", unit)])
    asked = [Asked(arm="green", question=0, paraphrase=0, seed=0, reply=reply, at=datetime.now(timezone.utc))]
    round = Round(phase="warm", tick=0, seeds=[0])
    (row,) = evidence_rows(asked, round, gold=gold, encoder=encoder, probes=Probes())
    if hit("Chinese", unit) == hit("Chinese", "characters"):
        assert (row.coverage, row.error) == (1.0, None)
    else:
        assert row.coverage == 0
        assert row.error.startswith("not measured: hit 1 in 'Chinese', span ")
        assert unit in row.error

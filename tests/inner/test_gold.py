"""The gold set: quotes become offsets, and what does not resolve is named and left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from switchover.encoder import WordLlamaEncoder
from switchover.errors import GoldError
from switchover.gold import Corpus, GoldSet, load_gold

TEXT = "A lambda expression yields a function object. It cannot contain statements."


def item(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"q{number}",
        "question": "What does lambda yield?",
        "paraphrases": ["one", "two", "three"],
        "answers": [{"doc": "lambda", "quote": "a function object"}],
        **changes,
    }


def corpus(docs: Sequence[str]) -> Corpus:
    return {"lambda": TEXT}


def load(path: Path, items: Sequence[Any], minimum: int = 1) -> GoldSet:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in items]
    path.write_text("\n".join(lines) + "\n")
    return load_gold(path, corpus=corpus, encoder=WordLlamaEncoder(), minimum=minimum)


def test_a_quote_becomes_offsets_and_tokens(tmp_path: Path) -> None:
    gold = load(tmp_path / "g.jsonl", [item(1)])
    (span,) = gold.spans[0]
    assert TEXT[span.start : span.end] == "a function object"
    assert gold.anchors == ["a function object"]
    tokens = [TEXT[s:e] for s, e in zip(gold.token_start, gold.token_end, strict=True)]
    assert tokens == ["a", "function", "object"]
    assert len(gold.digest) == 64


def test_offsets_are_taken_as_they_are(tmp_path: Path) -> None:
    gold = load(tmp_path / "g.jsonl", [item(1, answers=[{"doc": "lambda", "start": 2, "end": 8}])])
    assert gold.anchors == ["lambda"]


def test_overlapping_answers_count_each_token_once(tmp_path: Path) -> None:
    answers = [{"doc": "lambda", "quote": "a function object"}, {"doc": "lambda", "quote": "function object. It"}]
    gold = load(tmp_path / "g.jsonl", [item(1, answers=answers)])
    starts = gold.token_start.tolist()
    assert len(starts) == len(set(starts))


def test_what_does_not_resolve_is_named_and_left_out(tmp_path: Path) -> None:
    gone = item(2, answers=[{"doc": "lambda", "quote": "no such words"}])
    away = item(3, answers=[{"doc": "elsewhere", "quote": "x"}])
    gold = load(tmp_path / "g.jsonl", [item(1), gone, away])
    assert gold.ids == ["q1"]
    assert gold.invalid == {
        "q2": "quote 'no such words' does not stand in 'lambda'",
        "q3": "document 'elsewhere' is not in the corpus",
    }


def test_fewer_valid_questions_than_the_minimum_fail(tmp_path: Path) -> None:
    items = [item(number) for number in range(19)] + [item(99, answers=[{"doc": "lambda", "quote": "gone"}])]
    with pytest.raises(GoldError, match="19 valid .* at least 20 are needed; 1 invalid; .* q99: quote"):
        load(tmp_path / "g.jsonl", items, minimum=20)


def test_an_unanswerable_item_has_no_span(tmp_path: Path) -> None:
    gold = load(tmp_path / "g.jsonl", [item(1), item(2, answerable=False, answers=[])])
    assert [len(spans) for spans in gold.spans] == [1, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "g.jsonl:2: not JSON"),
        (item(1), "g.jsonl:2: id 'q1' is given twice; first on line 1"),
        (item(2, paraphrases=["a", "b"]), "g.jsonl:2: paraphrases: List should have at least 3 items"),
        (item(2, paraphrases=["a", "a", "b"]), "g.jsonl:2: item: Value error, the three paraphrases must differ"),
        (item(2, answers=[]), "an answerable item needs at least one answer"),
        (item(2, answers=[{"doc": "lambda"}]), "give either quote, or start and end"),
        (item(2, answers=[{"doc": "lambda", "start": 5, "end": 3}]), "end 3 is not after start 5"),
        (item(2, answer="x"), "g.jsonl:2: answer: Extra inputs are not permitted"),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(GoldError) as raised:
        load(tmp_path / "g.jsonl", [item(1), line])
    assert message in str(raised.value)


def test_a_span_out_of_range_is_invalid(tmp_path: Path) -> None:
    gold = load(tmp_path / "g.jsonl", [item(1), item(2, answers=[{"doc": "lambda", "start": 0, "end": 999}])])
    assert "out of range" in gold.invalid["q2"]


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(GoldError, match="cannot be read"):
        load_gold(tmp_path / "none.jsonl", corpus=corpus, encoder=WordLlamaEncoder())
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "\xe9"}')
    with pytest.raises(GoldError, match="not UTF-8 at byte 8"):
        load_gold(tmp_path / "latin.jsonl", corpus=corpus, encoder=WordLlamaEncoder())
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(GoldError, match="no items"):
        load_gold(tmp_path / "empty.jsonl", corpus=corpus, encoder=WordLlamaEncoder())

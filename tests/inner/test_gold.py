"""The gold set: quotes become offsets, and what does not resolve is named and left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import GoldError
from switchover.gold.goldset import Corpus, GoldSet, check_gold, load_gold

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
        "q2": "answer 1: quote of 13 characters does not stand in 'lambda'",
        "q3": "answer 1: document 'elsewhere' is not in the corpus",
    }


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            {"quote": "a"},
            "answer 1: quote of 1 characters stands more than once in 'lambda', from character 3, 7, 27, 50, 60, ...; ",
        ),
        ({"quote": "nnn"}, "does not stand"),
        ({"start": 8, "end": 9}, "answer 1: span 8..9 of 'lambda' holds no text"),
    ],
)
def test_an_answer_is_one_place_that_holds_text(tmp_path: Path, answer: dict[str, Any], why: str) -> None:
    gold = load(tmp_path / "g.jsonl", [item(1), item(2, answers=[{"doc": "lambda", **answer}])])
    assert why in gold.invalid["q2"]


def test_a_quote_that_overlaps_itself_stands_more_than_once(tmp_path: Path) -> None:
    text = "the answer is 1212121 here"
    path = tmp_path / "g.jsonl"
    path.write_text(json.dumps(item(1, answers=[{"doc": "d", "quote": "12121"}])))
    with pytest.raises(GoldError, match="more than once in 'd', from character 14, 16; allowed: once"):
        load_gold(path, corpus=lambda docs: {"d": text}, encoder=WordLlamaEncoder(), minimum=1)


def test_fewer_valid_questions_than_the_minimum_fail(tmp_path: Path) -> None:
    items = [item(number) for number in range(19)] + [item(99, answers=[{"doc": "lambda", "quote": "gone"}])]
    with pytest.raises(GoldError, match="19 valid .* at least 20 are needed; 1 invalid; .* q99: answer 1: quote"):
        load(tmp_path / "g.jsonl", items, minimum=20)


def test_an_unanswerable_item_has_no_span(tmp_path: Path) -> None:
    gold = load(tmp_path / "g.jsonl", [item(1), item(2, answerable=False, answers=[])])
    assert [len(spans) for spans in gold.spans] == [1, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "g.jsonl:2: not JSON"),
        (item(1), "g.jsonl:2: id 'q1' is given twice; first on line 1"),
        (item(2, paraphrases=["a", "b", "c", "d"]), "g.jsonl:2: paraphrases: List should have at most 3 items"),
        (item(2, paraphrases=["a", "a", "b"]), "g.jsonl:2: item: the paraphrases must differ"),
        (item(2, answers=[{"text": "a", "id": "b"}]), "give one of doc (with a quote, or start and end), text, id"),
        (item(2, answers=[{"text": "a", "grade": 2}]), "grade belongs to an id"),
        (item(2, answers=[{"text": "a", "quote": "b"}]), "quote, start and end need doc"),
        (item(2, answers=[{"id": "a", "grade": 0}]), "answers.0.grade: Input should be greater than or equal to 1"),
        (item(2, answers=[{"id": "a"}, {"id": "a"}]), "an id is judged twice"),
        (item(2, origin="robot"), "origin: Input should be 'people', 'logs', 'generated and reviewed' or"),
        (item(2, origin="generated"), "g.jsonl:2: origin 'generated': nobody has reviewed"),
        (item(2, paraphrases=["A  b", "a b", "c"]), "must differ, by more than white space and case"),
        (item(2, paraphrases=["caf\u00e9", "cafe\u0301", "c"]), "must differ"),
        (item(2, answers=[{"doc": "lambda", "quote": " "}]), "answers.0.quote: holds no text"),
        (item(2, question="a\x00b"), "question: holds a NUL character"),
        ('{"id": "a", "id": "b"}', "g.jsonl:2: a key is given twice"),
        (item(2, id="q1 "), "id: begins or ends with white space"),
        (item(2, answers=[]), "an answerable item needs at least one answer"),
        (item(2, answers=[{"doc": "lambda"}]), "give either quote, or start and end"),
        (item(2, answers=[{"doc": "lambda", "start": 5, "end": 3}]), "end 3 is not after start 5"),
        (
            item(2, answer="x"),
            "g.jsonl:2: item: found a key that is unknown, perhaps `answers`; allowed: id, question, ",
        ),
    ],
)
def test_bad_lines_name_file_and_line(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(GoldError) as raised:
        load(tmp_path / "g.jsonl", [item(1), line])
    assert message in str(raised.value)


def test_an_error_says_where_and_never_what_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    objects = [["hunter2"], {"id": ["hunter2"]}, item(1, answers="hunter2"), item(1, password="hunter2")]
    objects += [item(1, hunter2=1), item(1, answers=[{"hunter2": 1}]), item(1, tags={"hunter2": "a\x00"})]
    for text in ("root:hunter2:0:0::/root:/bin/sh", *map(json.dumps, objects)):
        path.write_text(text)
        (told,) = check_gold(path).problems
        assert told.startswith(f"{path}:1: ")
        assert "hunter2" not in told


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

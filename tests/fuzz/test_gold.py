"""Gold sets and the files that they are made from, mutilated at random: each is read, or refused in one sentence.

The sentence never holds what stood in the file. ``FUZZ=25000`` for the long mode.
"""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import SwitchoverError
from switchover.gold.bring import bring
from switchover.gold.corpus.file import FileDocuments
from switchover.gold.export import export_gold, write_gold
from switchover.gold.formats.beir import BeirFormat
from switchover.gold.goldset import check_gold, load_gold
from switchover.gold.jsonl import storable

COUNT = int(os.environ.get("FUZZ", "1000"))
SECRET = "hunter2"
TEXTS = {"d1": f"The {SECRET} alias is moved by one request. Nothing else is.", "d2": "x" * 5_000, "e": "", "n": "  "}
GOOD: dict[str, Any] = {
    "id": "q1",
    "question": f"who {SECRET}?",
    "paraphrases": [f"a {SECRET}", "b", "c"],
    "answers": [{"doc": "d1", "quote": "one request"}, {"doc": "d2", "start": 0, "end": 3}],
    "decoys": ["d2"],
    "tags": {"topic": "t"},
}
EVIL: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", " ", "\x00", "\ud800"),
    *(
        SECRET,
        [SECRET],
        {SECRET: SECRET},
        "a" * 200,
        "a" * 10_000,
        "\u202e",
        "\u2028",
        "\n",
        "\r",
        '"',
        "e",
        "n",
        "q1 ",
        "é",
        "é",
    ),
    *([], {}, [[]], [None] * 3, ["a", "a", "a"], ["a", "A", "a "], list(range(500)), {"a": {"b": 1}}),
    *({"doc": "e", "quote": ""}, {"doc": "n", "quote": " "}, {"doc": "d1", "quote": "i"}),
    *({"doc": "e", "start": 0, "end": 1}, {"doc": "d1", "start": 0, "end": 10**30}, {"doc": "n", "start": 0, "end": 2}),
]
RAW = [
    *("", "{", "[", "null", "NaN", "-Infinity", "1e999", "{}", "[]", '"x"', "1" * 5_000, '{"id": ' + "1" * 5_000 + "}"),
    *("[" * 2_000 + "]" * 2_000, '{"a":' * 2_000 + "1" + "}" * 2_000, "[" * 100_000, '{"id": "a", "id": "b"}'),
    *('{"id": "\\ud800"}', '{"id": "\\u0000"}', "\ufeff{}", "{}\r", "{} {}", f"root:{SECRET}:0:0::/root:/bin/sh"),
    *("a\tb", "q1 0 d1", "q1\t0\td1\t1", "query-id\tcorpus-id\tscore", "q1\td1\t" + "9" * 5_000, "q1 0 d1 ١"),
]


def mutilated(rng: random.Random, good: dict[str, Any]) -> bytes:
    if rng.random() < 0.08:
        return rng.choice(RAW).encode("utf-8", "surrogatepass")
    body = copy.deepcopy(good)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 4])):
        key = rng.choice([*body, "answerable", "more"])
        value = body.get(key)
        if rng.random() < 0.3 and isinstance(value, list) and value:
            value[rng.randrange(len(value))] = copy.deepcopy(rng.choice(EVIL))
        elif rng.random() < 0.2:
            body.pop(key, None)
        else:
            body[key] = copy.deepcopy(rng.choice(EVIL))
    raw = bytearray(json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass"))
    if rng.random() < 0.1:
        at = rng.randrange(len(raw) + 1)
        raw[at:at] = rng.choice([b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc2\x85", b"\n", b"\r", b"}", b'"', b"\\u0000"])
    return bytes(raw)


def a_file(rng: random.Random, path: Path, good: dict[str, Any]) -> Path:
    lines = [mutilated(rng, {**good, next(iter(good)): f"q{number}"}) for number in range(rng.choice([0, 1, 1, 2, 4]))]
    mark = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\x00"]) if rng.random() < 0.05 else b""
    path.write_bytes(mark + rng.choice([b"\n", b"\n", b"\r\n", b"\r"]).join(lines))
    return path


def qrels(rng: random.Random, path: Path) -> Path:
    rows = [(f"q{number}", rng.choice(["d1", "d2"]), rng.choice(["1", "1", "2", "0"])) for number in range(4)]
    if rng.random() < 0.4:
        rows.append((f"q{rng.randrange(5)}", rng.choice([*TEXTS, "zz"]), rng.choice(["0", "1", "x", "1_0"])))
    if rng.random() < 0.5:
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(row) for row in rows)]
    else:
        lines = [f"{query} 0 {doc} {score}" for query, doc, score in rows]
    if rng.random() < 0.2:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(RAW))
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    return path


def said(text: str) -> None:
    """One line that can be printed and stored, and gives nothing away."""
    assert storable(text) and "\n" not in text
    text.encode()
    assert SECRET not in text


def test_a_mutilated_gold_set_is_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    rng, encoder = random.Random(1), WordLlamaEncoder(dimension=8)
    good = refused = 0
    for _ in range(COUNT):
        path = a_file(rng, tmp_path / "g", GOOD)
        try:
            found = check_gold(path, corpus=lambda docs: {d: TEXTS[d] for d in docs if d in TEXTS}, minimum=1)
            for problem in found.problems:
                said(problem)
            gold = load_gold(path, corpus=lambda docs: TEXTS, encoder=encoder, minimum=1)
            good += 1
            json.dumps([item.model_dump() for item in gold.items], ensure_ascii=False).encode()
            for why in gold.invalid.values():
                said(why)
        except SwitchoverError as error:
            refused += 1
            said(str(error))
    assert good > COUNT / 20 and refused > COUNT / 5, "the mutations do not try both ways"


def test_mutilated_queries_and_judgments_are_imported_or_refused_in_one_sentence(tmp_path: Path) -> None:
    rng = random.Random(2)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": id, "text": text}) + "\n" for id, text in TEXTS.items()))
    good = refused = 0
    for number in range(COUNT):
        ours = {"paraphrases": ["a", "b", "c"], "tags": {}, "answerable": True, "decoys": []}
        queries = a_file(rng, tmp_path / "q", {"_id": "q", "text": SECRET, "metadata": {"switchover": ours}})
        given = a_file(rng, tmp_path / "p", {"_id": "q", "paraphrases": ["a", "b", "c"]})
        try:
            found = bring(
                queries,
                format=BeirFormat(qrels=str(qrels(rng, tmp_path / "r"))),
                documents=FileDocuments(corpus, doc="_id", text="text"),
                paraphrases=given if rng.random() < 0.5 else None,
            )
            write_gold(found.items, tmp_path / f"out{number}")
            assert check_gold(tmp_path / f"out{number}").problems == []
            good += 1
        except SwitchoverError as error:
            refused += 1
            said(str(error))
    assert good > COUNT / 50 and refused > COUNT / 5, "the mutations do not try both ways"


def test_what_can_be_read_can_be_exported_or_is_refused(tmp_path: Path) -> None:
    rng = random.Random(3)
    for number in range(COUNT // 10):
        path = a_file(rng, tmp_path / "g", GOOD)
        try:
            export_gold(check_gold(path), path, tmp_path / f"out{number}")
        except SwitchoverError as error:
            said(str(error))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\n" * 100_000 + b"{}", "more than 100000 lines"),
        (b'{"id": "' + b"x" * 2**20 + b'"}', "a line of more than 1 MiB"),
        (b" " * (64 * 2**20 + 1), "more than 64 MiB"),
        (b"[" * 1_000_000, "too deep"),
        (b"{" + b'"a":{' * 100_000, "too deep"),
    ],
)
def test_a_gold_set_has_bounds(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "g"
    path.write_bytes(raw)
    try:
        told = " ".join(check_gold(path).problems)
    except SwitchoverError as error:
        told = str(error)
    assert message in told

"""Answers of arms and readers, mutilated at random: each is a reply, a report, or one sentence, and can be stored.

``FUZZ=25000`` for the long mode.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
from datetime import datetime, timezone
from typing import Any

import pytest

from switchover.arms.complete import Completer
from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Probes
from switchover.edge.answers import Reply
from switchover.edge.body import BadAnswer, parse_json
from switchover.edge.fields import UNSTORABLE
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.goldset import GoldSet, load_gold
from tests.hostile import GOOD, REPORT
from tests.inner.shapes import recorded

STREAMS = ("openai_stream", "ndjson")
COUNT = int(os.environ.get("FUZZ", "2000"))
EVIL: list[Any] = [
    *(
        None,
        True,
        False,
        "",
        "x",
        "\x00",
        "\ud800",
        "\u2028",
        "x" * 3_000,
        0,
        -1,
        5,
        2**53 + 1,
        10**30,
        0.5,
        -0.0,
        1e308,
    ),
    *(math.nan, math.inf, [], [None], [1, 2], ["x"], {}, {"a": None}, {"\x00": "\x00"}, [[[]]], "1e999", "false"),
]


def mutilated(rng: random.Random, good: dict[str, Any]) -> bytes:
    """A good answer with some of its values replaced, removed or doubled, and at times its bytes cut or changed."""
    body = copy.deepcopy(good)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        places = list(_places(body))
        if not places:
            break
        place, name = rng.choice(places)
        what = rng.random()
        if what < 0.75:
            place[name] = copy.deepcopy(rng.choice(EVIL))
        elif what < 0.9:
            del place[name]
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[name]))
    raw = bytearray(json.dumps(body).encode())
    if rng.random() < 0.2 and raw:
        for _ in range(rng.randint(1, 8)):
            raw[rng.randrange(len(raw))] = rng.choice(b'\x00\xff[]{},:"eE9-\\u')
    if rng.random() < 0.05:
        del raw[rng.randrange(len(raw) + 1) :]
    return bytes(raw)


def said(error: BadAnswer) -> int:
    """One refusal, which is one sentence."""
    assert str(error) and "\n" not in str(error)
    return 1


def _places(value: Any) -> Any:
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, name
        if isinstance(inner, dict | list):
            yield from _places(inner)


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> GoldSet:
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    item = {"id": "q1", "question": "fox?", "paraphrases": ["a fox", "which fox", "fox jumps"]}
    path.write_text(json.dumps({**item, "answers": [{"doc": "d", "start": 0, "end": 5}]}) + "\n")
    return load_gold(path, corpus=lambda docs: {"d": "hello world"}, encoder=WordLlamaEncoder(), minimum=1)


def test_a_mutilated_reply_is_a_reply_or_one_sentence_and_its_row_can_be_stored(gold: GoldSet) -> None:
    rng, encoder, now = random.Random(1), WordLlamaEncoder(), datetime.now(timezone.utc)
    good = {**GOOD, "tool_calls": [{"tool": "t", "arguments_digest": "d"}]}
    replies: list[Reply] = []
    refused, shape = 0, Shape.of("a", Arm(connection="c"))
    for _ in range(COUNT):
        try:
            replies.append(shape.reply(parse_json(mutilated(rng, good)), status=200, elapsed_ms=1.0))
        except BadAnswer as error:
            refused += said(error)
    assert refused > COUNT / 5 and len(replies) > COUNT / 10, "the mutations do not try both ways"
    asked = [
        Asked(arm="green", question=0, paraphrase=n % 3, seed=0, reply=reply, at=now) for n, reply in enumerate(replies)
    ]
    round = Round(phase="hold", tick=0, seeds=[0])
    for row in evidence_rows(asked, round, gold=gold, encoder=encoder, probes=Probes()):
        text = json.dumps({**row.to_row(), "at": None}, allow_nan=False, ensure_ascii=False)
        assert not UNSTORABLE.search(text) and "\\u0000" not in text
        text.encode()


def test_a_mutilated_answer_of_any_shape_is_a_reply_or_one_sentence_and_nothing_of_it_is_junk(gold: GoldSet) -> None:
    """Read as an arm's answer is: bytes, events, paths, types; then completed, measured and made into its row."""
    rng, encoder, now = random.Random(3), WordLlamaEncoder(), datetime.now(timezone.utc)
    shapes = [(each.shape(), json.loads(each.body)) for each in recorded() if each.name not in STREAMS]
    streams = [(each.shape(), each.body) for each in recorded() if each.name in STREAMS]
    completer = Completer(gold=gold, encoder=encoder, texts_of=lambda role, ids: {})
    replies: list[Reply] = []
    refused = 0
    for number in range(COUNT):
        if number % 8:
            shape, good = rng.choice(shapes)
            body = mutilated(rng, good)
        else:
            shape, raw = rng.choice(streams)
            lines = raw.split(b"\n")
            place = rng.randrange(len(lines))
            lines[place] = rng.choice([b"", b"data: NaN", b"\xff", b"{}", b'data: {"a": 1e999}', lines[place][:-3]])
            body = b"\n".join(lines)
        try:
            replies.append(shape.reply(shape.parse(body), status=200, elapsed_ms=1.0))
        except BadAnswer as error:
            refused += said(error)
    assert refused > COUNT / 8 and len(replies) > COUNT / 10, "the mutations do not try both ways"
    asked = [
        Asked(arm="green", question=0, paraphrase=n % 3, seed=0, reply=reply, at=now) for n, reply in enumerate(replies)
    ]
    round = Round(phase="hold", tick=0, seeds=[0])
    rows = evidence_rows(asked, round, gold=gold, encoder=encoder, probes=Probes(), completer=completer)
    for row in rows:
        text = json.dumps({**row.to_row(), "at": None}, allow_nan=False, ensure_ascii=False)
        assert not UNSTORABLE.search(text) and "\\u0000" not in text
        text.encode()
    kept = [hit for reply in completer.complete([("green", reply) for reply in replies]) for hit in reply.hits]
    assert not any(UNSTORABLE.search(f"{hit.id}{hit.doc}{hit.text}{hit.section}{hit.url}") for hit in kept)


def test_a_mutilated_report_is_a_report_or_one_sentence() -> None:
    rng = random.Random(2)
    read, shape = 0, Shape.of("a", Arm(connection="c"))
    for _ in range(COUNT):
        try:
            report = shape.report(parse_json(mutilated(rng, REPORT)))
        except BadAnswer as error:
            said(error)
        else:
            read += 1
            held = [report.arm, report.cache_namespace, dict(report.pins), dict(report.encoder), dict(report.secrets)]
            text = json.dumps(held, allow_nan=False, ensure_ascii=False)
            assert not UNSTORABLE.search(text) and "\\u0000" not in text
            text.encode()
    assert COUNT / 10 < read < COUNT, "the mutations do not try both ways"

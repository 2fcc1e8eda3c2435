"""What an arm or a reader answers, over a real socket: what is not as agreed is a failed probe, or "not followed"."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from tests.hostile import GOOD, HIT, REPORT, Hostile, hostile

from switchover.arms.client import ArmClient, read_report
from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.spec import Arm, Probes
from switchover.edge import web
from switchover.edge.answers import Reply, Report
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import BadInput, InvariantBroken, SwitchoverError, Unreachable
from switchover.gold.goldset import GoldSet, load_gold
from switchover.ledger import Ledger
from switchover.writers.proving import prove

NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    with hostile() as running:
        yield running


def ask(server: Hostile, body: Any, *, way: str = "body/x") -> Reply:
    server.bodies["x"] = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def once() -> Reply:
        async with web.async_client(base_url=server.url) as client:
            arm = ArmClient(client=client, name="a", spec=Arm(connection="c", ask=f"/{way}"), timeout_s=0.5)
            return await arm.ask("q", seed=0, k=5)

    return asyncio.run(once())


def report(server: Hostile, body: Any, *, way: str = "body/x") -> Report:
    server.bodies["x"] = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def once() -> Report:
        async with web.async_client(base_url=server.url, timeout=0.5) as client:
            return await read_report(client, f"/{way}", name="reader 'r'")

    return asyncio.run(once())


def hit(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "hits": [{**HIT, **fields}]}


MALFORMED: list[tuple[Any, str]] = [
    (b"", "answer is empty"),
    (b"null", "answer is null"),
    (b"[]", "answer is a list"),
    (b"<html>", "no JSON"),
    (b"[" * 100_000, "brackets"),
    (b'{"arm":"\xff"}', "no UTF-8"),
    ({**GOOD, "arm": None}, "without 'arm'"),
    ({**GOOD, "arm": ["a"]}, "arm: found a list"),
    ({**GOOD, "index_hash": None}, "without 'index_hash'"),
    ({**GOOD, "cited": {"id": "s"}}, "cited: found an object"),
    ({**GOOD, "hits": None}, "without 'hits'"),
    ({**GOOD, "hits": "xy"}, "hits: found a text"),
    ({**GOOD, "hits": {"a": 1}}, "hits: found an object"),
    ({**GOOD, "hits": ["x"]}, r"hits\[0\] is a text"),
    ({**GOOD, "hits": [HIT, None]}, r"hits\[1\] is null"),
    ({**GOOD, "hits": [{}] * 1001}, "1,001 entries; allowed: up to 1,000"),
    ({**GOOD, "stages_ms": [1]}, "stages_ms is a list"),
    ({**GOOD, "stages_ms": {"total": "5"}}, "stages_ms.total: found a text"),
    ({**GOOD, "stages_ms": {"total": NAN}}, "NaN"),
    ({**GOOD, "stages_ms": {"total": -5}}, "found -5 ms"),
    ({**GOOD, "tool_calls": ["t"]}, r"tool_calls\[0\] is a text"),
    ({**GOOD, "tool_calls": [{"tool": "t", "arguments_digest": ["x"]}]}, "arguments_digest: found a list"),
    ({**GOOD, "cache": ["hit"]}, "cache: found a list"),
    (hit(start=-1), r"hits\[0\].start: found -1"),
    (hit(start="0"), r"hits\[0\].start: found a text"),
    (hit(start=True), r"hits\[0\].start: found true or false"),
    (hit(start=0.5), r"hits\[0\].start: found 0.5"),
    (hit(start=4, end=2), r"hits\[0\].end: found 2, start is 4"),
    (hit(start=10**18, end=10**18), "2\\^53"),
    (hit(end=10**30), "31 digits"),
    (hit(tokens=-1), r"hits\[0\].tokens: found -1"),
    (hit(tokens=INF), "Infinity"),
    (hit(score="high"), r"hits\[0\].score: found a text"),
    (hit(doc=["d"]), r"hits\[0\].doc: found a list"),
    (hit(text=7.5), r"hits\[0\].text: found a number"),
    (hit(snippet_id="x" * 20_000), "20,000 characters; allowed: up to 500"),
]


@pytest.mark.parametrize(("body", "said"), MALFORMED, ids=[said[:40] for _, said in MALFORMED])
def test_a_malformed_answer_is_a_failed_probe_with_one_sentence(server: Hostile, body: Any, said: str) -> None:
    reply = ask(server, body)
    assert not reply.ok and reply.error is not None
    assert reply.status == 200 and not reply.hits
    assert re.search(said, reply.error), reply.error
    assert "\n" not in reply.error and len(reply.error) <= 200


@pytest.mark.parametrize(
    "way", ["silent", "drip/0.05", "endless", "bomb/1000", "labelled/gzip", "redirect", "status/204"]
)
def test_an_answer_that_never_ends_or_is_none_is_a_failed_probe(server: Hostile, way: str) -> None:
    assert not ask(server, GOOD, way=way).ok


@pytest.mark.parametrize("raw", [b"\x00\x01garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}", b""])
def test_what_is_no_http_is_a_failed_probe(server: Hostile, raw: bytes) -> None:
    assert ask(server, raw, way="raw/x").status == 0


def test_a_refusal_says_its_first_line(server: Hostile) -> None:
    assert ask(server, b"", way="status/422").said == '{"detail":"no"}'


def test_what_may_be_absent_is_no_error(server: Hostile) -> None:
    for name in ("cited", "stages_ms", "tool_calls", "cache"):
        assert ask(server, {**GOOD, name: None}).ok
        assert ask(server, {key: value for key, value in GOOD.items() if key != name}).ok
    for name in ("snippet_id", "section_id", "source_url", "index_hash", "score", "rank"):
        reply = ask(server, hit(**{name: None}))
        assert reply.ok and name not in reply.hits[0] and not reply.lacks


@pytest.mark.parametrize("name", ["text", "doc", "start", "end"])
def test_a_hit_that_cannot_be_measured_is_neither_good_nor_bad_but_said(server: Hostile, name: str) -> None:
    assert ask(server, hit(**{name: None})).lacks == f"hits[0].{name}"


def test_absent_tokens_are_counted_for_all_hits_alike(server: Hostile) -> None:
    words = [{**HIT, "text": "one two three", "tokens": 30}, {**HIT, "text": "four five", "tokens": None}]
    assert [each["tokens"] for each in ask(server, {**GOOD, "hits": words}).hits] == [3, 2]


def test_only_true_is_a_present_secret(server: Hostile) -> None:
    given = {"t": True, "f": False, "text": "false", "also": "true", "null": None, "one": 1}
    found = report(server, {**REPORT, "secrets": given}).secrets
    assert {name for name, present in found.items() if present} == {"t"}


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[" * 100_000,
        b"<html>ok</html>",
        {**REPORT, "arm": None},
        {**REPORT, "pins": None},
        {**REPORT, "pins": ["x"]},
        {**REPORT, "pins": {"INDEX_HASH": {"a": 1}}},
        {**REPORT, "encoder": [1]},
        {**REPORT, "secrets": ["T"]},
        {**REPORT, "cache": "on"},
        {**REPORT, "count": NAN},
        {**REPORT, "count": "many"},
    ],
)
def test_a_reader_whose_report_is_malformed_has_not_followed(server: Hostile, body: Any) -> None:
    with pytest.raises(Unreachable, match=r"^reader 'r': GET .*answer cannot be read: [^\n]+$"):
        report(server, body)


@pytest.mark.parametrize("way", ["silent", "drip/0.05", "endless", "redirect", "status/500"])
def test_a_reader_that_does_not_answer_has_not_followed(server: Hostile, way: str) -> None:
    with pytest.raises(Unreachable, match=r"^reader 'r': GET "):
        report(server, GOOD, way=way)


def test_a_null_pin_is_an_absent_pin(server: Hostile) -> None:
    assert report(server, {**REPORT, "pins": {"INDEX_HASH": None, "BUILD_ID": 7}}).pins == {"BUILD_ID": "7"}


@pytest.mark.parametrize("body", [b"null", b"[]", b"<html>", b'{"receipt": 1}', b'{"receipt": 1, "effects": "x"}'])
def test_a_canary_write_that_is_answered_with_nonsense_is_an_error_in_words(server: Hostile, body: bytes) -> None:
    server.bodies["x"] = body
    with web.client(base_url=server.url) as client, pytest.raises(BadInput, match="JSON with receipt and effects"):
        prove(client, "/body/x", what="writer 'w'")


@pytest.mark.parametrize("way", ["silent", "drip/0.05", "endless", "redirect"])
def test_a_canary_write_that_is_never_answered_is_an_error_in_words(server: Hostile, way: str) -> None:
    with web.client(base_url=server.url, timeout=0.5) as client, pytest.raises(SwitchoverError) as raised:
        prove(client, f"/{way}", what="writer 'w'")
    assert not isinstance(raised.value, InvariantBroken)


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> GoldSet:
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    item = {"id": "q1", "question": "fox?", "paraphrases": ["a fox", "which fox", "fox jumps"]}
    path.write_text(json.dumps({**item, "answers": [{"doc": "d", "start": 0, "end": 5}]}) + "\n")
    return load_gold(path, corpus=lambda docs: {"d": "hello world"}, encoder=WordLlamaEncoder(), minimum=1)


def rows_of(replies: list[Reply], gold: GoldSet, tick: int = 0) -> list[dict[str, Any]]:
    now = datetime.now(timezone.utc)
    asked = [
        Asked(arm="green", question=0, paraphrase=0, seed=seed, reply=reply, at=now)
        for seed, reply in enumerate(replies)
    ]
    round = Round(phase="hold", tick=tick, seeds=[0])
    return evidence_rows(asked, round, gold=gold, encoder=WordLlamaEncoder(), probes=Probes())


def test_what_no_database_stores_is_replaced_before_the_ledger(server: Hostile, gold: GoldSet, ledger: Ledger) -> None:
    bad = "fox \x00 \ud83d"
    replies = [
        ask(server, {**hit(text=bad, source_url=bad, snippet_id=bad), "cited": bad}),
        ask(server, {**GOOD, "arm": "b\x00"}),
        ask(server, b"[" * 100_000),
    ]
    assert [reply.ok for reply in replies] == [True, False, False]
    rows = rows_of(replies, gold)
    ledger.evidence.add("docs:1", rows)
    ledger.subjects.retrieved("docs:1", [("green", each) for reply in replies for each in reply.hits])
    stored = ledger.evidence.rows("docs:1", phase="hold")
    assert len(stored) == 3
    assert next(row.cited for row in stored if row.seed == 0) == "fox \ufffd \ufffd"


def test_an_answer_that_lacks_a_field_is_recorded_as_not_measured(server: Hostile, gold: GoldSet) -> None:
    whole, without = rows_of([ask(server, GOOD), ask(server, hit(text=None))], gold)
    assert whole.error is None and whole.coverage == 1.0
    assert without.error == "not measured: answer without 'hits[0].text'"
    assert without.ms_total is None

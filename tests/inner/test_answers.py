"""What an arm or a reader answers, over a real socket: what is not as agreed is a failed probe, or "not followed"."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from tests.hostile import GOOD, HIT, REPORT, Hostile, hostile

from switchover.arms.client import ArmClient, Served, read_reader
from switchover.arms.complete import Completer
from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.spec import Arm, Probes, Reader
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
            arm = ArmClient(client=client, name="r", spec=Arm(connection="c", version=f"/{way}"), timeout_s=0.5)
            return await arm.report_async()

    return asyncio.run(once())


def served(server: Hostile, body: Any, *, way: str = "body/x", **paths: Any) -> Served:
    server.bodies["x"] = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def once() -> Served:
        async with web.async_client(base_url=server.url, timeout=0.5) as client:
            return await read_reader(client, Reader(name="reader 'r'", connection="c", path=f"/{way}", **paths))

    return asyncio.run(once())


def hit(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "hits": [{**HIT, **fields}]}


MALFORMED: list[tuple[Any, str]] = [
    (b"", "answer is empty"),
    (b"null", "answer is null"),
    (b"[]", "answer without 'arm'"),
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
        assert reply.ok and (name == "rank" or name not in reply.hits[0].to_json(rank=1))


def test_tokens_are_the_judges_own_whatever_the_answer_says(server: Hostile, gold: GoldSet) -> None:
    words = [{**HIT, "text": "one two three", "tokens": 30}, {**HIT, "text": "four five", "tokens": None}]
    (row,) = rows_of([ask(server, {**GOOD, "hits": words})], gold)
    assert [each["tokens"] for each in row.hits] == [3, 2]


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
        {**REPORT, "pins": ["x"]},
        {**REPORT, "pins": {"INDEX_HASH": {"a": 1}}},
        {**REPORT, "encoder": [1]},
        {**REPORT, "secrets": ["T"]},
        {**REPORT, "cache": {"namespace": ["on"]}},
        {**REPORT, "count": NAN},
        {**REPORT, "count": "many"},
    ],
)
def test_a_report_that_is_malformed_is_an_error_in_words(server: Hostile, body: Any) -> None:
    with pytest.raises(Unreachable, match=r"^r: GET .*answer cannot be read: [^\n]+$"):
        report(server, body)


def test_a_reader_says_its_arm_and_build_where_the_plan_says(server: Hostile) -> None:
    said = {"live": {"index": "v2", "build": "abc"}}
    assert served(server, said, arm="live.index", index_hash="live.build") == Served(arm="v2", index_hash="abc")
    assert served(server, said, arm="live.index", index_hash=None) == Served(arm="v2", index_hash=None)
    assert served(server, REPORT) == Served(arm="a", index_hash="h")
    for body in ({**REPORT, "arm": None}, {**REPORT, "pins": None}, {**REPORT, "pins": ["x"]}, b"null", b"<html>"):
        with pytest.raises(Unreachable, match=r"^reader 'r': GET .*answer cannot be read: [^\n]+$"):
            served(server, body)
    with pytest.raises(Unreachable, match=r"answer without 'arm' \(path 'live.arm'\)"):
        served(server, said, arm="live.arm")


@pytest.mark.parametrize("way", ["silent", "drip/0.05", "endless", "redirect", "status/500"])
def test_a_reader_that_does_not_answer_has_not_followed(server: Hostile, way: str) -> None:
    with pytest.raises(Unreachable, match=r"^reader 'r': GET "):
        served(server, GOOD, way=way)


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


@pytest.mark.parametrize(
    ("fields", "lacks"),
    [
        ({"text": None}, "ds"),
        ({"text": None, "start": None}, "coverage ds"),
        ({"text": "not in it", "start": None}, "coverage"),
        ({"text": "not in it", "start": None, "doc": None}, None),
        ({"start": None, "end": None}, None),
        ({"doc": None, "start": None}, None),
        ({"end": None}, None),
    ],
)
def test_what_an_answer_does_not_say_is_worked_out_or_named_and_never_given_a_value(
    server: Hostile, gold: GoldSet, fields: dict[str, Any], lacks: str | None
) -> None:
    (row,) = rows_of([ask(server, hit(**fields))], gold)
    assert (row.error, row.lacks) == (None, lacks)
    assert row.coverage == (1.0 if lacks in (None, "ds") and fields.get("text") != "not in it" else 0.0)


def test_texts_come_from_the_index_by_id_once_for_each_arm(server: Hostile, gold: GoldSet) -> None:
    asked: list[tuple[str, list[str]]] = []

    def texts_of(role: str, ids: Sequence[str]) -> dict[str, str]:
        asked.append((role, list(ids)))
        return {"s1": "hello"}

    completer = Completer(gold=gold, encoder=WordLlamaEncoder(), texts_of=texts_of)
    bare = {"text": None, "doc": None, "start": None, "end": None}
    replies = [ask(server, hit(**bare)), ask(server, hit(**bare, snippet_id="gone"))]
    for _ in range(2):
        here, gone = completer.complete([("green", reply) for reply in replies])
    assert here.hits[0].text == "hello" and (here.hits[0].doc, here.hits[0].start, here.hits[0].end) == ("d", 0, 5)
    assert not here.lacks and gone.lacks == {"ds", "coverage"}
    assert asked == [("green", ["gone", "s1"])]


def test_answers_without_tool_calls_are_no_answers_without_loops(server: Hostile, gold: GoldSet) -> None:
    (row,) = rows_of([ask(server, {**GOOD, "tool_calls": None})], gold)
    assert (row.lacks, row.tool_loop) == ("tool_loop", False)

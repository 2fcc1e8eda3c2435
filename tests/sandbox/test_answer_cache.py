"""The service's cache over a real Redis: hits after misses, per arm, past it for probes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from tests.sandbox.test_service import ask, serving

from sandbox.servers import Server
from sandbox.service.answer_cache import AnswerCache
from switchover.cache import CACHE_PINS, CacheNamespace

Conn = psycopg.Connection[Any]
BLUE, GREEN = {"X-Switchover-Arm": "docs_v1"}, {"X-Switchover-Arm": "docs_v2"}


@pytest.fixture
async def client(
    built: Conn, built_url: str, redis: Server, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("AIRFLOW_CONN_DOCS_CACHE", redis.airflow_connection())
    async with serving(built_url) as found:
        yield found


async def test_an_answer_is_cached_for_its_arm_alone_through_flip_and_rollback(
    client: httpx.AsyncClient, built: Conn, request: pytest.FixtureRequest
) -> None:
    question = f"What is a closure? ({request.node.name})"
    seen = []
    for target in ("docs_v1", "docs_v1", "docs_v2", "docs_v2", "docs_v1"):
        built.execute("UPDATE switchover_alias SET target = %s WHERE alias = 'docs'", [target])
        answer = await ask(client, question)
        seen.append(answer["cache"])
        assert answer["arm"] == target
        assert {hit["index_hash"] for hit in answer["hits"]} == {answer["index_hash"]}
    assert seen == ["miss", "hit", "miss", "hit", "hit"]


async def test_another_process_finds_it_and_a_restart_forgets_nothing(
    client: httpx.AsyncClient, built_url: str, request: pytest.FixtureRequest
) -> None:
    question = f"What is a closure? ({request.node.name})"
    first = await ask(client, question)
    async with serving(built_url) as other:
        again = await ask(other, question)
    assert (first["cache"], again["cache"]) == ("miss", "hit")
    assert [again[key] for key in ("answer", "cited", "hits")] == [first[key] for key in ("answer", "cited", "hits")]
    assert again["tool_calls"] == [] and set(again["stages_ms"]) == {"total"}


async def test_probes_go_past_it_unless_they_ask(client: httpx.AsyncClient, request: pytest.FixtureRequest) -> None:
    question = f"What is a closure? ({request.node.name})"
    modes = [("1", "off"), ("1", "off"), ("cache", "miss"), ("cache", "hit"), ("1", "off")]
    for header, expected in modes:
        answer = await ask(client, question, **{"X-Switchover-Probe": header})
        assert answer["cache"] == expected
        assert ("retrieve" in answer["stages_ms"]) == (expected != "hit")


async def test_version_reports_the_namespace_that_the_pins_give(client: httpx.AsyncClient, built: Conn) -> None:
    spaces = set()
    for headers in (BLUE, GREEN):
        body = (await client.get("/version", headers=headers)).json()
        assert body["cache"]["namespace"] == CacheNamespace.of(body["pins"]).id
        assert body["cache"]["shared"].startswith("127.0.0.1:")
        spaces.add(body["cache"]["namespace"])
    assert len(spaces) == 2


async def test_an_answer_with_a_hit_of_another_build_is_not_kept() -> None:
    cache, asked = AnswerCache({}), {"question": "What is a closure?", "k": 1}
    namespace = CacheNamespace.of(dict.fromkeys(CACHE_PINS, "x"))
    hits = [["another"], ["this"], ["another"]]

    async def fill() -> dict[str, Any]:
        return {"index_hash": "this", "hits": [{"index_hash": each} for each in hits.pop(0)]}

    assert [(await cache.answer(namespace, asked, fill))["cache"] for _ in range(3)] == ["miss", "miss", "hit"]


async def test_without_a_shared_cache_memory_serves_and_version_says_so(built: Conn, built_url: str) -> None:
    async with serving(built_url) as client:
        assert [(await ask(client, "What is a closure?"))["cache"] for _ in range(2)] == ["miss", "hit"]
        assert (await client.get("/version")).json()["cache"]["shared"] is None

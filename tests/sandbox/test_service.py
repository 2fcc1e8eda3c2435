"""The retrieval service over a real database, in this process; starting and stopping as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from sandbox.service import build, request_log
from sandbox.service.retrieval import Offline
from sandbox.service.service import create_app
from switchover.pins import PIN_NAMES, Manifest

Conn = psycopg.Connection[Any]
QUESTION = "What happens to an exception when __exit__ returns true?"
GREEN = {"X-Switchover-Arm": "docs_v2"}
INCLUDE = Path(__file__).parents[2] / "include"


@contextlib.asynccontextmanager
async def serving(url: str, peer: str = "127.0.0.1", **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(db_url=url, **options)
    transport = httpx.ASGITransport(app=app, client=(peer, 5000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://docs") as client,
    ):
        yield client


@pytest.fixture
async def client(built: Conn, built_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("DOCS_SERVICE_TOKEN", "present")
    async with serving(built_url) as found:
        yield found


async def ask(client: httpx.AsyncClient, question: str = QUESTION, **headers: str) -> dict[str, Any]:
    reply = await client.post("/ask", json={"question": question, "seed": 0, "k": 5}, headers=headers)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def test_the_pointer_decides_and_the_arm_header_overrides_it(client: httpx.AsyncClient, built: Conn) -> None:
    assert (await ask(client))["arm"] == "docs_v1"
    assert (await ask(client, **GREEN))["arm"] == "docs_v2"
    built.execute("UPDATE switchover_alias SET target = 'docs_v2' WHERE alias = 'docs'")
    assert (await ask(client))["arm"] == "docs_v2"


async def test_behind_a_load_balancer_one_arm_is_served_whatever_is_live(built: Conn, built_url: str) -> None:
    built.execute("UPDATE switchover_alias SET target = 'docs_v9'")
    async with serving(built_url, only="docs_v2") as client:
        assert (await ask(client))["arm"] == "docs_v2"
        assert (await ask(client, **GREEN))["arm"] == "docs_v2"
        assert (await client.get("/version")).json()["arm"] == "docs_v2"
        reply = await client.post("/ask", json={"question": "x"}, headers={"X-Switchover-Arm": "docs_v1"})
        assert reply.status_code == 404
        assert reply.json() == {"detail": "arm 'docs_v1' is not served here; this process serves 'docs_v2'"}


@pytest.mark.parametrize("spec", [build.DOCS_V1, build.DOCS_V2], ids=lambda s: s.target)
async def test_the_answer_is_the_offline_answer(client: httpx.AsyncClient, spec: build.BuildSpec) -> None:
    offline = Offline(spec)
    for question in (QUESTION, "Which string method strips leading whitespace?", "What is a closure?"):
        expected = offline.ask(question)
        found = await ask(client, question, **{"X-Switchover-Arm": spec.target})
        assert set(found) == {*expected, "cache"}
        assert [hit["snippet_id"] for hit in found["hits"]] == [hit["snippet_id"] for hit in expected["hits"]]
        for key in ("arm", "index_hash", "answer", "cited", "tool_calls"):
            assert found[key] == expected[key], key


async def test_version_says_what_runs_and_agrees_with_the_manifest(client: httpx.AsyncClient, built: Conn) -> None:
    for target in ("docs_v1", "docs_v2"):
        body = (await client.get("/version", headers={"X-Switchover-Arm": target})).json()
        row = built.execute("SELECT manifest FROM switchover_manifest WHERE target = %s", [target]).fetchone()
        assert row is not None
        manifest = Manifest.from_json(row[0])
        assert body["arm"] == target
        assert body["pins"] == manifest.pins
        assert set(body["pins"]) == set(PIN_NAMES)
        assert body["encoder"] == manifest.encoder
        assert body["count"] == manifest.facts.count
        assert body["secrets"] == {"DOCS_SERVICE_TOKEN": True}
    assert (await client.get("/version")).json()["arm"] == "docs_v1"


async def test_retrieve_gives_the_hits_alone(client: httpx.AsyncClient) -> None:
    reply = await client.post("/retrieve", json={"question": QUESTION, "k": 3})
    assert reply.status_code == 200
    body = reply.json()
    assert set(body) == {"arm", "index_hash", "hits", "stages_ms", "tool_calls"}
    assert len(body["hits"]) == 3


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"question": ""}, "question"),
        ({"question": "x", "k": 0}, "k"),
        ({"question": "x", "odd": 1}, "odd"),
        ({}, "question"),
    ],
)
async def test_bad_requests_get_one_clear_line(client: httpx.AsyncClient, body: dict[str, Any], where: str) -> None:
    reply = await client.post("/ask", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith(f"{where}: ")


async def test_an_unknown_arm_is_404_everywhere(client: httpx.AsyncClient) -> None:
    headers = {"X-Switchover-Arm": "docs_v9"}
    for reply in (
        await client.post("/ask", json={"question": "x"}, headers=headers),
        await client.get("/version", headers=headers),
    ):
        assert reply.status_code == 404
        assert reply.json() == {"detail": "arm 'docs_v9' has no manifest here"}


async def test_without_a_pointer_nothing_is_served(empty: Conn) -> None:
    async with serving(empty.info.dsn) as client:
        reply = await client.post("/ask", json={"question": "x"})
        assert (reply.status_code, reply.json()["detail"]) == (
            503,
            "no pointer: alias 'docs' is on no index here",
        )
        empty.execute("INSERT INTO switchover_alias (alias, target) VALUES ('docs', 'docs_v1')")
        reply = await client.post("/ask", json={"question": "x"})
        assert (reply.status_code, reply.json()["detail"]) == (
            503,
            "alias 'docs' points at 'docs_v1', which has no manifest",
        )


async def test_ready_names_what_is_missing(
    client: httpx.AsyncClient, built: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = await client.get("/healthz/ready")
    assert (reply.status_code, reply.json()["ready"], reply.json()["reasons"]) == (200, True, [])
    monkeypatch.delenv("DOCS_SERVICE_TOKEN")
    reply = await client.get("/healthz/ready", headers=GREEN)
    assert (reply.status_code, reply.json()["reasons"]) == (503, ["secret DOCS_SERVICE_TOKEN is not set"])
    with built.transaction(force_rollback=False):
        built.execute("ALTER TABLE docs_v2 RENAME TO docs_v2_away")
    try:
        reply = await client.get("/healthz/ready", headers=GREEN)
        assert reply.status_code == 503
        assert "index 'docs_v2' is absent or empty" in reply.json()["reasons"]
        reply = await client.post("/ask", json={"question": "x"}, headers=GREEN)
        assert (reply.status_code, reply.json()["detail"]) == (
            503,
            "arm 'docs_v2' has a manifest but no index table",
        )
    finally:
        built.execute("ALTER TABLE docs_v2_away RENAME TO docs_v2")


async def test_every_request_is_logged_within_half_a_second(client: httpx.AsyncClient, built: Conn) -> None:
    await ask(client)
    await ask(client, **{**GREEN, "X-Switchover-Probe": "1"})
    await client.post("/ask", json={"question": "x"}, headers={"X-Switchover-Arm": "docs_v9"})
    await asyncio.sleep(2 * request_log.FLUSH_S)
    rows = built.execute("SELECT arm, kind, status, ms_total > 0, tool_calls, tool_loop FROM request_log ORDER BY id")
    assert rows.fetchall() == [
        ("docs_v1", "live", 200, True, 1, False),
        ("docs_v2", "probe", 200, True, 1, False),
        (None, "live", 404, True, 0, False),
    ]


async def test_the_log_is_written_at_the_end(built: Conn, built_url: str) -> None:
    async with serving(built_url) as client:
        await ask(client)
    assert built.execute("SELECT count(*) FROM request_log").fetchone() == (1,)


async def test_the_log_waits_for_its_table(built: Conn, client: httpx.AsyncClient) -> None:
    built.execute("ALTER TABLE request_log RENAME TO request_log_away")
    try:
        for _ in range(3):
            await ask(client)
        await asyncio.sleep(2 * request_log.FLUSH_S)
    finally:
        built.execute("ALTER TABLE request_log_away RENAME TO request_log")
    await asyncio.sleep(2 * request_log.FLUSH_S)
    assert built.execute("SELECT count(*) FROM request_log").fetchone() == (3,)


async def test_an_inverted_rerank_answers_badly_with_status_200(client: httpx.AsyncClient) -> None:
    good = await ask(client, **GREEN)
    await client.post("/sandbox/fault", json={"target": "docs_v2", "kind": "rerank-inverted"})
    bad = await ask(client, **GREEN)
    assert not {h["snippet_id"] for h in good["hits"]} & {h["snippet_id"] for h in bad["hits"]}
    assert (await ask(client))["arm"] == "docs_v1"
    await client.post("/sandbox/fault", json={"target": "docs_v2", "kind": "none"})
    assert (await ask(client, **GREEN))["hits"] == good["hits"]


async def test_the_error_fault_fails_one_request_in_twenty(client: httpx.AsyncClient) -> None:
    await client.post("/sandbox/fault", json={"target": "docs_v1", "kind": "errors"})
    codes = [(await client.post("/ask", json={"question": "x"})).status_code for _ in range(40)]
    assert codes.count(500) == 2
    assert codes.count(200) == 38


async def test_the_fault_switch_answers_to_this_machine_only(built: Conn, built_url: str) -> None:
    async with serving(built_url, peer="10.1.2.3") as client:
        reply = await client.post("/sandbox/fault", json={"target": "docs_v1", "kind": "errors"})
        assert reply.status_code == 403
        assert (await client.post("/ask", json={"question": "x"})).status_code == 200


async def test_no_answer_is_mixed_while_the_pointer_moves(client: httpx.AsyncClient, built: Conn) -> None:
    hashes = {
        target: (await client.get("/version", headers={"X-Switchover-Arm": target})).json()["pins"]["INDEX_HASH"]
        for target in ("docs_v1", "docs_v2")
    }

    answers: list[dict[str, Any]] = []

    async def move() -> None:
        """Twenty times, and until both arms have answered."""
        n = 0
        while n < 20 or len({answer["arm"] for answer in answers}) < 2:
            target = ("docs_v2", "docs_v1")[n % 2]
            await asyncio.to_thread(built.execute, "UPDATE switchover_alias SET target = %s", [target])
            await asyncio.sleep(0.02)
            n += 1

    moving = asyncio.create_task(asyncio.wait_for(move(), 60))
    while not moving.done() or len(answers) < 60:
        answers += await asyncio.gather(*(ask(client) for _ in range(6)))
    await moving
    for answer in answers:
        assert answer["index_hash"] == hashes[answer["arm"]]
        assert {hit["index_hash"] for hit in answer["hits"]} == {answer["index_hash"]}


async def test_a_new_build_under_the_same_name_is_served_with_its_own_hash(empty: Conn) -> None:
    build.build(empty, build.spec_for("docs_v2", "truncated"))
    async with serving(empty.info.dsn) as client:
        before = await ask(client, **GREEN)
        build.build(empty, build.DOCS_V2)
        after = await ask(client, **GREEN)
    assert before["index_hash"] != after["index_hash"]
    for answer in (before, after):
        assert {hit["index_hash"] for hit in answer["hits"]} == {answer["index_hash"]}


def start(port: int, **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(INCLUDE), **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox.service.service", "--port", str(port)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_says_in_one_line_why_it_cannot_start(built_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(port, DOCS_DB_URL=built_url)
        error = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert error.splitlines()[-1].startswith(f"service: cannot listen on 127.0.0.1:{port}: ")
    process = start(port, DOCS_DB_URL="")
    assert "service: DOCS_DB_URL is not set" in process.communicate(timeout=30)[1]
    process = start(port, DOCS_DB_URL=built_url, DOCS_PLAN="/nowhere.yaml")
    assert "service: /nowhere.yaml: cannot be read" in process.communicate(timeout=30)[1]


def test_sigterm_ends_it_cleanly_and_loses_no_log_row(built: Conn, built_url: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start(port, DOCS_DB_URL=built_url, DOCS_SERVICE_TOKEN="present")
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for _ in range(100):
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/healthz/ready").status_code == 200:
                        break
                time.sleep(0.1)
            assert client.post("/ask", json={"question": QUESTION}).status_code == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
    finally:
        process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    assert built.execute("SELECT count(*) FROM request_log").fetchone() == (1,)

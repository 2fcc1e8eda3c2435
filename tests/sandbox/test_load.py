"""The load: what it counts as failed and as mixed, and its file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn

from sandbox.demo import load
from sandbox.service.service import create_app

Conn = psycopg.Connection[Any]
INCLUDE = Path(__file__).parents[2] / "include"


def reply(**changed: Any) -> dict[str, Any]:
    return {"arm": "a", "index_hash": "h", "answer": "yes", "hits": [{"index_hash": "h"}], **changed}


@pytest.mark.parametrize(
    ("status", "body", "failed", "mixed"),
    [
        (200, reply(), 0, 0),
        (500, {}, 1, 0),
        (200, reply(answer=""), 1, 0),
        (200, None, 1, 0),
        (200, reply(hits=[{"index_hash": "h"}, {"index_hash": "other"}]), 0, 1),
        (200, reply(index_hash="other", hits=[{"index_hash": "other"}]), 0, 1),
    ],
)
async def test_what_counts(tmp_path: Path, status: int, body: Any, failed: int, mixed: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, json={"pins": {"INDEX_HASH": "h"}})
        return httpx.Response(status, json=body) if body is not None else httpx.Response(status, text="<html>")

    traffic = load.Traffic(out=tmp_path / "traffic.json")
    stop = asyncio.Event()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://docs") as client:
        running = asyncio.create_task(load.Load(client=client, questions=["x"], rate=1, traffic=traffic).run(stop))
        await asyncio.sleep(0.05)
        stop.set()
        await running
    assert (traffic.requests, traffic.failed, traffic.mixed) == (1, failed, mixed)
    assert len(traffic.examples) == failed + mixed


async def test_an_arm_is_asked_where_it_is_whoever_is_live(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.host}{request.url.path} {request.headers.get('X-Switchover-Arm', '')}".strip())
        if request.url.path == "/version":
            return httpx.Response(200, json={"pins": {"INDEX_HASH": "h"}})
        return httpx.Response(200, json=reply(arm="a" if len(asked) == 1 else "b"))

    traffic = load.Traffic(out=tmp_path / "traffic.json")
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://docs") as client:
        asking = load.Load(client=client, questions=["x"], rate=1, traffic=traffic, arms={"a": "http://arm-a"})
        for _ in range(2):
            await asking._ask("x")
    assert asked == ["docs/ask", "arm-a/version a", "docs/ask", "docs/version b"]
    assert (traffic.requests, traffic.failed, traffic.mixed) == (2, 0, 0)


async def test_requests_start_on_the_clock_however_slow_the_answers(tmp_path: Path) -> None:
    started = 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal started
        if request.url.path == "/version":
            return httpx.Response(200, json={"pins": {"INDEX_HASH": "h"}})
        started += 1
        await asyncio.sleep(0.5)
        return httpx.Response(200, json=reply())

    traffic = load.Traffic(out=tmp_path / "traffic.json")
    stop = asyncio.Event()
    async with httpx.AsyncClient(transport=httpx.MockTransport(slow), base_url="http://docs") as client:
        running = asyncio.create_task(load.Load(client=client, questions=["x"], rate=50, traffic=traffic).run(stop))
        await asyncio.sleep(0.4)
        stop.set()
        assert 15 <= started <= 22
        await running
    assert traffic.requests == started


def test_the_process_drives_the_real_service_and_feeds_the_writers(built: Conn, built_url: str, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"id": "a", "question": "What is a lambda?", "paraphrases": ["b?", "c?", "d?"]}) + "\n")
    out = tmp_path / "traffic.json"
    env = {**os.environ, "PYTHONPATH": str(INCLUDE), "DOCS_DB_URL": built_url}
    with served(built_url) as url:
        command = [sys.executable, "-m", "sandbox.demo.load", "--url", url, "--out", str(out), "--gold", str(gold)]
        process = subprocess.Popen([*command, "--rate", "40"], env=env)
        try:
            end = time.monotonic() + 20
            while not (out.exists() and json.loads(out.read_text())["arms"]) and time.monotonic() < end:
                time.sleep(0.1)
            built.execute("UPDATE switchover_alias SET target = 'docs_v2' WHERE alias = 'docs'")
            time.sleep(1.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=15) == 0
        finally:
            process.kill()
    data = json.loads(out.read_text())
    assert (data["failed"], data["mixed"], data["examples"]) == (0, 0, [])
    assert set(data["arms"]) == {"docs_v1", "docs_v2"}
    assert sum(arm["requests"] for arm in data["arms"].values()) == data["requests"] > 40
    assert data["arms"]["docs_v1"]["last"] <= data["arms"]["docs_v2"]["last"]
    rows = built.execute("SELECT stream, count(*) FROM ingest_source GROUP BY stream").fetchall()
    assert sum(count for _, count in rows) == data["source_rows"] >= 2
    assert {stream for stream, _ in rows} == {"process", "dag"}


def test_a_gold_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(INCLUDE)}
    missing = tmp_path / "none.jsonl"
    command = [sys.executable, "-m", "sandbox.demo.load", "--url", "http://127.0.0.1:1", "--out", str(tmp_path / "o")]
    done = subprocess.run([*command, "--gold", str(missing)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"load: {missing}: cannot be read as a gold set: ")


@contextlib.contextmanager
def served(db_url: str) -> Any:
    """The real service on a port of its own, in a thread."""
    import threading

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(db_url=db_url), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)

"""The writer that people call: constant writes through a promotion and through a rollback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from sandbox.demo.stack import answers
from sandbox.processes import ports
from sandbox.service import tables
from sandbox.service.live import Live
from sandbox.writers import ingest
from sandbox.writers.load_writes import WriteLoad
from sandbox.writers.writes import count_writes, create_app
from switchover.writers.write_gate import WriteGateSpec, WriteGateWriter

Conn = psycopg.Connection[Any]
NOTHING_WRONG = {"lost": 0, "duplicated": 0, "out_of_order": 0, "waiting": 0}


def body(key: str = "a", revision: int = 1, **more: Any) -> dict[str, Any]:
    return {"key": key, "revision": revision, "text": f"{key} {revision}: the ferry left.", **more}


def fence_writer(url: str) -> WriteGateWriter:
    spec = WriteGateSpec(kind="sql_fence", name="ingest", connection="db", fence=tables.FENCE)
    return WriteGateWriter(engine=sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1)), spec=spec)


def until(true: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def frozen(writer: WriteGateWriter, epoch: int) -> Any:
    found = writer.find()
    writer.freeze(epoch=epoch)
    until(lambda: writer.drained().done)
    return found


def move(conn: Conn, target: str) -> None:
    conn.execute("UPDATE switchover_alias SET target = %s WHERE alias = 'docs'", [target])


@contextmanager
def served(url: str) -> Iterator[str]:
    """The writer in a process of its own."""
    port = ports.free_port()
    command = [sys.executable, "-m", "sandbox.writers.writes", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "DOCS_DB_URL": url})
    try:
        until(answers(f"http://{ports.HOST}:{port}/healthz/ready"))
        yield f"http://{ports.HOST}:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


@contextmanager
def constant_writes(url: str) -> Iterator[WriteLoad]:
    """The demo's own load, faster; ended before the block is."""
    stop, loads = threading.Event(), []

    async def write() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            loads.append(WriteLoad(client=client))
            done = asyncio.Event()
            task = asyncio.create_task(loads[0].run(done))
            await asyncio.to_thread(stop.wait)
            done.set()
            await task

    thread = threading.Thread(target=lambda: asyncio.run(write()))
    thread.start()
    until(lambda: loads and sum(loads[0].accepted.values()) > 3)
    yield loads[0]
    stop.set()
    thread.join()


@pytest.mark.parametrize("promoted", [True, False], ids=["promoted", "rolled back"])
def test_constant_writes_through_a_freeze_reach_the_arm_that_won_once_and_in_order(
    built: Conn, built_url: str, promoted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.writers.load_writes.RATE", 40.0)
    writer = fence_writer(built_url)
    with served(built_url) as url:
        with constant_writes(url) as load:
            found = frozen(writer, epoch=1)
            move(built, "docs_v2")
            queued = load.queued
            until(lambda: load.queued > queued + 10)
            if not promoted:
                move(built, "docs_v1")
            writer.resume(found, epoch=1, proven=True)
            accepted = sum(load.accepted.values())
            until(lambda: sum(load.accepted.values()) > accepted + 10)
        until(lambda: not count_writes(built, load.accepted)["waiting"] and not ingest.lag(built))
    counted = count_writes(built, load.accepted)
    assert {name: counted[name] for name in NOTHING_WRONG} == NOTHING_WRONG
    assert counted["applied"] == sum(load.accepted.values())
    assert counted["queued"] == load.queued > 10
    effects = ingest.count_effects(built)
    assert effects == {"written": counted["applied"], "duplicated": 0, "lost": 0}
    winner = "docs_v2" if promoted else "docs_v1"
    applied_on = built.execute("SELECT DISTINCT applied_on FROM switchover_intent").fetchall()
    assert applied_on == [(winner,)]


def test_the_status_says_what_became_of_a_write(built: Conn, built_url: str) -> None:
    with TestClient(create_app(db_url=built_url, live=Live(), bound=2)) as client:
        assert client.post("/write", json=body()).json() == {"how": "applied"}
        assert client.post("/write", json=body()).json() == {"how": "repeated"}
        conflict = client.post("/write", json={**body(), "text": "another"})
        assert conflict.status_code == 409 and "text:" in conflict.json()["detail"]
        large = client.post("/write", json={**body(revision=2), "text": "x" * 300_000})
        assert large.status_code == 413 and "allowed: 262144" in large.json()["detail"]
        huge = client.post("/write", json={**body(revision=2), "text": "x" * 2_000_000})
        assert huge.status_code == 413
        built.execute("UPDATE switchover_fence SET frozen = true")
        for revision in (2, 3):
            assert client.post("/write", json=body(revision=revision)).status_code == 202
        full = client.post("/write", json=body(revision=4))
        assert (full.status_code, full.headers["Retry-After"]) == (503, "5")
        assert client.post("/write", json=body(revision=1, key="a@b")).status_code == 422
        built.execute("UPDATE switchover_fence SET frozen = false")
        until(lambda: count_writes(built, {"a": 3})["applied"] == 3)
    assert {name: count_writes(built, {"a": 3})[name] for name in NOTHING_WRONG} == NOTHING_WRONG


def test_the_counts_can_see_what_they_count(built: Conn) -> None:
    for source in ("a@1", "a@3", "a@2", "a@2", "b@1"):
        ingest.append(built, stream="http", key=source, text="x")
    assert count_writes(built, {"a": 4, "b": 1, "c": 2}) == {
        "applied": 5, "lost": 3, "duplicated": 1, "out_of_order": 1, "waiting": 0, "queued": 0,
    }  # fmt: skip

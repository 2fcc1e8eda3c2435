"""A canary write goes through the ingest writer's own fence, and proves it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI
from tests.contract.answering import answering

from sandbox.processes import ports
from sandbox.writers import ingest
from sandbox.writers.notify import add_canary
from switchover.errors import BadInput, InvariantBroken, Unreachable
from switchover.writers import proving
from switchover.writers.proving import prove

Conn = psycopg.Connection[Any]
WHAT = "writer 'ingest process'"


@pytest.fixture
def writer(built: Conn, built_url: str) -> Iterator[httpx.Client]:
    app, port = FastAPI(), ports.free_port()
    add_canary(app, db_url=built_url)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def test_the_writer_proves_its_fence_also_while_it_is_frozen(writer: httpx.Client, built: Conn) -> None:
    built.execute("UPDATE switchover_fence SET frozen = true")
    assert prove(writer, "/writer/canary", what=WHAT) == "one receipt, one effect; another payload: 409"
    assert ingest.count_effects(built)["duplicated"] == 0


def test_a_row_that_is_taken_in_twice_notifies_once(built: Conn) -> None:
    ingest.append(built, stream="process", key="a", text="taken in twice")
    assert ingest.apply_batch(built, stream="process").notified == 1
    built.execute("DELETE FROM ingest_position WHERE target = '*'")  # what a position that was lost would do
    ingest.apply_batch(built, stream="process")
    assert built.execute("SELECT count(*) FROM ingest_effect WHERE effect = 'notify'").fetchone() == (1,)


def test_without_a_fence_it_is_not_proven(writer: httpx.Client, built: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer forgets what it has done between two writes."""
    real = proving._write

    def forgetful(*args: Any) -> httpx.Response:
        answer = real(*args)
        built.execute("TRUNCATE switchover_effects")
        return answer

    monkeypatch.setattr(proving, "_write", forgetful)
    with pytest.raises(InvariantBroken, match="the same key twice gave two receipts"):
        prove(writer, "/writer/canary", what=WHAT)


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (200, {"receipt": 1, "effects": 2}, InvariantBroken, "2 effects after the first write of a key, 2 after"),
        (200, {"receipt": 1, "effects": 1}, InvariantBroken, "with another payload was answered 200, not 409"),
        (409, {}, InvariantBroken, "a key that is new was answered 409"),
        (200, {"receipt": 1}, BadInput, "allowed: JSON with receipt and effects"),
        (200, "no json", BadInput, "allowed: JSON with receipt and effects"),
        (404, {}, BadInput, "refused with 404; docs/writers.md"),
        (503, {}, Unreachable, "answered 503"),
    ],
)
def test_what_else_a_writer_may_answer(status: int, body: Any, error: type[Exception], words: str) -> None:
    with (
        answering(status, body) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
        pytest.raises(error, match=words) as found,
    ):
        prove(client, "/canary", what=WHAT)
    assert str(found.value).startswith("writer 'ingest process': POST 127.0.0.1/canary: ")


def test_a_writer_that_is_away_is_one_line() -> None:
    with httpx.Client(base_url="http://127.0.0.1:1") as client, pytest.raises(Unreachable, match="did not answer"):
        prove(client, "/canary", what=WHAT)

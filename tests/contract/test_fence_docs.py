"""The page of the fence: its examples run, and what it says of bounds is what holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as client_library

from sandbox.servers import Server
from switchover.errors import BadInput, FenceBusy, FenceConflict, Unreachable
from switchover.fence import DEFAULT_TTL_S, Fence
from switchover.fence.http import refusal, request_key
from switchover.fence.payload import KEPT_BYTES, PAYLOAD_BYTES, RECEIPT_BYTES
from switchover.fence.postgres import PostgresStore

PAGE = (Path(__file__).parents[2] / "docs" / "fence.md").read_text(encoding="utf-8")
DAY_S = 86_400


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    return names


@pytest.fixture
def orders(fresh_db_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(fresh_db_url, autocommit=True) as connection:
        PostgresStore(connection).create_table()
        connection.execute("CREATE TABLE orders (id bigserial, body jsonb)")
        yield connection


def test_the_consumer_takes_a_message_once(
    examples: dict[str, Any], orders: psycopg.Connection[Any], fresh_db_url: str
) -> None:
    take = examples["take_order"]
    assert [take(fresh_db_url, 0, 42, {"n": 1}) for _ in range(2)] == [{"row": 1}, {"row": 1}]
    with pytest.raises(FenceConflict, match="n: 1 → 2"):
        take(fresh_db_url, 0, 42, {"n": 2})
    assert orders.execute("SELECT body FROM orders").fetchall() == [({"n": 1},)]


class Mailer:
    """Refuses, dies after sending, or sends."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.trouble: type[BaseException] | None = None

    def send(self, invoice: dict[str, Any], *, message_id: str) -> str:
        if self.trouble is ConnectionRefusedError:
            raise self.trouble
        self.sent.append(message_id)
        if self.trouble:
            raise self.trouble
        return message_id

    def find(self, message_id: str) -> str | None:
        return message_id if message_id in self.sent else None


@pytest.mark.parametrize("trouble", [ConnectionRefusedError, KeyboardInterrupt])
def test_the_invoice_is_sent_once_whatever_happens(
    examples: dict[str, Any], redis: Server, monkeypatch: pytest.MonkeyPatch, trouble: type[BaseException]
) -> None:
    mailer, invoice = Mailer(), {"id": trouble.__name__, "revision": 1}
    with client_library.Redis(host=redis.host, port=redis.port) as client:
        mailer.trouble = trouble
        with pytest.raises(trouble):
            examples["send_invoice"](client, invoice, mailer)
        mailer.trouble = None
        keys = list(client.scan_iter("switchover:effect:*"))
        for key in keys:
            if client.hget(key, "holder") == b"invoices-1" and client.hget(key, "done") == b"0":
                client.hset(key, "lease_until", 0)  # its lease ends
        receipts = {examples["send_invoice"](client, invoice, mailer) for _ in range(2)}
    assert len(receipts) == len(mailer.sent) == 1


def test_a_request_that_is_repeated_gets_the_first_answer(
    examples: dict[str, Any], orders: psycopg.Connection[Any]
) -> None:
    fence, post = Fence(store=PostgresStore(orders), holder="http"), examples["post_order"]

    def ask(order: dict[str, Any], **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        found: tuple[int, dict[str, str], dict[str, Any]]
        with orders.transaction():
            found = post(fence, orders, given, "anna", order)
        return found

    answers = [ask({"n": 1}, Idempotency_Key='"8e03"') for _ in range(3)]
    assert answers == [(200, {}, {"id": 1})] * 3
    status, _, body = ask({"n": 2}, Idempotency_Key="8e03")
    assert status == 409 and "n: 1 → 2" in body["detail"]
    assert [
        ask({"n": 1})[0],
        ask(
            {"n": 1},
            Idempotency_Key='"a b',
        )[0],
    ] == [400, 400]
    assert orders.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    assert fence.decisions() == {"new": 1, "repeated": 0, "duplicate": 2, "conflict": 1, "busy": 0, "lost": 0}


def test_a_busy_key_says_when_to_come_again() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    busy = FenceBusy("busy", key="k", holder="h", until=now + timedelta(seconds=41.6))
    assert refusal(busy, now=now) == (409, {"Retry-After": "42"})
    assert refusal(FenceBusy("a lock"), now=now) == (409, {"Retry-After": "1"})
    assert refusal(Unreachable("away")) == (503, {"Retry-After": "1"})


@pytest.mark.parametrize("value", [None, "", " ", '""', '"', "a b", "é", "a\nb", "x" * 256, '"a', "a\\b"])
def test_a_header_that_is_no_key_is_refused(value: str | None) -> None:
    with pytest.raises(BadInput, match="header Idempotency-Key: (found|there is none).*; allowed: 1 to 255 visible"):
        request_key(value, caller="anna", action="POST /orders")


def test_two_callers_may_choose_one_value() -> None:
    keys = {request_key("8e03", caller=caller, action="POST /orders") for caller in ("anna", "ben")}
    assert len(keys) == 2
    assert request_key('"8e03"', caller="anna", action="POST /orders") in keys


def test_the_page_states_the_bounds_that_hold() -> None:
    assert (PAYLOAD_BYTES, KEPT_BYTES, RECEIPT_BYTES) == (1 << 20, 8 << 10, 16 << 10)
    for words in ("up to 1 MiB", "up to 8 KiB", "up to 16 KiB"):
        assert words in PAGE
    days = {kind: round(seconds / DAY_S) for kind, seconds in DEFAULT_TTL_S.items()}
    assert days == {"http": 2, "sqs": 15, "kafka": 30, "airflow_dag": 90}
    assert "2 days (`http`), 15 (`sqs`), 30 (`kafka`, and any other kind), 90 (`airflow_dag`)" in PAGE

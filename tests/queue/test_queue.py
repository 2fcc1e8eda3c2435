"""The queue of writes on a real PostgreSQL: bounded, once, in order, whatever comes in between."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from switchover.errors import BadInput, FenceConflict, PayloadTooLarge, QueueFull, Unreachable
from switchover.fence import Fence
from switchover.fence.postgres import PostgresStore
from switchover.writers import write_gate
from switchover.writers.queue import How, WriteQueue

Conn = psycopg.Connection[Any]


class Shop:
    """One stream of writes whose effect is a row in a log."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.conn: Conn = psycopg.connect(url, autocommit=True)
        self.store = PostgresStore(self.conn)
        self.queue = self.queue_of()

    def queue_of(self, bound: int = 5) -> WriteQueue:
        return WriteQueue(fence=Fence(store=self.store, holder="test"), gate="shop", stream="orders", bound=bound)

    def close_gate(self, closed: bool = True) -> None:
        self.conn.execute("UPDATE switchover_fence SET frozen = %s WHERE fence = 'shop'", [closed])

    def put(self, key: str, revision: int, conn: Conn | None = None, queue: WriteQueue | None = None) -> How:
        conn = conn or self.conn
        body = {"key": key, "revision": revision}
        write = (queue or self.queue).write
        return write(conn, key=key, revision=revision, payload=body, apply=self.effect(conn))

    def effect(self, conn: Conn) -> Any:
        def apply(body: Any) -> None:
            conn.execute("INSERT INTO log (key, revision) VALUES (%(key)s, %(revision)s)", body)

        return apply

    def drain(self, onto: str = "green", conn: Conn | None = None, limit: int = 50) -> int:
        conn = conn or self.conn
        return self.queue.drain(conn, apply=self.effect(conn), onto=lambda: onto, limit=limit)

    @property
    def log(self) -> list[tuple[str, int]]:
        return self.conn.execute("SELECT key, revision FROM log ORDER BY id").fetchall()


@pytest.fixture
def shop(fresh_db_url: str) -> Iterator[Shop]:
    shop = Shop(fresh_db_url)
    shop.conn.execute("CREATE TABLE log (id bigserial, key text, revision bigint)")
    shop.conn.execute(write_gate.TABLE)
    shop.conn.execute("INSERT INTO switchover_fence (fence) VALUES ('shop')")
    shop.store.create_table()
    WriteQueue.create_table(shop.conn)
    yield shop
    shop.conn.close()


def test_an_open_fence_applies_at_once_and_a_repeat_has_no_second_effect(shop: Shop) -> None:
    assert [shop.put("a", 1), shop.put("a", 1), shop.put("a", 2)] == [How.APPLIED, How.REPEATED, How.APPLIED]
    assert shop.log == [("a", 1), ("a", 2)]


def test_a_closed_fence_queues_and_the_queue_is_applied_in_order_before_anything_newer(shop: Shop) -> None:
    shop.close_gate()
    assert {shop.put("a", 1), shop.put("b", 1), shop.put("a", 2), shop.put("a", 1 + 1)} == {How.QUEUED}
    assert shop.log == []
    assert shop.drain() == 0, "the fence is closed"
    waiting = shop.queue.waiting(shop.conn)
    assert waiting.count == 3 and waiting.oldest_s >= 0
    shop.close_gate(False)
    assert shop.put("c", 1) is How.QUEUED, "what waits goes first"
    assert shop.drain(limit=2) == 2
    assert shop.drain() == 2
    assert shop.drain() == 0
    assert shop.log == [("a", 1), ("b", 1), ("a", 2), ("c", 1)]
    assert shop.put("a", 3) is How.APPLIED
    applied = shop.conn.execute("SELECT DISTINCT applied_on FROM switchover_intent").fetchall()
    assert applied == [("green",)]


def test_a_write_that_was_applied_before_the_freeze_is_not_applied_again(shop: Shop) -> None:
    shop.put("a", 1)
    shop.close_gate()
    assert shop.put("a", 1) is How.QUEUED, "the caller had lost its answer"
    shop.close_gate(False)
    assert shop.drain() == 1
    assert shop.log == [("a", 1)]


def test_over_the_bound_the_caller_is_told_to_come_again(shop: Shop) -> None:
    shop.close_gate()
    for revision in range(1, 6):
        shop.put("a", revision)
    with pytest.raises(QueueFull, match="5 writes wait already; come again in 5 s") as raised:
        shop.put("a", 6)
    assert raised.value.retry_after_s == 5
    assert shop.put("a", 5) is How.QUEUED, "a repeat needs no place"
    shop.close_gate(False)
    shop.drain()
    assert shop.put("a", 6) is How.APPLIED


def test_what_cannot_be_written_is_one_line_and_changes_nothing(shop: Shop) -> None:
    shop.close_gate()
    shop.put("a", 2)
    with pytest.raises(PayloadTooLarge, match=r"payload of key 'a' has \d+ bytes; allowed: 262144"):
        shop.queue.write(shop.conn, key="a", revision=3, payload="x" * 300_000, apply=lambda body: None)
    with pytest.raises(BadInput, match="key 'a' revision 1 comes after revision 2"):
        shop.put("a", 1)
    with pytest.raises(FenceConflict, match="is queued with another payload") as raised:
        shop.queue.write(shop.conn, key="a", revision=2, payload={"key": "b"}, apply=lambda body: None)
    assert raised.value.diff == ['key: "a" → "b"', "revision: 2 → absent"]
    shop.conn.execute("DELETE FROM switchover_fence")
    with pytest.raises(BadInput, match="there is no write gate 'shop'"):
        shop.put("a", 3)
    shop.conn.execute("DROP TABLE switchover_fence")
    with pytest.raises(BadInput, match='"switchover_fence" does not exist; docs/writers.md'):
        shop.put("a", 3)
    assert shop.queue.waiting(shop.conn).count == 1
    with psycopg.connect(shop.url) as gone:
        gone.close()
        with pytest.raises(Unreachable, match="repeat the write"):
            shop.put("a", 3, gone)


def test_a_queued_write_that_conflicts_with_an_applied_one_does_not_hold_up_the_others(shop: Shop) -> None:
    shop.put("a", 1)
    shop.close_gate()
    shop.queue.write(shop.conn, key="a", revision=1, payload={"other": 1}, apply=lambda body: None)
    shop.put("b", 1)
    shop.close_gate(False)
    assert shop.drain() == 2
    assert shop.log == [("a", 1), ("b", 1)]
    (refused,) = shop.conn.execute("SELECT refused FROM switchover_intent WHERE key = 'a'").fetchall()
    assert "other: absent → 1" in refused[0]


def test_an_effect_that_fails_leaves_the_queue_as_it_was(shop: Shop) -> None:
    shop.close_gate()
    shop.put("a", 1)
    shop.put("a", 2)
    shop.close_gate(False)

    def fails(body: Any) -> None:
        if body["revision"] == 2:
            raise ValueError("no")
        shop.effect(shop.conn)(body)

    with pytest.raises(ValueError, match="no"):
        shop.queue.drain(shop.conn, apply=fails, onto=lambda: "green")
    assert shop.log == []
    assert shop.drain() == 2
    assert shop.log == [("a", 1), ("a", 2)]


def test_constant_writers_and_a_gate_that_opens_and_closes_lose_and_double_nothing(shop: Shop) -> None:
    """Four callers that repeat at random, two drainers, a fence that is frozen as a run does it."""
    wide, stop, wrote = shop.queue_of(bound=40), threading.Event(), {}
    problems: list[Exception] = []

    def guarded(do: Any) -> None:
        try:
            with psycopg.connect(shop.url, autocommit=True) as conn:
                do(conn)
        except Exception as error:  # noqa: BLE001 - shown below
            problems.append(error)

    def caller(number: int) -> None:
        def run(conn: Conn) -> None:
            dice, revision = random.Random(number), 0
            while not stop.is_set() or revision < 50:
                revision += 1
                for _ in range(1 + (dice.random() < 0.3)):
                    while True:
                        try:
                            shop.put(f"k{number}", revision, conn, wide)
                            break
                        except QueueFull:
                            stop.wait(0.01)
            wrote[f"k{number}"] = revision

        guarded(run)

    def drainer(conn: Conn) -> None:
        while not stop.is_set():
            shop.drain(conn=conn, limit=7)
            stop.wait(0.002)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=guarded, args=(drainer,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for closed in [True, False] * 6:
        shop.close_gate(closed)
        stop.wait(0.1)
    stop.set()
    deadline = threading.Event()
    while any(thread.is_alive() for thread in threads):
        shop.drain()
        deadline.wait(0.005)
    while shop.drain():
        pass
    assert problems == []
    log = shop.log
    for key, last in wrote.items():
        assert [revision for name, revision in log if name == key] == list(range(1, last + 1)), key
    assert len(wrote) == 4
    assert shop.conn.execute("SELECT count(*) FROM switchover_intent").fetchone() != (0,), "some were queued"


def test_the_rights_of_the_page_are_enough_for_the_writer(shop: Shop) -> None:
    page = (Path(__file__).parents[2] / "docs" / "writers.md").read_text()
    (block,) = (block for block in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "TO ingest" in block)
    with psycopg.connect(shop.url, autocommit=True) as admin:
        for role in ("ingest", "switchover"):
            admin.execute(f"CREATE ROLE {role}")
        try:
            admin.execute(block)
            admin.execute("GRANT INSERT ON log TO ingest; GRANT USAGE ON SEQUENCE log_id_seq TO ingest")
            shop.conn.execute("SET ROLE ingest")
            assert shop.put("a", 1) is How.APPLIED
            admin.execute("UPDATE switchover_fence SET frozen = true")
            assert shop.put("a", 2) is How.QUEUED
            shop.queue.write(shop.conn, key="a", revision=3, payload={"n": 3}, apply=shop.effect(shop.conn))
            admin.execute("UPDATE switchover_intent SET revision = 1 WHERE revision = 3")  # a conflict, once open
            admin.execute("UPDATE switchover_fence SET frozen = false")
            assert shop.drain() == 2
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                shop.conn.execute("UPDATE switchover_fence SET frozen = true")
        finally:
            shop.conn.execute("RESET ROLE")
            for role in ("ingest", "switchover"):
                admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

"""What only PostgreSQL does: key and effect in one transaction; rights; plain psycopg."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from switchover.errors import BadInput, FenceBusy, Unreachable
from switchover.fence import Fence, FenceKey
from switchover.fence.postgres import PostgresStore
from tests.contract.test_fence import PAYLOAD, crash, new_key, until
from tests.contract.worlds.fences import DATABASE, PostgresFence


@pytest.fixture(scope="module")
def world(pg_server: Any) -> Iterator[PostgresFence]:
    world = PostgresFence(pg_server)
    with world.engine().begin() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS applied (key text, holder text)"))
    yield world
    world.close()


@pytest.fixture
def key() -> FenceKey:
    return new_key()


def applied(world: PostgresFence, key: str) -> int:
    with world.engine().connect() as connection:
        query = sa.text("SELECT count(*) FROM applied WHERE key = :key")
        return int(connection.execute(query, {"key": key}).scalar_one())


def apply(connection: sa.Connection, key: str, holder: str) -> None:
    connection.execute(sa.text("INSERT INTO applied VALUES (:key, :holder)"), {"key": key, "holder": holder})


def test_effect_and_done_commit_together(world: PostgresFence, key: FenceKey) -> None:
    fence = Fence(store=world.store(), holder="one")
    with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
        apply(connection, key, "one")
        effect.done("together")
    with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
        assert effect.receipt == "together"
    assert applied(world, key) == 1


def test_a_large_table_is_never_read_as_a_whole(world: PostgresFence) -> None:
    """Without statistics, as after a burst: every verb finds its keys by the primary key."""
    fence = Fence(store=world.store(), holder="one")

    def scans(connection: sa.Connection) -> int:
        connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
        connection.commit()
        query = sa.text("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = :name")
        return int(connection.execute(query, {"name": world.table}).scalar_one())

    with fence.once_many([(new_key(), PAYLOAD) for _ in range(5_000)]) as effects:
        for effect in effects:
            effect.done("many")
    with world.engine().connect() as connection:
        before = scans(connection)
        for number in range(20):  # a driver prepares what it repeats, and the server may plan it anew
            with connection.begin_nested(), fence.once(new_key(), PAYLOAD, connection=connection) as effect:
                effect.done(number) if number % 2 else effect.abandon()
        assert scans(connection) == before


def test_a_crash_in_the_transaction_leaves_neither_key_nor_effect(world: PostgresFence, key: FenceKey) -> None:
    fence = Fence(store=world.store(), holder="one")

    def crashing() -> None:
        with world.engine().begin() as connection:
            with fence.once(key, PAYLOAD, connection=connection) as effect:
                apply(connection, key, "one")
                effect.done()
            raise OSError("crash after done, before the commit")

    with pytest.raises(OSError, match="crash"):
        crashing()
    assert applied(world, key) == 0
    with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
        assert effect.first and effect.attempt == 1
        apply(connection, key, "one")
        effect.done()
    assert applied(world, key) == 1


def test_a_killed_process_leaves_neither_key_nor_effect(world: PostgresFence, key: FenceKey) -> None:
    program = f"""
import os, psycopg
from switchover.fence import Fence
from switchover.fence.postgres import PostgresStore
store = PostgresStore(psycopg.connect({world.server.url(DATABASE)!r}, autocommit=True), table={world.table!r})
with psycopg.connect({world.server.url(DATABASE)!r}) as connection:
    with Fence(store=store, holder="killed").once({str(key)!r}, {PAYLOAD!r}, connection=connection) as effect:
        connection.execute("INSERT INTO applied VALUES (%s, 'killed')", [{str(key)!r}])
        effect.done()
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with world.engine().begin() as connection:
        fence = Fence(store=world.store(), holder="two")
        with fence.once(key, PAYLOAD, connection=connection) as effect:
            assert effect.attempt == 1
            apply(connection, key, "two")
            effect.done()
    assert applied(world, key) == 1


def test_a_duplicate_waits_for_the_transaction_that_holds_its_key(world: PostgresFence, key: FenceKey) -> None:
    fence = Fence(store=world.store(), holder="one")
    seen: list[Any] = []

    def second() -> None:
        with Fence(store=world.store(), holder="two").once(key, PAYLOAD) as effect:
            seen.append(effect.receipt)

    thread = threading.Thread(target=second)
    with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
        thread.start()
        until(lambda: waiting(world))
        effect.done("first")
    thread.join(timeout=10)
    assert seen == ["first"]


def test_a_lock_timeout_is_busy(world: PostgresFence, key: FenceKey) -> None:
    impatient = psycopg.connect(world.server.url(DATABASE), autocommit=True, options="-c lock_timeout=50ms")
    fence = Fence(store=world.store(), holder="one")
    with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
        with pytest.raises(FenceBusy, match="another transaction holds a key"):
            Fence(store=PostgresStore(impatient, table=world.table), holder="two").once(key, PAYLOAD).__enter__()
        effect.done()
    impatient.close()


def waiting(world: PostgresFence) -> bool:
    query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :query")
    with world.engine().connect() as connection:
        return bool(connection.execute(query, {"query": f"%{world.table}%"}).scalar_one())


def test_a_failed_statement_in_the_block_is_the_error_that_is_seen(world: PostgresFence, key: FenceKey) -> None:
    fence = Fence(store=world.store(), holder="one")

    def failing() -> None:
        with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
            effect.done()
            connection.execute(sa.text("SELECT * FROM no_such"))

    with pytest.raises(sa.exc.ProgrammingError, match="no_such"):
        failing()
    assert world.store().read([key]) == []


def test_a_crash_outside_is_taken_over_inside(world: PostgresFence, key: FenceKey) -> None:
    crash(Fence(store=world.store(), holder="one", lease_s=0.001), key)
    fence = Fence(store=world.store(), holder="two")

    def take() -> int:
        with world.engine().begin() as connection, fence.once(key, PAYLOAD, connection=connection) as effect:
            effect.done()
            return effect.attempt

    assert until(take) == 2


def test_a_connection_in_autocommit_is_refused(world: PostgresFence, key: FenceKey) -> None:
    fence = Fence(store=world.store(), holder="one")
    with psycopg.connect(world.server.url(DATABASE), autocommit=True) as connection:
        with pytest.raises(BadInput, match="begin a transaction first"):
            fence.once(key, PAYLOAD, connection=connection).__enter__()
        with connection.transaction(), fence.once(key, PAYLOAD, connection=connection) as effect:
            effect.done()
    with psycopg.connect(world.server.url(DATABASE)) as connection, pytest.raises(BadInput, match="not in autocommit"):
        Fence(store=PostgresStore(connection, table=world.table), holder="one").once(key, PAYLOAD).__enter__()


def test_the_rights_of_the_page_are_enough(world: PostgresFence, key: FenceKey) -> None:
    with world.engine().begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS fence_user"))
        connection.execute(sa.text("CREATE ROLE fence_user LOGIN"))
    url = world.server.url(DATABASE).replace("postgres@", "fence_user@")
    with psycopg.connect(url, autocommit=True) as connection:
        fence = Fence(store=PostgresStore(connection, table=world.table), holder="one")
        with pytest.raises(BadInput, match=r"permission denied.*docs/fence.md"):
            fence.once(key, PAYLOAD).__enter__()
        with world.engine().begin() as owner:
            owner.execute(sa.text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {world.table} TO fence_user"))
        with fence.once(key, PAYLOAD) as effect:
            effect.done()
        fence.purge()
    with world.engine().begin() as owner:
        owner.execute(sa.text("DROP OWNED BY fence_user"))
        owner.execute(sa.text("DROP ROLE fence_user"))


def test_no_server_is_one_line(key: FenceKey) -> None:
    engine = sa.create_engine("postgresql+psycopg://user:secret@127.0.0.1:1/none")
    with pytest.raises(
        Unreachable, match=r"fence: 127.0.0.1:1/none, table switchover_effects: did not answer"
    ) as found:
        Fence(store=PostgresStore(engine), holder="one").once(key, PAYLOAD).__enter__()
    assert "secret" not in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize("table", ["effects; DROP TABLE x", "Effects", "a.b.c", ""])
def test_a_table_name_that_is_none_is_refused(world: PostgresFence, table: str) -> None:
    with pytest.raises(BadInput, match="allowed: NAME or SCHEMA.NAME"):
        PostgresStore(world.engine(), table=table)

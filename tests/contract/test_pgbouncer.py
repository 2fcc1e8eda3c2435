"""Everything that PostgreSQL holds, through a real PgBouncer in transaction mode.

Each transaction may run on another server connection: whatever a client leaves on one, another client finds there.
"""

from __future__ import annotations

import collections
import contextlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from sandbox.processes.postgres import Postgres
from sandbox.servers import Server
from sandbox.service import tables
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.fence import Fence, fence_key
from switchover.fence.postgres import PostgresStore
from switchover.indexes.attest import attest
from switchover.indexes.pgvector import PgvectorIndex
from switchover.ledger import Ledger
from switchover.pointers.base import Change
from switchover.pointers.pgvector import PgvectorPointer, create_tables
from switchover.writers import write_gate
from switchover.writers.queue import How, WriteQueue
from tests.sandbox.index_world import World

DIRECT = {"prepare_threshold": None}


class Pooled:
    """One database: ``edge()`` is a product process behind the pooler, ``direct`` goes round it."""

    def __init__(self, *, pgbouncer: Server, server: Postgres, name: str) -> None:
        login = {"host": pgbouncer.host, "port": pgbouncer.port, "login": "postgres", "schema": name}
        self._connection = Connection(id="db", conn_type="postgres", **login)
        self.url = f"postgresql://postgres@{pgbouncer.address}/{name}"
        self.direct = psycopg.connect(server.url(name), autocommit=True)
        self._edges: list[Edge] = []
        create_tables(self.engine())
        self.direct.execute("INSERT INTO switchover_alias (alias, target) VALUES ('docs', 'a')")
        for arm in "ab":
            self.direct.execute("INSERT INTO switchover_manifest VALUES (%s, 'hash', '{}')", [arm])

    def engine(self) -> sa.Engine:
        self._edges.append(Edge(connections=lambda conn_id: self._connection))
        return self._edges[-1].sql("db")

    def pointer(self) -> PgvectorPointer:
        return PgvectorPointer(engine=self.engine(), alias="docs")

    def close(self) -> None:
        for edge in self._edges:
            edge.close()
        self.direct.close()

    def left_behind(self) -> list[Any]:
        """Named statements on the server's connections, as the next client would find them; both are asked."""
        with contextlib.ExitStack() as stack:
            found = []
            for _ in range(2):
                connection = stack.enter_context(psycopg.connect(self.url, **DIRECT))  # type: ignore[arg-type]
                found += connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
            return found


@pytest.fixture
def pooled(pgbouncer: Server, pg_server: Postgres) -> Iterator[Pooled]:
    name = f"pooled_{uuid.uuid4().hex[:8]}"
    pg_server.create_database(name, vector=True)
    found = Pooled(pgbouncer=pgbouncer, server=pg_server, name=name)
    yield found
    found.close()
    pg_server.drop_database(name)


def at_once(*work: Callable[[], None]) -> None:
    """All beside each other; the first error of any is raised."""
    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(each) for each in work]:
            done.result()


def test_reads_leases_flips_and_fenced_effects_of_many_processes(pooled: Pooled) -> None:
    ledger = Ledger(engine=pooled.engine())
    ledger.create_tables()
    PostgresStore(pooled.engine()).create_table()
    pooled.direct.execute("CREATE TABLE applied (key text PRIMARY KEY)")
    seen: collections.Counter[Any] = collections.Counter()

    def reader() -> None:
        pointer = pooled.pointer()
        for _ in range(40):
            seen[pointer.read().target] += 1

    def mover() -> None:
        pointer = pooled.pointer()
        for epoch in range(1, 21):
            before, after = ("a", "b") if epoch % 2 else ("b", "a")
            pointer.apply(Change(before=before, after=after, epoch=epoch, actor="test", approved_hash="hash"))

    def holder() -> None:
        leases = Ledger(engine=pooled.engine()).leases
        lease = leases.take(uuid.uuid4().hex, holder="me", seconds=60)
        for _ in range(20):
            lease = leases.renew(lease, seconds=60)
        leases.release(lease)

    def consumer() -> None:
        # As a user's: psycopg prepares by itself what it has run five times, unless a statement says not to.
        with (
            psycopg.connect(pooled.url) as connection,
            psycopg.connect(pooled.url, autocommit=True) as own,
        ):
            fence = Fence(store=PostgresStore(own), holder="consumer")
            for number in range(15):
                key = fence_key(source_type="kafka", source_id=uuid.uuid4().hex, revision=1, action="upsert")
                for again in range(2):
                    with connection.transaction(), fence.once(key, {"n": number}, connection=connection) as effect:
                        assert effect.first == (not again)
                        if effect.first:
                            insert = "INSERT INTO applied VALUES (%s)"
                            connection.execute(insert, [str(key)], prepare=False)
                            effect.done(number)
                with fence.once(key, {"n": number}) as effect:
                    assert effect.receipt == number

    at_once(*[reader] * 4, mover, holder, holder, consumer, consumer)
    assert sum(seen.values()) == 160 and set(seen) <= {"a", "b"}
    assert pooled.direct.execute("SELECT count(*) FROM applied").fetchone() == (30,)
    assert pooled.direct.execute("SELECT target, epoch FROM switchover_alias").fetchone() == ("a", 20)
    assert pooled.left_behind() == []


def test_a_read_after_another_process_s_rehearsal_only_reads(pooled: Pooled) -> None:
    """What the rehearsal deletes must not be what a reader, whose driver counts its statements too, runs instead."""
    rehearsing, reading = pooled.pointer(), pooled.pointer()
    for _ in range(8):
        with rehearsing.shadow("a"):
            pass
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(psycopg.connect(pooled.url, **DIRECT))  # type: ignore[arg-type]
        server.execute("SELECT 1")  # takes the one that the rehearsal used, so the reader counts on the other
        for _ in range(8):
            assert reading.read().target == "a"
        other = stack.enter_context(psycopg.connect(pooled.url, **DIRECT))  # type: ignore[arg-type]
        other.execute("SELECT 1")
        server.rollback()
        assert reading.read().target == "a"
    assert pooled.direct.execute("SELECT alias, target FROM switchover_alias").fetchall() == [("docs", "a")]
    assert pooled.left_behind() == []


def test_an_index_is_built_and_proven(pooled: Pooled) -> None:
    tables.create(pooled.direct)
    world = World(conn=pooled.direct, engine=pooled.engine())
    for number in range(12):
        world.write(f"doc-{number:02d}", 1)
    built = world.builder(hnsw={}).run()
    world.write("doc-03", 2, "New text.")
    again = world.builder(hnsw={}).run()
    assert built.changed and again.changed
    found = attest(PgvectorIndex(engine=pooled.engine()), "arm", kept=None, save=lambda proof: None)
    assert (found.index_hash, found.proof.tally.sum.count) == (again.manifest.index_hash, len(world.rows("arm")))
    assert pooled.left_behind() == []


def test_writes_are_gated_and_queued(pooled: Pooled) -> None:
    write_gate.create_table(pooled.engine())
    pooled.direct.execute("INSERT INTO switchover_fence (fence) VALUES ('docs')")
    PostgresStore(pooled.engine()).create_table()
    pooled.direct.execute("CREATE TABLE applied (n int)")
    with psycopg.connect(pooled.url, autocommit=True) as connection:
        fence = Fence(store=PostgresStore(connection), holder="writer")
        queue = WriteQueue(fence=fence, gate="docs", stream="edits")
        queue.create_table(connection)

        def apply(payload: Any) -> int:
            connection.execute("INSERT INTO applied VALUES (%s)", [payload["n"]], prepare=False)
            return int(payload["n"])

        def write(number: int) -> How:
            return queue.write(connection, key=f"k{number}", revision=1, payload={"n": number}, apply=apply)

        assert {write(number) for number in range(8)} == {How.APPLIED}
        pooled.direct.execute("UPDATE switchover_fence SET frozen = true")
        assert {write(number) for number in range(8, 16)} == {How.QUEUED}
        pooled.direct.execute("UPDATE switchover_fence SET frozen = false")
        assert queue.drain(connection, apply=apply, onto=lambda: "b") == 8
    assert pooled.direct.execute("SELECT count(*), count(DISTINCT n) FROM applied").fetchone() == (16, 16)
    assert pooled.left_behind() == []

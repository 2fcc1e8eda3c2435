"""What only keys do: users and rights of PostgreSQL, names of keys, the check of an arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from sandbox.processes.postgres import Postgres
from sandbox.servers import Server
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, PointerConflict, TargetRefused, Unreachable
from switchover.pointers import AnyPointer, Pointer, PointerSpec, kv_sql
from switchover.pointers.kv import KeyCheck
from tests.contract.answering import answering
from tests.contract.keys import pointer_on
from tests.contract.worlds.base import BLUE, CONNECTION, back, change
from tests.contract.worlds.chroma import ChromaWorld
from tests.contract.worlds.etcd import EtcdWorld
from tests.contract.worlds.sql import DATABASE, KvSqlWorld

CHECK = {"connection": "arms", "path": "/collections/{target}"}


@pytest.fixture
def etcd_world(etcd: Server) -> Iterator[EtcdWorld]:
    world = EtcdWorld(etcd)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


@pytest.fixture
def sql_world(pg_server: Postgres) -> Iterator[KvSqlWorld]:
    world = KvSqlWorld(pg_server)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def as_role(world: KvSqlWorld, rights: str) -> Pointer:
    """The pointer of a user who has these rights on the table, and no others."""
    world.execute(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kv_role') THEN CREATE ROLE kv_role LOGIN;"
        " END IF; END $$"
    )
    world.execute("REVOKE ALL ON switchover_key FROM kv_role")
    world.execute(f"GRANT {rights} ON switchover_key TO kv_role")
    return pointer_on("kv_sql", dataclasses.replace(world.connection(world.address), login="kv_role"), key=world.name)


def test_the_grants_of_the_page_are_enough_for_everything(sql_world: KvSqlWorld) -> None:
    pointer = as_role(sql_world, "SELECT, INSERT, UPDATE, DELETE")
    pointer.refuse_older(3)
    assert pointer.apply(change(epoch=3)).changed
    with pointer.shadow(BLUE) as shadow:
        assert shadow.apply(change(epoch=3)).changed
    assert pointer.apply(back(epoch=3)).changed


ROW_SECURITY = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON switchover_key TO kv_role",
    "ALTER TABLE switchover_key ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY everybody_reads ON switchover_key FOR SELECT USING (true)",
    "CREATE POLICY docs_moves ON switchover_key TO kv_role USING (key IN ('docs', 'docs__rehearsal'))",
)


def test_row_security_lets_a_role_move_one_key_only(sql_world: KvSqlWorld, fresh_db: str) -> None:
    as_role(sql_world, "SELECT")
    engine = sa.create_engine(fresh_db)
    kv_sql.create_table(engine)
    with engine.begin() as connection:
        for statement in ROW_SECURITY:
            connection.execute(sa.text(statement))
        for key in ("docs", "billing"):
            connection.execute(sa.text(kv_sql.CREATE), {"key": key, "target": BLUE, "epoch": 0, "actor": ""})
    own = dataclasses.replace(sql_world.connection(sql_world.address), login="kv_role", schema=str(engine.url.database))
    assert pointer_on("kv_sql", own).apply(change()).changed
    with pointer_on("kv_sql", own).shadow(BLUE) as shadow:
        assert shadow.apply(change()).changed
    other = pointer_on("kv_sql", own, key="billing")
    with pytest.raises(PointerConflict, match="nothing was changed"):
        other.apply(change())
    assert other.read().target == BLUE
    engine.dispose()


def test_a_missing_right_in_sql_is_said_and_changes_nothing(sql_world: KvSqlWorld) -> None:
    with pytest.raises(BadInput, match=r"permission denied for table switchover_key; docs/pointers/kv\.md has"):
        as_role(sql_world, "SELECT").apply(change())
    assert sql_world.serve() == {BLUE}


def test_a_missing_table_is_said_with_the_way_out(fresh_db: str) -> None:
    engine = sa.create_engine(fresh_db)
    store = kv_sql.SqlStore(engine=engine)
    with pytest.raises(BadInput, match=r'relation "switchover_key" does not exist; docs/pointers/kv\.md has the table'):
        store.get("docs")
    kv_sql.create_table(engine)
    kv_sql.create_table(engine)  # as often as one likes
    assert store.get("docs") is None
    engine.dispose()


def test_a_database_that_is_not_there_is_one_line(sql_world: KvSqlWorld) -> None:
    connection = dataclasses.replace(sql_world.connection(sql_world.address), schema="nowhere")
    with pytest.raises(Unreachable, match='database "nowhere" does not exist') as raised:
        pointer_on("kv_sql", connection).read()
    assert "\n" not in str(raised.value)
    assert DATABASE not in str(raised.value)


@pytest.mark.parametrize("kind", ["kv_sql", "kv_etcd"])
@pytest.mark.parametrize(("key", "says"), [("", "at least 1 character"), ("d" * 201, "at most 200 characters")])
def test_a_key_of_another_length_is_refused(kind: str, key: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        pointer_on(kind, Connection(id=CONNECTION, conn_type="http"), key=key)


@pytest.mark.parametrize("key", ["d" * 200, "/docs/live", "Dokumente: überall", "a b"])
def test_every_allowed_key_is_a_key_of_its_own(etcd_world: EtcdWorld, sql_world: KvSqlWorld, key: str) -> None:
    for kind, world in (("kv_etcd", etcd_world), ("kv_sql", sql_world)):
        pointer = pointer_on(kind, world.connection(world.address), key=key)
        with pointer.shadow(BLUE) as shadow:
            assert shadow.apply(change()).changed
            assert pointer.read().target is None
        with pytest.raises(PointerConflict, match="does not exist"):
            pointer.apply(change())


@pytest.fixture
def chroma_world(chroma: Server) -> Iterator[ChromaWorld]:
    world = ChromaWorld(chroma)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def test_a_collection_of_another_build_is_refused(chroma_world: ChromaWorld) -> None:
    """Chroma keeps what was said of a collection when it was made, and gives it back with it."""
    with pytest.raises(TargetRefused, match="has INDEX_HASH hash-docs_v2, approved is another; nothing was changed"):
        chroma_world.pointer().apply(change(approved="another"))
    assert chroma_world.pointer().apply(change(approved="hash-docs_v2")).changed


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (204, None, ""),
        (404, TargetRefused, "'docs_v2' does not exist: .*/collections/docs_v2 answered 404; nothing was changed"),
        (503, TargetRefused, "'docs_v2' is unhealthy: .* answered 503; nothing was changed"),
        (403, BadInput, "answered 403; nothing was changed"),
        (429, Unreachable, "is busy"),
    ],
)
def test_what_the_check_says_is_obeyed(
    etcd_world: EtcdWorld, status: int, error: type[Exception] | None, says: str
) -> None:
    with answering(status, {}) as port:
        arms = Connection(id="arms", conn_type="http", host="127.0.0.1", port=port)
        own = etcd_world.connection(etcd_world.address)
        edge = Edge(connections=lambda conn_id: arms if conn_id == "arms" else own)
        adapter: TypeAdapter[PointerSpec] = TypeAdapter(AnyPointer)
        parts = {"kind": "kv_etcd", "connection": CONNECTION, "key": etcd_world.name, "check": CHECK}
        pointer = adapter.validate_python(parts).build(edge)
        if error is None:
            assert pointer.apply(change()).changed
        else:
            with pytest.raises(error, match=says):
                pointer.apply(change())
            assert etcd_world.serve() == {BLUE}
        edge.close()


def test_a_check_that_nobody_answers_is_unreachable(etcd_world: EtcdWorld) -> None:
    own = etcd_world.connection(etcd_world.address)
    nobody = Connection(id="arms", conn_type="http", host="127.0.0.1", port=1)
    edge = Edge(connections=lambda conn_id: nobody if conn_id == "arms" else own)
    adapter: TypeAdapter[PointerSpec] = TypeAdapter(AnyPointer)
    parts = {"kind": "kv_etcd", "connection": CONNECTION, "key": etcd_world.name, "check": CHECK}
    with pytest.raises(Unreachable, match=r"check of 'docs_v2' at http://127\.0\.0\.1:1/collections/docs_v2"):
        adapter.validate_python(parts).build(edge).apply(change())
    assert etcd_world.serve() == {BLUE}
    edge.close()


def test_a_check_without_a_place_for_the_arm_is_refused() -> None:
    with pytest.raises(ValidationError, match="pattern"):
        KeyCheck(connection="arms", path="/healthz")

"""What only a Qdrant alias does: a token that is renamed with the move, answers of the server, a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from sandbox.servers import Server
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, TargetRefused, Unreachable
from switchover.pointers import Pointer
from switchover.pointers.qdrant import QdrantSpec
from tests.contract.answering import answering
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
from tests.contract.worlds.qdrant import QdrantWorld

RED = {
    "status": "red",
    "optimizer_status": {"error": "disk is full"},
    "points_count": 5,
    "segments_count": 1,
    "payload_schema": {},
    "config": {
        "params": {"vectors": {"size": 2, "distance": "Cosine"}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    },
}


@pytest.fixture
def world(qdrant: Server) -> Iterator[QdrantWorld]:
    world = QdrantWorld(qdrant)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def tokens(world: QdrantWorld) -> list[str]:
    names = [each.alias_name for each in world.client.get_aliases().aliases]
    return sorted(name for name in names if name.startswith(f"{world.name}__epoch_"))


def pointer_on(connection: Connection, alias: str = "docs") -> Pointer:
    return QdrantSpec(kind="qdrant", connection=CONNECTION, alias=alias).build(Edge(connections=lambda _: connection))


def pointer_at(port: int) -> Pointer:
    """A pointer on a server that is none."""
    return pointer_on(Connection(id=CONNECTION, conn_type="qdrant", host="127.0.0.1", port=port))


def test_of_two_holders_with_one_token_the_second_changes_nothing(world: QdrantWorld) -> None:
    """Two that both have read the same token, even of the same epoch: the first move takes it away."""
    one, two = world.pointer(), world.pointer()
    one.refuse_older(4)
    seen_by_one, seen_by_two = one.read(), two.read()
    assert one.swap(seen_by_one, change(epoch=4))
    assert not two.swap(seen_by_two, change(BLUE, "elsewhere", epoch=4))
    assert world.serve() == {GREEN}


def test_a_token_never_comes_again(world: QdrantWorld) -> None:
    pointer, seen = world.pointer(), set()
    pointer.refuse_older(4)
    for wanted in (change(epoch=4), back(epoch=4), change(epoch=4)):
        pointer.apply(wanted)
        seen.update(tokens(world))
    assert len(seen) == 3
    assert len(tokens(world)) == 1


def test_the_token_survives_the_old_collection(world: QdrantWorld) -> None:
    """Dropping a collection takes its aliases with it."""
    pointer = world.pointer()
    pointer.refuse_older(5)
    pointer.apply(change(epoch=5))
    world.client.delete_collection(world.collections[BLUE])
    assert pointer.read().epoch == 5


def test_two_tokens_become_one_and_the_newer_stays(world: QdrantWorld) -> None:
    """Two holders that both find none make one each."""
    for epoch in (3, 8):
        create = models.CreateAlias(
            collection_name=world.collections[BLUE], alias_name=f"{world.name}__epoch_{epoch}_aa"
        )
        world.client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    pointer = world.pointer()
    pointer.refuse_older(5)
    assert tokens(world) == [f"{world.name}__epoch_8_aa"]
    assert pointer.read().epoch == 8


def test_a_request_that_fails_halfway_leaves_the_alias_where_it_was(world: QdrantWorld) -> None:
    """The token is renamed first, the alias is moved second: a target that went away stops there."""
    pointer = world.pointer()
    pointer.refuse_older(2)
    before, now = tokens(world), pointer.read()
    world.spoil(GREEN, "missing")
    assert not pointer.swap(now, change(epoch=2))
    assert world.serve() == {BLUE}
    assert tokens(world) != before
    assert pointer.read().epoch == 2


def test_a_build_that_was_not_approved_is_refused(world: QdrantWorld) -> None:
    with pytest.raises(TargetRefused, match=r"has INDEX_HASH hash-docs_v2 \(its metadata 'index_hash'\), approved is"):
        world.pointer().apply(change(approved="another"))
    assert world.pointer().apply(change(approved="hash-docs_v2")).changed


def test_an_alias_that_is_a_collection_is_said(world: QdrantWorld) -> None:
    with pytest.raises(BadInput, match="is a collection; allowed: an alias"):
        pointer_on(world.connection(world.address), alias=world.collections[BLUE]).read()


def test_a_red_collection_is_refused() -> None:
    aliases = {"result": {"aliases": [{"alias_name": "docs", "collection_name": BLUE}]}, "status": "ok", "time": 0}
    red = {"result": RED, "status": "ok", "time": 0}
    with (
        answering(500, {}, aliases=aliases, **{GREEN: red}) as port,
        pytest.raises(TargetRefused, match="is unhealthy: status red .*disk is full.*nothing was changed"),
    ):
        pointer_at(port).apply(change())


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (401, "Must provide an API key", BadInput, "answered 401: .*needed: an API key with global manage access"),
        (403, {"status": {"error": "Forbidden: Global access is required"}}, BadInput, "Global access is required"),
        (404, {}, BadInput, "answered 404"),
        (429, {"status": {"error": "Rate limiting exceeded"}}, Unreachable, "Rate limiting exceeded"),
        (500, {"status": {"error": "Service internal error"}}, Unreachable, "answered 500: Service internal error"),
        (503, "<html>", Unreachable, "answered 503"),
        (200, "<html>", Unreachable, "did not answer"),
    ],
)
def test_an_answer_that_is_an_error_is_one_line(status: int, body: Any, error: type[Exception], says: str) -> None:
    with answering(status, body) as port, pytest.raises(error, match=says) as raised:
        pointer_at(port).read()
    assert "\n" not in str(raised.value)


def test_a_server_that_asks_for_patience_is_unreachable() -> None:
    body = {"status": {"error": "Rate limiting exceeded"}}
    with answering(429, body, {"Retry-After": "7"}) as port, pytest.raises(Unreachable, match="is busy: Rate limiting"):
        pointer_at(port).read()


def test_a_local_folder_is_a_store_too(tmp_path: Path) -> None:
    """The client's local mode, without HTTP: it says by ValueError what the server says by 404."""
    client = QdrantClient(path=str(tmp_path))
    for name in (BLUE, GREEN):
        client.create_collection(name, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert(name, points=[models.PointStruct(id=1, vector=[1.0, 0.0])])
    create = models.CreateAlias(collection_name=BLUE, alias_name="docs")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    client.close()
    connection = Connection(id=CONNECTION, conn_type="qdrant", extra={"path": str(tmp_path)})
    edge = Edge(connections=lambda _: connection)
    pointer = QdrantSpec(kind="qdrant", connection=CONNECTION, alias="docs").build(edge)
    assert str(tmp_path) in pointer.key
    pointer.refuse_older(3)
    late = pointer.read()
    assert pointer.apply(change(epoch=3)).changed
    assert not pointer.swap(late, change(epoch=3))
    with pytest.raises(TargetRefused, match="does not exist"):
        pointer.apply(change(GREEN, "elsewhere", epoch=3))
    edge.close()

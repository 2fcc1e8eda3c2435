"""What only a Milvus alias does: one write and no second, rights, tokens that must not hold a collection back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from pydantic import ValidationError
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from sandbox.servers import Server
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, TargetRefused, Unreachable
from switchover.pointers.milvus import MilvusSpec
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
from tests.contract.worlds.milvus import MilvusWorld

SERVICE = "/milvus.proto.milvus.MilvusService/"


@pytest.fixture
def world(milvus: Server) -> Iterator[MilvusWorld]:
    world = MilvusWorld(milvus)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


class Between(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Forwards every call to a real server, but answers some by itself; ``calls`` are the names of all."""

    answers: Mapping[str, Callable[[bytes], bytes | None]] = {}

    def __init__(self, upstream: str, refused: Mapping[str, grpc.StatusCode]) -> None:
        self._channel = grpc.insecure_channel(upstream)
        self._refused = refused
        self.calls: list[str] = []

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        name = method.removeprefix(SERVICE)
        forward: Callable[..., bytes] = self._channel.unary_unary(method)

        def answer(request: bytes, context: Any) -> bytes:
            self.calls.append(name)
            if name in self._refused:
                context.abort(self._refused[name], "some\nreason")
            own = self.answers[name](request) if name in self.answers else None
            return own if own is not None else forward(request, timeout=10)

        return grpc.unary_unary_rpc_method_handler(answer)


@contextlib.contextmanager
def between(world: MilvusWorld, **refused: grpc.StatusCode) -> Iterator[tuple[Between, tuple[str, int]]]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handler = Between(world.server.address, refused)
    server.add_generic_rpc_handlers([handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield handler, ("127.0.0.1", port)
    finally:
        server.stop(0).wait()


def test_a_write_without_an_answer_is_not_written_again(world: MilvusWorld) -> None:
    """The client's own methods write again for seconds: over what a newer holder has done by then."""
    with between(world, AlterAlias=grpc.StatusCode.UNAVAILABLE) as (handler, address):
        with pytest.raises(Unreachable, match="did not answer"):
            world.pointer(address).apply(change())
        assert handler.calls.count("AlterAlias") == 1
    assert world.serve() == {BLUE}


@pytest.mark.parametrize("call", ["AlterAlias", "CreateAlias", "ListAliases", "Query"])
def test_a_missing_right_is_said_with_what_is_needed(world: MilvusWorld, call: str) -> None:
    with (
        between(world, **{call: grpc.StatusCode.PERMISSION_DENIED}) as (_, address),
        pytest.raises(BadInput, match="PERMISSION_DENIED: some reason; needed: CreateAlias, DropAlias") as raised,
    ):
        world.pointer(address).apply(change())
    assert "\n" not in str(raised.value)
    assert world.serve() == {BLUE}


def test_a_wrong_login_is_said(world: MilvusWorld) -> None:
    with (
        between(world, Connect=grpc.StatusCode.UNAUTHENTICATED) as (_, address),
        pytest.raises(BadInput, match=r"connection 'store' at .*: login refused: UNAUTHENTICATED: some reason"),
    ):
        world.pointer(address).read()


@pytest.mark.parametrize("status", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
def test_a_busy_server_is_unreachable(world: MilvusWorld, status: grpc.StatusCode) -> None:
    with between(world, AlterAlias=status) as (_, address), pytest.raises(Unreachable, match="did not answer"):
        world.pointer(address).apply(change())


def test_the_token_follows_so_that_the_old_collection_can_be_dropped(world: MilvusWorld) -> None:
    """A Milvus cluster refuses to drop a collection that has an alias; Milvus Lite drops the aliases with it."""
    pointer = world.pointer()
    pointer.refuse_older(5)
    pointer.apply(change(epoch=5))
    token = f"{world.name}__epoch_5"
    assert world.client.describe_alias(token)["collection_name"] == world.collections[GREEN]
    world.client.drop_collection(world.collections[BLUE])
    assert pointer.read().epoch == 5


def test_one_token_stands_however_often_it_is_fenced(world: MilvusWorld) -> None:
    pointer = world.pointer()
    for epoch in (2, 3, 3, 7, 5):
        pointer.refuse_older(epoch)
    names = [name for name in world.client.list_aliases()["aliases"] if name.startswith(f"{world.name}__")]
    assert names == [f"{world.name}__epoch_7"]


def test_a_collection_that_goes_between_look_and_write_changes_nothing(world: MilvusWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.spoil(GREEN, "missing")
    assert not pointer.swap(now, change())
    assert world.serve() == {BLUE}


def test_a_build_that_was_not_approved_is_refused(world: MilvusWorld) -> None:
    with pytest.raises(TargetRefused, match=r"has INDEX_HASH hash-docs_v2 \(its property 'index_hash'\), approved is"):
        world.pointer().apply(change(approved="another"))
    assert world.pointer().apply(change(approved="hash-docs_v2")).changed


def test_an_unloaded_collection_is_named_with_the_way_out(world: MilvusWorld) -> None:
    pointer = world.pointer()
    pointer.apply(change())
    world.client.release_collection(world.collections[BLUE])
    with pytest.raises(TargetRefused, match=r"not loaded \(load_collection loads it\); nothing was changed"):
        pointer.apply(back())
    assert world.serve() == {GREEN}


def test_a_collection_with_some_partitions_loaded_is_refused(world: MilvusWorld) -> None:
    """A query gives rows of those that are loaded. Milvus Lite loads all or none, so its answer is put in between."""
    world.client.create_partition(world.collections[GREEN], "older")

    def half(request: bytes) -> bytes | None:
        asked = milvus_pb2.GetLoadStateRequest.FromString(request)
        if list(asked.partition_names) != ["older"]:
            return None
        said: bytes = milvus_pb2.GetLoadStateResponse(state=common_pb2.LoadStateNotLoad).SerializeToString()
        return said

    told = "is unhealthy: 1 partitions are not loaded .older; load_collection loads all.; nothing was changed"
    with between(world) as (handler, address):
        handler.answers = {"GetLoadState": half}
        with pytest.raises(TargetRefused, match=told):
            world.pointer(address).apply(change())
        handler.answers = {}
        assert world.pointer(address).apply(change()).changed


def test_an_alias_that_is_a_collection_is_said(world: MilvusWorld) -> None:
    edge = Edge(connections=lambda _: world.connection(world.address))
    pointer = MilvusSpec(kind="milvus", connection=CONNECTION, alias=world.collections[BLUE]).build(edge)
    with pytest.raises(BadInput, match="is a collection; allowed: an alias"):
        pointer.read()
    edge.close()


def test_a_database_that_is_not_there_is_said(world: MilvusWorld) -> None:
    host, port = world.address
    connection = Connection(id=CONNECTION, conn_type="generic", host=host, port=port, schema="nowhere")
    edge = Edge(connections=lambda _: connection)
    pointer = MilvusSpec(kind="milvus", connection=CONNECTION, alias="docs").build(edge)
    assert pointer.key.endswith(f":{port}/nowhere/docs")
    with pytest.raises(BadInput, match="nowhere"):
        pointer.read()
    edge.close()


def test_a_name_that_the_server_refuses_is_bad_input() -> None:
    with pytest.raises(ValidationError, match="allowed: up to 255 letters a-z, digits and _"):
        MilvusSpec(kind="milvus", connection=CONNECTION, alias="docs-live")


def test_two_arms_on_one_collection_are_bad_input() -> None:
    with pytest.raises(ValidationError, match="two arms have the same collection"):
        MilvusSpec(kind="milvus", connection=CONNECTION, alias="docs", targets={BLUE: "docs", GREEN: "docs"})

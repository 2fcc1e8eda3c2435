"""What only a Weaviate alias does: rights that hide aliases, aliases that outlive their collection, names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import weaviate as package
from pydantic import ValidationError
from weaviate.classes.config import Configure
from weaviate.classes.init import Auth
from weaviate.classes.rbac import Permissions

from sandbox import servers
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers import NotHere, Server
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, TargetRefused, Unreachable
from switchover.pointers import Pointer
from switchover.pointers.weaviate import WeaviateSpec
from tests.contract.answering import answering
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
from tests.contract.worlds.weaviate import WeaviateWorld

ADMIN, LIMITED = "admin-key", "pointer-key"
SETTINGS = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
    "AUTHENTICATION_APIKEY_ENABLED": "true",
    "AUTHENTICATION_APIKEY_ALLOWED_KEYS": f"{ADMIN},{LIMITED}",
    "AUTHENTICATION_APIKEY_USERS": "admin,pointer",
    "AUTHORIZATION_RBAC_ENABLED": "true",
    "AUTHORIZATION_RBAC_ROOT_USERS": "admin",
}


@pytest.fixture
def world(weaviate: Server) -> Iterator[WeaviateWorld]:
    world = WeaviateWorld(weaviate)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


class GuardedWorld(WeaviateWorld):
    """A world on a server with users; pointers have the limited one's key."""

    key = LIMITED

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return dataclasses.replace(super().connection(address), password=self.key)

    @property
    def client(self) -> Any:  # type: ignore[override]
        if not hasattr(self, "_admin"):
            self._admin = package.connect_to_local(
                host=self.server.host,
                port=self.server.port,
                grpc_port=self.server.connection["extra"]["grpc_port"],
                auth_credentials=Auth.api_key(ADMIN),
                skip_init_checks=True,
            )
        return self._admin

    def allow(self, *permissions: Any) -> None:
        """Give the limited user these rights and no others."""
        if self.client.roles.exists("pointer"):
            self.client.roles.delete(role_name="pointer")
        self.client.roles.create(role_name="pointer", permissions=list(permissions))
        self.client.users.db.assign_roles(user_id="pointer", role_names=["pointer"])


@pytest.fixture(scope="module")
def guarded_server(servers_keeper: KeeperClient) -> Iterator[Server]:
    try:
        server = servers.start_weaviate(servers_keeper, name="weaviate-guarded", settings=SETTINGS)
    except NotHere as reason:
        pytest.skip(str(reason))
    yield server
    server.stop()


@pytest.fixture
def guarded(guarded_server: Server) -> Iterator[GuardedWorld]:
    world = GuardedWorld(guarded_server)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def aliases(pattern: str, **rights: bool) -> Any:
    return Permissions.alias(
        alias=pattern,
        collection="*",
        **(rights or dict.fromkeys(("create", "read", "update", "delete"), True)),
    )


def readers(name: str) -> list[Any]:
    return [
        Permissions.collections(collection=f"{name}*", read_config=True),
        Permissions.data(collection=f"{name}*", read=True),
    ]


def test_the_role_of_the_page_is_enough_for_everything(guarded: GuardedWorld) -> None:
    guarded.allow(aliases(f"{guarded.name}*"), *readers(guarded.name))
    pointer = guarded.pointer()
    pointer.refuse_older(3)
    assert pointer.apply(change(epoch=3, approved="hash-docs_v2")).changed
    with pointer.shadow(BLUE) as shadow:
        assert shadow.apply(change(epoch=3)).changed
    assert pointer.apply(back(epoch=3)).changed
    assert pointer.read().epoch == 3


def test_an_alias_that_may_not_be_read_is_not_taken_for_absent(guarded: GuardedWorld) -> None:
    guarded.allow(*readers(guarded.name))
    with pytest.raises(BadInput, match=r"403.*needed: a role that may create, read, update and delete these aliases"):
        guarded.pointer().read()


def test_no_right_to_move_is_said(guarded: GuardedWorld) -> None:
    guarded.allow(aliases(f"{guarded.name}*", create=True, read=True, delete=True), *readers(guarded.name))
    with pytest.raises(BadInput, match=r"403.*this request changed nothing"):
        guarded.pointer().apply(change())
    assert guarded.serve() == {BLUE}


def test_a_fence_that_its_holder_cannot_see_is_refused(guarded: GuardedWorld) -> None:
    """The role covers the alias alone: its tokens would be left out of every list, and never stop anybody."""
    hidden = aliases(f"{guarded.name}__*", create=True, delete=True)
    guarded.allow(aliases(guarded.name), hidden, *readers(guarded.name))
    with pytest.raises(BadInput, match=r"does not see it; needed: the right to list the aliases"):
        guarded.pointer().refuse_older(4)
    assert guarded.serve() == {BLUE}


def test_a_wrong_key_is_one_line(guarded: GuardedWorld) -> None:
    guarded.key = "not-a-key"
    with pytest.raises(BadInput, match=r"connection 'store' at 127\.0\.0\.1:\d+: login refused"):
        guarded.pointer().read()


def test_the_fence_outlives_the_collection_that_its_token_was_made_on(world: WeaviateWorld) -> None:
    pointer = world.pointer()
    pointer.refuse_older(5)
    pointer.apply(change(epoch=5))
    world.client.collections.delete(world.collections[BLUE])
    assert pointer.read().epoch == 5
    pointer.refuse_older(6)
    assert [name for name in world.client.alias.list_all() if name.startswith(world.name)] == [
        world.name,
        f"{world.name}__epoch_6",
    ]


def test_a_collection_that_goes_between_look_and_write_changes_nothing(world: WeaviateWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.spoil(GREEN, "missing")
    assert not pointer.swap(now, change())
    assert world.serve() == {BLUE}


def test_a_build_that_was_not_approved_is_refused(world: WeaviateWorld) -> None:
    with pytest.raises(TargetRefused, match=r"has INDEX_HASH hash-docs_v2 \(its description.*\), approved is another"):
        world.pointer().apply(change(approved="another"))
    assert world.pointer().apply(change(approved="hash-docs_v2")).changed


def test_a_collection_with_tenants_is_refused(world: WeaviateWorld) -> None:
    """It gives no object unless a tenant is named, to us and to a reader of the alias."""
    world.client.collections.delete(world.collections[GREEN])
    world.client.collections.create(
        world.collections[GREEN], multi_tenancy_config=Configure.multi_tenancy(enabled=True)
    )
    with pytest.raises(TargetRefused, match="is unhealthy: .*tenan.*nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}


def test_an_alias_that_is_a_collection_is_said(world: WeaviateWorld) -> None:
    with pytest.raises(BadInput, match="is a collection; allowed: an alias"):
        pointer_of(world, alias=world.collections[BLUE]).read()


@pytest.mark.parametrize("alias", ["docs", "Docs-live", "Docs live"])
def test_a_name_that_the_server_would_change_or_refuse_is_bad_input(alias: str) -> None:
    with pytest.raises(ValidationError, match="begun with a capital letter"):
        WeaviateSpec(kind="weaviate", connection=CONNECTION, alias=alias)


def test_a_target_that_the_server_would_rename_is_refused(world: WeaviateWorld) -> None:
    with pytest.raises(TargetRefused, match="'docs_v9' is no collection's name: a capital first"):
        world.pointer().apply(change(after="docs_v9"))


def pointer_of(world: WeaviateWorld, alias: str) -> Pointer:
    edge = Edge(connections=lambda _: world.connection(world.address))
    world._edges.append(edge)
    return WeaviateSpec(kind="weaviate", connection=CONNECTION, alias=alias).build(edge)


def pointer_at(port: int) -> Pointer:
    """A pointer on a server that is none."""
    connection = Connection(id=CONNECTION, conn_type="weaviate", host="127.0.0.1", port=port)
    return WeaviateSpec(kind="weaviate", connection=CONNECTION, alias="Docs").build(
        Edge(connections=lambda _: connection)
    )


@pytest.mark.parametrize(
    ("status", "error"), [(429, Unreachable), (500, Unreachable), (503, Unreachable), (400, BadInput)]
)
def test_an_answer_that_is_an_error_is_one_line(status: int, error: type[Exception]) -> None:
    body = {"error": [{"message": "no\nleader"}]}
    with answering(status, body, meta={"version": "1.35.2"}) as port, pytest.raises(error, match=f"{status}") as raised:
        pointer_at(port).read()
    assert "\n" not in str(raised.value)


def test_a_server_without_aliases_is_said() -> None:
    with (
        answering(404, {}, meta={"version": "1.31.9"}) as port,
        pytest.raises(BadInput, match=r"at least version 1\.32"),
    ):
        pointer_at(port).read()

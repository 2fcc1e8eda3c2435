"""What only a key in etcd does: values of somebody else, users and rights, a login that ends."""

from __future__ import annotations

import base64
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox import servers
from sandbox.processes.airflow_home import base_environment
from sandbox.servers import Server
from switchover.edge.connection import Connection
from switchover.errors import BadInput, Unreachable
from switchover.pointers import Pointer
from tests.contract.answering import answering
from tests.contract.keys import pointer_on
from tests.contract.worlds.base import BLUE, CONNECTION, back, change
from tests.contract.worlds.etcd import EtcdWorld
from tests.servers import here, short_lived_keeper

ROOT, LIMITED = ("root", "root-password"), ("switchover", "its-password")
TOKEN_S = 1  # etcd forgets a login so long after its last use


def etcd_at(port: int, **parts: Any) -> Pointer:
    return pointer_on("kv_etcd", Connection(id=CONNECTION, conn_type="http", host="127.0.0.1", port=port), **parts)


@pytest.fixture
def etcd_world(etcd: Server) -> Iterator[EtcdWorld]:
    world = EtcdWorld(etcd)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


@pytest.mark.parametrize(
    "value", ["docs_v1", '"docs_v1"', "[]", '{"epoch": 3}', '{"target": "docs_v1", "epoch": "x"}', ""]
)
def test_a_value_of_somebody_else_is_shown_and_left_alone(etcd_world: EtcdWorld, value: str) -> None:
    etcd_world.call("put", key=etcd_world.name, value=value)
    with pytest.raises(BadInput, match='allowed: JSON {"target": ARM, "epoch": N}; nothing was changed') as raised:
        etcd_world.pointer().apply(change())
    assert "\n" not in str(raised.value)
    found = etcd_world.call("range", key=etcd_world.name)["kvs"][0]
    assert base64.b64decode(found.get("value", "")).decode() == value


def test_a_value_without_an_epoch_is_where_it_begins(etcd_world: EtcdWorld) -> None:
    etcd_world.call("put", key=etcd_world.name, value='{"target": "docs_v1"}')
    pointer = etcd_world.pointer()
    assert pointer.read().epoch == 0
    assert pointer.apply(change(epoch=2)).changed
    assert pointer.read().epoch == 2


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (
            400,
            {"message": "etcdserver: permission denied"},
            BadInput,
            "permission denied.*changed nothing",
        ),
        (403, {"message": "etcdserver: permission denied"}, BadInput, "needed: a role that may read and write the key"),
        (404, "page not found", BadInput, "answered 404: no JSON"),
        (200, "<html>", Unreachable, "answered 200: no JSON"),
        (200, "{}", Unreachable, "answered 200: is not etcd's"),
        (429, {"message": "etcdserver: too many requests"}, Unreachable, "too many requests"),
        (503, {"message": "etcdserver: no leader"}, Unreachable, "no leader"),
        (504, {"message": "etcdserver: request timed out"}, Unreachable, "timed out"),
    ],
)
def test_an_answer_that_is_an_error_is_one_line(status: int, body: Any, error: type[Exception], says: str) -> None:
    with answering(status, body) as port, pytest.raises(error, match=says) as raised:
        etcd_at(port).read()
    assert "\n" not in str(raised.value)


class GuardedEtcdWorld(EtcdWorld):
    """A world on an etcd with users: the role may do no more than the page says."""

    login = LIMITED

    def connection(self, address: tuple[str, int] | str) -> Connection:
        name, password = self.login
        return dataclasses.replace(super().connection(address), login=name, password=password)

    @property
    def client(self) -> httpx.Client:  # type: ignore[override]
        client = httpx.Client(base_url=self.server.url, trust_env=False)
        body = {"name": ROOT[0], "password": ROOT[1]}
        client.headers["Authorization"] = client.post("/v3/auth/authenticate", json=body).json()["token"]
        return client

    def post(self, path: str, **body: Any) -> None:
        self.client.post(path, json=body).raise_for_status()

    def allow(self, *keys: str) -> None:
        """The limited user may read and write these keys."""
        for key in keys:
            permission = {"permType": "READWRITE", "key": base64.b64encode(key.encode()).decode()}
            self.post("/v3/auth/role/grant", name=LIMITED[0], perm=permission)


@pytest.fixture(scope="module")
def guarded_etcd() -> Iterator[Server]:
    environment = {**base_environment(), "ETCD_AUTH_TOKEN_TTL": str(TOKEN_S)}
    with short_lived_keeper() as keeper:
        server = here(lambda keeper: servers.start_etcd(keeper, env=environment), keeper)
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            for name, password in (ROOT, LIMITED):
                client.post("/v3/auth/user/add", json={"name": name, "password": password}).raise_for_status()
                client.post("/v3/auth/role/add", json={"name": name}).raise_for_status()
                client.post("/v3/auth/user/grant", json={"user": name, "role": name}).raise_for_status()
            client.post("/v3/auth/enable", json={}).raise_for_status()
        yield server


@pytest.fixture
def guarded(guarded_etcd: Server) -> Iterator[GuardedEtcdWorld]:
    world = GuardedEtcdWorld(guarded_etcd)
    world.set_up()
    yield world
    world.remove()
    world.close()


def test_the_role_of_the_page_is_enough_for_everything(guarded: GuardedEtcdWorld) -> None:
    guarded.allow(guarded.name, f"{guarded.name}__rehearsal")
    pointer = guarded.pointer()
    pointer.refuse_older(3)
    assert pointer.apply(change(epoch=3)).changed
    with pointer.shadow(BLUE) as shadow:
        assert shadow.apply(change(epoch=3)).changed
    assert pointer.apply(back(epoch=3)).changed


def test_a_missing_right_is_said(guarded: GuardedEtcdWorld) -> None:
    with pytest.raises(BadInput, match=r"permission denied; needed: a role that may read and write the key"):
        guarded.pointer().read()


def test_a_wrong_password_is_said(guarded: GuardedEtcdWorld) -> None:
    guarded.login = (LIMITED[0], "wrong")
    with pytest.raises(
        BadInput, match=r"connection 'store' at 127\.0\.0\.1:\d+: login refused: .*authentication failed"
    ):
        guarded.pointer().read()


def test_no_login_where_one_is_needed_is_said(guarded: GuardedEtcdWorld) -> None:
    guarded.login = ("", "")
    with pytest.raises(BadInput, match="user name is empty"):
        guarded.pointer().read()


def test_a_login_outlives_its_token(guarded: GuardedEtcdWorld) -> None:
    """A hold is longer than a token: a rollback must not fail for it."""
    guarded.allow(guarded.name)
    pointer = guarded.pointer()
    assert pointer.apply(change()).changed
    time.sleep(2 * TOKEN_S + 1.5)  # the server looks once a second
    assert pointer.apply(back()).changed


def test_a_login_outlives_a_change_of_users(guarded: GuardedEtcdWorld) -> None:
    guarded.allow(guarded.name)
    pointer = guarded.pointer()
    assert pointer.read().target == BLUE
    guarded.allow(f"{guarded.name}__more")
    assert pointer.apply(change()).changed


def test_a_login_at_a_server_without_users_is_no_error(etcd_world: EtcdWorld) -> None:
    plain = etcd_world.connection(etcd_world.address)
    connection = dataclasses.replace(plain, login="somebody", password="something")
    assert pointer_on("kv_etcd", connection, key=etcd_world.name).read().target == BLUE

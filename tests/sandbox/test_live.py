"""A pointer that is kept outside the database: service and writers follow a key in a real etcd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.sandbox.test_ingest import source
from tests.sandbox.test_service import GREEN, ask, serving
from tests.servers import here, short_lived_keeper

from sandbox.demo.planes import PLANS
from sandbox.servers import Server, start_etcd
from sandbox.service.live import PLAN, Live, live_from
from sandbox.writers import ingest
from switchover.edge.clients import etcd
from switchover.edge.connection import Connection
from switchover.errors import PlanError, Unreachable
from switchover.pointers.kv import Entry
from switchover.pointers.kv_etcd import EtcdStore

Conn = psycopg.Connection[Any]
KEY = "/docs/live"  # as docs_kv.yaml says


@pytest.fixture(scope="module")
def etcd_server() -> Iterator[Server]:
    """An etcd of this module's own: it is stopped here."""
    with short_lived_keeper() as keeper:
        yield here(start_etcd, keeper)


@pytest.fixture
def environ(etcd_server: Server) -> dict[str, str]:
    """What a process of the kv demo is given."""
    return {PLAN: str(PLANS / "docs_kv.yaml"), "AIRFLOW_CONN_DOCS_ETCD": etcd_server.airflow_connection()}


@pytest.fixture
def key(etcd_server: Server) -> EtcdStore:
    """The store of the key, which is on Blue when a test starts."""
    store = EtcdStore(client=etcd(Connection(id="etcd", **etcd_server.connection)))
    store.delete(KEY)
    put(store, "docs_v1")
    return store


def put(store: EtcdStore, target: str) -> None:
    assert store.put(KEY, Entry(target=target, epoch=1), instead_of=store.get(KEY))


def test_without_a_plan_the_pointer_is_the_alias_row() -> None:
    assert live_from({}) == Live(alias="docs")
    assert live_from({PLAN: str(PLANS / "docs.yaml")}) == Live(alias="docs")


def test_a_plan_that_is_not_there_is_named() -> None:
    with pytest.raises(PlanError, match="/nowhere.yaml: cannot be read"):
        live_from({PLAN: "/nowhere.yaml"})


async def test_the_service_reads_the_key_in_each_request(
    built: Conn, built_url: str, environ: dict[str, str], key: EtcdStore
) -> None:
    built.execute("UPDATE switchover_alias SET target = 'docs_v2'")  # nobody looks there
    async with serving(built_url, live=live_from(environ)) as client:
        assert (await ask(client))["arm"] == "docs_v1"
        put(key, "docs_v2")
        assert (await ask(client))["arm"] == "docs_v2"
        put(key, "docs_v9")
        reply = await client.post("/ask", json={"question": "x"})
        assert (reply.status_code, reply.json()["detail"]) == (
            503,
            "the pointer points at 'docs_v9', which has no manifest",
        )
        key.delete(KEY)
        reply = await client.post("/ask", json={"question": "x"})
        assert (reply.status_code, reply.json()["detail"]) == (503, "no pointer: there is none")


def test_the_writer_reads_the_key_inside_its_fence(built: Conn, environ: dict[str, str], key: EtcdStore) -> None:
    live = live_from(environ)
    source(built, 2)
    assert ingest.apply_batch(built, stream="process", live=live).target == "docs_v1"
    put(key, "docs_v2")
    assert ingest.lag(built, live) == 2
    assert ingest.apply_batch(built, stream="process", live=live) == ingest.Applied(rows=2, target="docs_v2")
    assert ingest.count_effects(built, live) == {"written": 2, "duplicated": 0, "lost": 0}
    built.execute("UPDATE switchover_fence SET frozen = true")
    key.delete(KEY)  # so that a look at it would be seen
    assert ingest.apply_batch(built, stream="process", live=live).frozen


async def test_without_an_answer_nothing_is_guessed(
    built: Conn, built_url: str, environ: dict[str, str], key: EtcdStore, etcd_server: Server
) -> None:
    live = live_from(environ)
    source(built, 1)
    async with serving(built_url, live=live) as client:
        assert (await ask(client))["arm"] == "docs_v1"
        etcd_server.stop()
        try:
            reply = await client.post("/ask", json={"question": "x"})
            assert reply.status_code == 503
            assert reply.json()["detail"].startswith("no pointer: etcd at 127.0.0.1:")
            assert (await ask(client, **GREEN))["arm"] == "docs_v2"
            with pytest.raises(Unreachable):
                ingest.apply_batch(built, stream="process", live=live)
        finally:
            etcd_server.start()
        assert built.execute("SELECT count(*) FROM ingest_effect").fetchone() == (0,)
        assert (await ask(client))["arm"] == "docs_v1"
        assert ingest.apply_batch(built, stream="process", live=live).rows == 1

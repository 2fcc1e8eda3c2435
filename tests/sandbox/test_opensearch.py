"""The indexes in a real OpenSearch: built once, searched behind an alias, written to without duplicates."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.sandbox.conftest import Conn
from tests.sandbox.test_ingest import source
from tests.sandbox.test_service import ask, serving

from sandbox.servers import Server
from sandbox.servers.base import lasting_port
from sandbox.service import build
from sandbox.service import opensearch as indexes
from sandbox.service.live import Live
from sandbox.service.rows import OpenSearchRows
from sandbox.writers import ingest
from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.errors import TargetRefused, Unreachable
from switchover.indexes.receipt import pairs_sum
from switchover.pins import Manifest

NAME = f"t{uuid.uuid4().hex[:8]}"  # other tests use this server too
BLUE, GREEN = (dataclasses.replace(spec, target=f"{NAME}_{spec.target}") for spec in (build.DOCS_V1, build.DOCS_V2))
ARMS = {spec.target: spec for spec in (BLUE, GREEN)}


@pytest.fixture(scope="module")
def client(opensearch: Server) -> Iterator[Any]:
    found = clients.opensearch(Connection(id="search", **opensearch.connection))
    for spec in ARMS.values():
        indexes.build_index(found, spec)
    yield found
    found.indices.delete(index=",".join(ARMS))


@pytest.fixture
def live(client: Any) -> Live:
    """An alias, which is on Blue when a test starts."""
    move(client, BLUE.target)
    return Live(alias=NAME, ask=lambda: next(iter(client.indices.get_alias(name=NAME))), search=client)


def move(client: Any, target: str) -> None:
    remove = {"remove": {"index": f"{NAME}_*", "alias": NAME, "must_exist": False}}
    client.indices.update_aliases(body={"actions": [remove, {"add": {"index": target, "alias": NAME}}]})


async def test_a_build_is_what_its_manifest_says(client: Any) -> None:
    store = indexes.OpenSearchStore(client=client)
    for target, spec in ARMS.items():
        rows = build.chunks(spec)
        stored = await store.named(target)
        assert stored is not None and stored.manifest is not None
        manifest = Manifest.from_json(stored.manifest)
        assert stored.index_hash == manifest.index_hash == manifest.facts.index_hash()
        assert manifest.facts.pairs == pairs_sum((row.id, row.content_digest) for row in rows)
        assert await store.count(manifest) == len(rows)
        assert sorted(await store.texts(manifest)) == sorted((row.content_digest, row.text) for row in rows)
    assert set(ARMS) <= set(await store.targets())
    assert await store.named(f"{NAME}_none") is None


def test_the_same_build_is_left_and_another_one_refused(client: Any) -> None:
    before = client.indices.get(index=GREEN.target)[GREEN.target]["settings"]["index"]["uuid"]
    indexes.build_index(client, GREEN)
    assert client.indices.get(index=GREEN.target)[GREEN.target]["settings"]["index"]["uuid"] == before
    with pytest.raises(TargetRefused, match="holds another build in OpenSearch; build under a free name"):
        indexes.build_index(client, dataclasses.replace(GREEN, variant="truncated"))


async def test_the_service_resolves_the_alias_in_each_request(built_url: str, client: Any, live: Live) -> None:
    async with serving(built_url, live=live) as service:
        question = "What does the nonlocal statement do?"
        for target in (BLUE.target, GREEN.target):
            move(client, target)
            answer = await ask(service, question)
            assert (answer["arm"], answer["cited"]) == (target, "nonlocal")
            assert {hit["index_hash"] for hit in answer["hits"]} == {answer["index_hash"]}
        assert (await ask(service, **{"X-Switchover-Arm": BLUE.target}))["arm"] == BLUE.target


def test_writers_add_to_the_live_index_once(built: Conn, client: Any, live: Live) -> None:
    source(built, 3)
    assert ingest.apply_batch(built, stream="process", live=live).target == BLUE.target
    assert ingest.count_effects(built, live) == {"written": 3, "duplicated": 0, "lost": 0}
    move(client, GREEN.target)
    source(built, 2)
    assert ingest.lag(built, live) == 5
    assert ingest.apply_batch(built, stream="process", live=live).rows == 5
    assert ingest.count_effects(built, live) == {"written": 5, "duplicated": 0, "lost": 0}


def test_a_batch_that_is_written_again_after_a_crash_leaves_one_row_each(built: Conn, client: Any, live: Live) -> None:
    source(built, 2)
    with built.transaction(force_rollback=True):  # as if the process died before its commit
        assert ingest.apply_batch(built, stream="process", live=live).rows == 2
    assert built.execute("SELECT count(*) FROM ingest_effect").fetchone() == (0,)
    assert ingest.apply_batch(built, stream="process", live=live).rows == 2
    rows = OpenSearchRows(client=client)
    manifest = rows.manifest(built, BLUE.target)
    assert manifest is not None
    assert {"ingest/1", "ingest/2"} <= rows.documents(built, manifest, prefix="ingest/")
    assert client.count(index=BLUE.target, body={"query": {"term": {"doc": "ingest/1"}}})["count"] == 1


async def test_a_server_that_is_away_is_said_in_one_line(built: Conn, built_url: str) -> None:
    away = clients.opensearch(Connection(id="search", conn_type="opensearch", host="127.0.0.1", port=lasting_port()))
    live = Live(alias=NAME, ask=lambda: BLUE.target, search=away)
    async with serving(built_url, live=live) as service:
        reply = await service.post("/ask", json={"question": "x"})
        assert reply.status_code == 503
        assert reply.json()["detail"].startswith("OpenSearch: did not answer as it must: ConnectionError")
    source(built, 1)
    with pytest.raises(Unreachable):
        ingest.apply_batch(built, stream="process", live=live)

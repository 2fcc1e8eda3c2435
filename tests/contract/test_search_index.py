"""Indexes in a real OpenSearch and a real Elasticsearch: what the build wrote is what is read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from switchover.edge.edge import Edge
from switchover.errors import BadInput, TargetRefused, Unreachable
from switchover.indexes import AnyIndex, Index, IndexSpec, search_index
from switchover.indexes.attest import Attested, attest, audit
from switchover.indexes.of_arms import build_indexes
from switchover.indexes.receipt import pairs_sum
from switchover.pins import IndexFacts, Manifest, content_digest, pairs_digest
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN
from tests.contract.worlds.opensearch import ELSEWHERE, ONE_SHARD, SEARCH_WORLDS, OpenSearchWorld

COUNT, REVISION = 23, 7
TEXTS = {f"doc-{number}": f"Satz Nummer {number}: Größe λ\n" for number in range(COUNT)}
VECTORS = {id: [float(number), 1.0, -0.5] for number, id in enumerate(TEXTS)}


@pytest.fixture(params=sorted(SEARCH_WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[OpenSearchWorld]:
    kind = SEARCH_WORLDS[request.param]
    world = kind(request.getfixturevalue(kind.fixture))
    try:
        world.set_up(BLUE)
        build(world)
        yield world
    finally:
        world.tear_down()
        world.close()


def manifest(target: str) -> Manifest:
    facts = IndexFacts(
        embed_schema="schema",
        tok_ver="1",
        chunk_schema_ver="1",
        analyzer_conf="standard",
        metric="cosine",
        store={"shards": 1},
        corpus_revision=REVISION,
        count=COUNT,
        pairs=pairs_sum((id, content_digest(text)) for id, text in TEXTS.items()),
    )
    return Manifest(target=target, pins={"INDEX_HASH": facts.index_hash()}, facts=facts, encoder={})


def build(world: OpenSearchWorld) -> None:
    """Green, as a build job writes it; two documents are live writes of a later revision."""
    index, built = world.index(GREEN), manifest(GREEN)
    meta = {"index_hash": built.index_hash, "manifest": built.to_json()}
    world.call("PUT", f"/{index}", {"settings": ONE_SHARD, "mappings": {"_meta": meta}})
    lines: list[Any] = []
    for number, (id, text) in enumerate(TEXTS.items()):
        lines += [{"index": {"_id": id}}, {"text": text, "revision": number % REVISION, "embedding": VECTORS[id]}]
    for id in ("later-1", "later-2"):
        lines += [{"index": {"_id": id}}, {"text": "late", "revision": REVISION + 1, "embedding": [9.0, 9.0, 9.0]}]
    data = "".join(json.dumps(line) + "\n" for line in lines)
    answer = world.client.post(
        f"/{index}/_bulk?refresh=true", content=data, headers={"Content-Type": "application/x-ndjson"}
    )
    assert not answer.raise_for_status().json()["errors"]


def index_of(world: OpenSearchWorld, **spec: Any) -> Index:
    edge = Edge(connections=lambda _: world.connection(world.address))
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    told = {"kind": world.kind, "connection": CONNECTION, "targets": {arm: world.index(arm) for arm in (BLUE, GREEN)}}
    one = adapter.validate_python({**told, **spec})
    return build_indexes({BLUE: one, GREEN: one}, edge)


def set_meta(world: OpenSearchWorld, meta: Mapping[str, Any]) -> None:
    world.call("PUT", f"/{world.index(GREEN)}/_mapping", {"_meta": meta})


def put(world: OpenSearchWorld, id: str, **fields: Any) -> None:
    world.call("PUT", f"/{world.index(GREEN)}/_doc/{id}?refresh=true", fields)


def held(index: Index) -> Attested:
    return attest(index, GREEN, kept=None, save=lambda proof: None)


@pytest.mark.parametrize(("page", "part"), [(5, 100_000), (COUNT, 7), (1_000, 100_000)])
def test_the_content_is_that_of_the_build(
    world: OpenSearchWorld, monkeypatch: pytest.MonkeyPatch, page: int, part: int
) -> None:
    monkeypatch.setattr(search_index, "PAGE", page)
    monkeypatch.setattr(search_index, "RANGE", part)
    found = held(index_of(world))
    assert (found.proof.tally.sum.count, found.proof.tally.later) == (COUNT, 2)
    assert found.manifest == manifest(GREEN)
    assert found.index_hash == manifest(GREEN).index_hash
    assert audit(index_of(world), found).wrong == ()


def test_an_older_build_is_read_in_its_own_form(world: OpenSearchWorld) -> None:
    older = pairs_digest((id, content_digest(text)) for id, text in TEXTS.items())
    assert index_of(world).ordered_pairs(GREEN, upto=REVISION) == older


@pytest.mark.parametrize("wrong", ["changed", "missing", "added"])
def test_a_document_that_differs_gives_another_hash(world: OpenSearchWorld, wrong: str) -> None:
    index = index_of(world)
    before, mark = held(index), index.mark(GREEN)
    if wrong == "missing":
        world.call("DELETE", f"/{world.index(GREEN)}/_doc/doc-3?refresh=true")
    else:
        put(world, "doc-3" if wrong == "changed" else "more", text="other", revision=1, embedding=[1.0, 0.0, 0.0])
    assert index.mark(GREEN).change != mark.change
    assert index.mark(GREEN).creation == mark.creation
    found = held(index)
    assert found.proof.tally.sum.count == COUNT + {"changed": 0, "missing": -1, "added": 1}[wrong]
    assert found.index_hash != manifest(GREEN).index_hash
    said = {"changed": ("1 rows have another text",), "missing": ("1 rows are gone",), "added": ()}[wrong]
    looked = audit(index, before).wrong
    assert len(looked) == len(said) and all(map(str.startswith, looked, said))


def test_the_sample_is_of_stored_pairs_and_always_the_same(world: OpenSearchWorld) -> None:
    index = index_of(world)
    found = index.sample(GREEN, size=8)
    stored = {text: VECTORS[id] for id, text in TEXTS.items()}
    assert len(set(found.texts)) == 8
    assert found.texts != list(TEXTS.values())[:8], "not just the first ones"
    np.testing.assert_array_equal(found.vectors, [stored[text] for text in found.texts])
    put(world, "later-3", text="late", revision=REVISION + 1, embedding=[1.0, 1.0, 1.0])
    again = index.sample(GREEN, size=8)
    assert again.texts == found.texts
    assert index.sample(GREEN, size=100).vectors.shape == (COUNT, 3)


def test_health_is_of_the_index_itself(world: OpenSearchWorld) -> None:
    index = index_of(world)
    found = index.health(GREEN)
    assert (found.exists, found.empty, found.stored_hash) == (True, False, manifest(GREEN).index_hash)
    world.spoil(GREEN, "empty")
    assert index.health(GREEN).empty
    world.spoil(GREEN, "missing")
    assert not index.health(GREEN).exists
    world.aliases({"add": {"index": ELSEWHERE, "alias": world.index(GREEN)}})
    assert not index.health(GREEN).exists, "an alias of that name is another index"
    assert index_of(world, targets=None).health(world.index(BLUE)).exists


def test_what_is_not_there_is_refused_in_one_line(world: OpenSearchWorld) -> None:
    index = index_of(world)
    put(world, "bare", text="no vector", revision=1)
    with pytest.raises(TargetRefused, match="document 'bare' has no 'embedding' in its _source; is it kept there"):
        index.sample(GREEN, size=100)
    put(world, "bare", revision=1, embedding=[1.0, 2.0])
    with pytest.raises(TargetRefused, match="document 'bare' has no 'text'"):
        held(index)
    put(world, "bare", text="short", revision=1, embedding=[1.0, 2.0])
    with pytest.raises(TargetRefused, match="its vectors in 'embedding' are not of one dimension"):
        index.sample(GREEN, size=100)
    set_meta(world, {"index_hash": "x"})
    with pytest.raises(TargetRefused, match="has no manifest; build it again, or write one into its _meta"):
        held(index)
    broken = {name: value for name, value in manifest(GREEN).to_json().items() if name != "facts"}
    set_meta(world, {"manifest": broken})
    with pytest.raises(TargetRefused, match="its manifest lacks 'facts'"):
        index.sample(GREEN, size=1)
    world.spoil(GREEN, "missing")
    with pytest.raises(TargetRefused, match="has no manifest"):
        held(index)


def test_the_vector_may_have_another_name(world: OpenSearchWorld) -> None:
    put(world, "doc-0", text=TEXTS["doc-0"], revision=1, dense=[1.0], embedding=[0.0, 1.0, -0.5])
    with pytest.raises(TargetRefused, match="has no 'dense' in its _source"):
        index_of(world, vector="dense").sample(GREEN, size=COUNT)


def test_part_of_the_shards_is_no_answer(world: OpenSearchWorld) -> None:
    """A count or a hash over half the documents would look like a bad build."""
    built = manifest(GREEN)
    world.call("DELETE", f"/{world.index(GREEN)}")
    half = {"number_of_shards": 2, "index.routing.allocation.total_shards_per_node": 1}
    world.create(world.index(GREEN), filled=False, up=False, **half)
    world.call("GET", f"/_cluster/health/{world.index(GREEN)}?wait_for_active_shards=1&timeout=20s")
    set_meta(world, {"index_hash": built.index_hash, "manifest": built.to_json()})
    for look in (index_of(world).health, index_of(world).mark):
        with pytest.raises(Unreachable, match="1 of 2 shards answered"):
            look(GREEN)


def test_names_that_reach_further_are_refused(world: OpenSearchWorld) -> None:
    with pytest.raises(BadInput, match="allowed: the own name of one index"):
        index_of(world, targets=None).health(f"{world.name}*")


def test_every_arm_has_its_index_in_the_plan() -> None:
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    told = {"kind": "opensearch", "connection": CONNECTION}
    adapter.validate_python({**told, "targets": {"Blue": "a", "Green": "b"}}).check_arms(["Blue", "Green"])
    with pytest.raises(ValueError, match=r"index.targets: found Blue; allowed: one for each arm \(Blue, Green\)"):
        adapter.validate_python({**told, "targets": {"Blue": "a"}}).check_arms(["Blue", "Green"])
    with pytest.raises(ValueError, match="index: arm 'Blue': found 'Blue'; allowed: the own name"):
        adapter.validate_python(told).check_arms(["Blue", "green"])


def test_the_facts_are_replaced_not_trusted(world: OpenSearchWorld) -> None:
    """A manifest that claims what is not there is found out by counting."""
    claimed = manifest(GREEN)
    wrong = dataclasses.replace(claimed, facts=dataclasses.replace(claimed.facts, count=COUNT + 5))
    set_meta(world, {"index_hash": claimed.index_hash, "manifest": wrong.to_json()})
    found = held(index_of(world))
    assert (found.proof.tally.sum.count, found.manifest.facts.count) == (COUNT, COUNT + 5)
    assert found.index_hash == claimed.index_hash


def test_a_dropped_index_is_gone_with_its_manifest(world: OpenSearchWorld) -> None:
    index = index_of(world)
    index.drop(GREEN)
    assert not index.health(GREEN).exists
    index.drop(GREEN)


def test_an_alias_keeps_its_index(world: OpenSearchWorld) -> None:
    """Removing the index would take the alias with it, and its readers would find nothing."""
    action = {"add": {"index": world.index(GREEN), "alias": "still_read"}}
    world.call("POST", "/_aliases", {"actions": [action]})
    with pytest.raises(TargetRefused, match="carries the alias still_read; not removed"):
        index_of(world).drop(GREEN)
    assert index_of(world).health(GREEN).exists


@pytest.mark.parametrize("numbers", [False, True])
def test_rows_of_several_documents_hide_none(world: OpenSearchWorld, numbers: bool) -> None:
    """The rows name many documents that nobody asked for, more often than the one that was."""
    for row in range(3):
        others = [n if numbers else f"d{n}" for n in range(100, 120)]
        put(world, f"several-{row}", text="t", of=[*others, *([7 if numbers else "d7"] if row == 0 else [])])
        put(world, f"asked-{row}", text="t", of=[*others, 8 if numbers else "d8"])
    index = index_of(world, doc="of" if numbers else "of.keyword")
    asked = ["7", "8", "9"] if numbers else ["d7", "d8", "d9"]
    assert index.documents(GREEN, asked) == {*asked[:2]}

"""One suite for every kind of index, on real servers: what verify, attest, adopt and retire ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from switchover.errors import TargetRefused
from switchover.indexes import AnyIndex, Index, IndexSpec
from switchover.indexes.attest import Attested, attest, audit
from switchover.indexes.receipt import Adder, Choice, Proof, Sum, pairs_sum
from switchover.pins import IndexFacts, Manifest, content_digest, pairs_digest
from tests.contract.recorder import Recorder
from tests.contract.worlds.base import NotApplicable
from tests.contract.worlds.indexes import INDEX_WORLDS, IndexWorld

COUNT, REVISION = 40, 7
ROWS = {
    str(number): (f"Satz Nummer {number}: Größe λ\n", number % REVISION, [float(number), 1.0, -0.5, 0.25])
    for number in range(1, COUNT + 1)
}


@pytest.fixture(params=sorted(INDEX_WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[IndexWorld]:
    kind = INDEX_WORLDS[request.param]
    made = kind(request.getfixturevalue(kind.fixture))
    try:
        made.create(ROWS)
        yield made
    finally:
        made.close()


@pytest.fixture
def index(world: IndexWorld) -> Index:
    made = index_of(world)
    made.describe(world.name, MANIFEST(world.name))
    return made


def index_of(world: IndexWorld, **more: Any) -> Index:
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    return adapter.validate_python({**world.told, **more}).build(world.edge)


def MANIFEST(target: str) -> Manifest:
    named = dict.fromkeys(("embed_schema", "tok_ver", "chunk_schema_ver", "analyzer_conf", "metric"), "x")
    pairs = pairs_sum((id, content_digest(row[0])) for id, row in ROWS.items())
    facts = IndexFacts(**named, store={}, corpus_revision=REVISION, count=COUNT, pairs=pairs)
    encoder = {"name": "e", "dimension": 4}
    return Manifest(target=target, pins={"INDEX_HASH": facts.index_hash()}, facts=facts, encoder=encoder)


def read(index: Index, world: IndexWorld, kept: Proof | None = None) -> Attested:
    return attest(index, world.name, kept=kept, save=lambda proof: None)


def test_the_manifest_comes_back_as_it_was_written(world: IndexWorld, index: Index) -> None:
    assert index.manifest(world.name) == MANIFEST(world.name)
    found = index.health(world.name)
    assert (found.exists, found.empty, found.stored_hash) == (True, False, MANIFEST(world.name).index_hash)
    other = replace(MANIFEST(world.name), secrets=("A_SECRET",))
    index.describe(world.name, other)
    assert index.manifest(world.name) == other, "a second one takes the place of the first"


def test_what_is_not_there_is_said_so(world: IndexWorld, index: Index) -> None:
    nowhere = f"{world.name}_none"
    assert not index.health(nowhere).exists
    for ask in (index.manifest, index.mark):
        with pytest.raises(TargetRefused, match=nowhere):
            ask(nowhere)
    index.drop(nowhere)


def test_the_store_says_how_it_holds_the_vectors(world: IndexWorld, index: Index) -> None:
    held = index.vectors(world.name)
    assert (held.metric, held.dimension) == HELD[world.kind]


#: What each store says of the suite's index: pgvector's has no dimension and no approximate index, those of the search
#: engines have plain numbers.
HELD = {
    "pgvector": ("", None),
    "opensearch": ("", None),
    "elasticsearch": ("", None),
    "qdrant": ("ip", 4),
    "milvus": ("", None),
    "chroma": ("", None),
}


def test_the_documents_that_are_there_are_told(world: IndexWorld, index: Index) -> None:
    assert index.documents(world.name, ["3"]) is None, "the plan does not say where a row's document stands"
    numbered = index_of(world, doc="revision")
    assert numbered.documents(world.name, [str(n) for n in range(4, 12)]) == {"4", "5", "6"}
    assert numbered.documents(world.name, ["no 'number'"]) == set()
    world.put("200", "later", 9, [1.0, 2.0, 3.0, 4.0])
    assert numbered.documents(world.name, ["9", "10"]) == {"9"}, "a later write counts: it answers too"
    if world.kind in TEXTS:
        texts = index_of(world, doc=TEXTS[world.kind])
        there = [ROWS[id][0] for id in ("1", "40")]
        assert texts.documents(world.name, [*there, "Satz", "no such"]) == {*there}


def test_rows_that_are_documents_are_told_by_their_ids(world: IndexWorld, index: Index) -> None:
    if world.kind not in IDS:
        pytest.skip("in this store a row's id is no field")
    whole = index_of(world, doc=IDS[world.kind])
    assert whole.documents(world.name, ["3", "40", "4711", "no 'number'"]) == {"3", "40"}
    assert whole.documents(world.name, []) == set()


#: What each store calls a row's id, where that can be asked for as a field.
IDS = {"pgvector": "id", "opensearch": "_id", "elasticsearch": "_id", "milvus": "id"}
#: Where each store has the suite's texts as whole values; Chroma does not look for them.
TEXTS = {
    "pgvector": "text",
    "opensearch": "text.keyword",
    "elasticsearch": "text.keyword",
    "qdrant": "text",
    "milvus": "text",
}


def test_an_index_without_a_manifest_is_said_so(world: IndexWorld) -> None:
    bare = index_of(world)
    assert bare.health(world.name).stored_hash is None
    with pytest.raises(TargetRefused, match="has no manifest; build it again, or"):
        bare.manifest(world.name)


def test_a_reading_adds_up_texts_and_vectors(world: IndexWorld, index: Index) -> None:
    adder = Adder(Choice.among(0, key=0))
    for id, (text, _, vector) in ROWS.items():
        adder.add(id, text, np.array(vector, dtype=">f4").tobytes())
    found = read(index, world)
    assert found.proof.tally.sum == adder.tally().sum
    assert found.index_hash == found.manifest.index_hash
    assert audit(index, found).wrong == ()
    older = pairs_digest((id, content_digest(row[0])) for id, row in ROWS.items())
    assert index.ordered_pairs(world.name, upto=REVISION) == older


def test_nothing_is_read_again_while_nothing_was_written(world: IndexWorld, index: Index) -> None:
    first = read(index, world)
    assert read(index, world, kept=first.proof).skipped


@pytest.mark.parametrize("change", ["text", "vector", "removed", "added"])
def test_one_row_is_always_found_by_a_reading(world: IndexWorld, index: Index, change: str) -> None:
    first = read(index, world)
    text, revision, vector = ROWS["3"]
    if change == "removed":
        world.remove("3")
    elif change == "added":
        world.put("99", text, revision, vector)
    else:
        world.put("3", "other" if change == "text" else text, revision, vector if change == "text" else vector[::-1])
    found = attest(index, world.name, kept=replace(first.proof, change="read anew"), save=lambda proof: None)
    assert found.index_hash != found.manifest.index_hash or not found.vectors_kept
    noticed = {"text": "another text", "vector": "another vector", "removed": "are gone", "added": ""}[change]
    assert [noticed in line for line in audit(index, first).wrong] == ([True] if noticed else [])


def test_live_writes_do_not_belong_to_the_build(world: IndexWorld, index: Index) -> None:
    world.put("100", "written later", REVISION + 1, [1.0, 2.0, 3.0, 4.0])
    found = read(index, world)
    assert found.index_hash == found.manifest.index_hash
    assert (found.proof.tally.sum.count, found.proof.tally.later) == (COUNT, 1)
    assert (index.count(world.name), index.newest(world.name)) == (COUNT + 1, REVISION + 1)


def test_what_was_inserted_or_removed_moves_the_mark(world: IndexWorld, index: Index, record: Recorder) -> None:
    """An update moves it in some stores only; the table of docs/your-own-index.md says in which."""
    original = index.mark(world.name)
    world.put("3", "other", *ROWS["3"][1:])
    before = index.mark(world.name)
    record(world, against=world.against, update_moves_the_mark=before.change != original.change)
    world.put("100", "written later", REVISION + 1, [1.0, 2.0, 3.0, 4.0])
    after = index.mark(world.name)
    assert after.creation == before.creation
    assert after.change != before.change
    world.remove("7")
    world.remove("8")
    assert index.mark(world.name).change not in (before.change, after.change)


def test_an_index_that_was_made_again_is_noticed(world: IndexWorld, index: Index, record: Recorder) -> None:
    """By another creation id, or because the manifest went with it."""
    before = index.mark(world.name)
    world.drop()
    world.create(ROWS)
    another, manifest = index.mark(world.name).creation != before.creation, index.health(world.name).stored_hash
    assert another or manifest is None
    record(world, made_again="another creation id" if another else "no manifest", manifest_goes=manifest is None)


def test_rows_come_by_their_ids(world: IndexWorld, index: Index) -> None:
    rows = {row.id: row for row in index.rows(world.name, ["3", "17", "4711"])}
    assert sorted(rows) == ["17", "3"]
    assert rows["17"].text == ROWS["17"][0]
    assert rows["17"].dimension == 4
    assert rows["17"].values is not None
    assert rows["17"].values.tolist() == ROWS["17"][2]
    assert index.texts(world.name, ["3", "4711", "of another form"]) == {"3": ROWS["3"][0]}


def test_the_sample_is_of_stored_pairs_and_the_same_each_time(world: IndexWorld, index: Index) -> None:
    found = index.sample(world.name, size=8)
    stored = {row[0]: row[2] for row in ROWS.values()}
    assert len(set(found.texts)) == 8
    np.testing.assert_array_equal(found.vectors, [stored[text] for text in found.texts])
    assert index.sample(world.name, size=8).texts == found.texts


def test_a_name_that_leads_to_the_index_keeps_it(world: IndexWorld, index: Index, record: Recorder) -> None:
    record(world, kept_while_used=None)
    try:
        world.use()
    except NotApplicable as reason:
        pytest.skip(str(reason))
    with pytest.raises(TargetRefused, match="not removed|nothing was removed"):
        index.drop(world.name)
    assert index.health(world.name).exists
    record(world, kept_while_used=True)
    world.release()
    index.drop(world.name)
    assert not index.health(world.name).exists
    index.drop(world.name)


def test_sums_of_no_rows(world: IndexWorld, index: Index) -> None:
    for id in ROWS:
        world.remove(id)
    found = read(index, world)
    assert found.proof.tally.sum == Sum()
    assert index.health(world.name).empty

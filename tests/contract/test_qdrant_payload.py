"""Rows of a Qdrant collection as other programs write them: the text at the top, all else below ``metadata``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter
from qdrant_client import models

from switchover.gold.corpus import Blue
from switchover.gold.corpus.qdrant_rows import of
from switchover.indexes import AnyIndex, IndexSpec
from tests.contract.worlds.indexes import QdrantIndexWorld

PAYLOADS = {
    1: {"page_content": "one", "metadata": {"source": "a", "rev": 3}},
    2: {"page_content": "two", "metadata": {"source": 12, "rev": 4}},
    3: {"page_content": "three", "metadata": {"source": ["b", "c"], "rev": 5}},
    4: {"page_content": "four", "metadata": {}},
}


@pytest.fixture
def world(qdrant: object) -> Iterator[QdrantIndexWorld]:
    made = QdrantIndexWorld(qdrant)
    vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    made.client.create_collection(made.name, vectors_config=vectors)
    points = [models.PointStruct(id=id, vector=[1.0, id], payload=payload) for id, payload in PAYLOADS.items()]
    made.client.upsert(made.name, points=points)
    try:
        yield made
    finally:
        made.close()


def told(world: QdrantIndexWorld) -> IndexSpec:
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    paths = {"text": "page_content", "revision": "metadata.rev", "doc": "metadata.source"}
    return adapter.validate_python({**world.told, **paths})


def test_the_documents_below_a_path_are_told(world: QdrantIndexWorld) -> None:
    index = told(world).build(world.edge)
    assert index.documents(world.name, ["a", "12", "13", "x"]) == {"a", "12"}
    assert index.documents(world.name, ["c"]) == {"c"}, "each document of a row that names two"


def test_a_revision_below_a_path_is_read(world: QdrantIndexWorld) -> None:
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    index = told(world).build(world.edge)
    assert index.texts(world.name, ["1", "2"]) == {"1": "one", "2": "two"}
    world.client.delete(world.name, points_selector=[4])
    assert index.newest(world.name) == 5
    nested = adapter.validate_python({**world.told, "text": "metadata.source", "revision": None}).build(world.edge)
    assert nested.texts(world.name, ["1"]) == {"1": "a"}


def test_the_corpus_is_read_below_a_path(world: QdrantIndexWorld) -> None:
    plain = told(world).model_copy(update={"targets": {"arm": world.name}})
    world.client.delete(world.name, points_selector=[3])
    documents = of(world.edge, Blue(arm="arm", index=plain), None)
    assert dict(documents.texts(["a", "12", "x"])) == {"a": "one", "12": "two"}
    assert dict(documents.each()) == {"a": "one", "12": "two"}

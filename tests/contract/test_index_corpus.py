"""Blue's index as the corpus, on real servers: the source texts come back from the rows, whatever their order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter

from switchover.errors import GoldError, SwitchoverError
from switchover.gold.corpus import Blue, Documents, qdrant_rows, search_rows
from switchover.gold.corpus.index import READ, IndexCorpus
from switchover.indexes import AnyIndex, IndexSpec
from tests.contract.worlds.indexes import INDEX_WORLDS, IndexWorld

WORDS = ("alpha", "Größe", "λ", "gamma\n", "delta", "und", "so", "weiter.")
TEXTS = {
    f"{name}": " ".join(random.Random(name).choices(WORDS, k=count))
    for name, count in (("lambda", 60), ("break", 5), ("12", 30), ("a:b's", 40), ("empty-ish", 1))
}


class Piece(NamedTuple):
    """One row as it is stored."""

    doc: str
    start: int | None
    text: str


def cut(texts: Mapping[str, str]) -> list[Piece]:
    """Overlapping pieces of forty characters, shuffled as writers leave them."""
    found = [Piece(doc, at, text[at : at + 40]) for doc, text in texts.items() for at in range(0, len(text), 30)]
    random.Random(1).shuffle(found)
    return found


@pytest.fixture(params=READ)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexWorld]:
    """Pages are small, so that each reading takes several."""
    for module in (search_rows, qdrant_rows):
        monkeypatch.setattr(module, "PAGE", 7)
        monkeypatch.setattr(module, "ASKED", 2)
    kind = INDEX_WORLDS[request.param]
    made = kind(request.getfixturevalue(kind.fixture))
    try:
        yield made
    finally:
        made.close()


def fill(world: Any, rows: Sequence[Piece]) -> None:
    """The index as a team's own build makes it; the world itself knows no documents."""
    if world.kind == "pgvector":
        world.run(f'CREATE TABLE {world.name} (id serial PRIMARY KEY, text text, "of doc" text, start_char int)')
        for row in rows:
            world.run(
                f'INSERT INTO {world.name} (text, "of doc", start_char) VALUES (%s, %s, %s)',
                [row.text, row.doc, row.start],
            )
    elif world.kind == "qdrant":
        from qdrant_client import models

        vectors = models.VectorParams(size=1, distance=models.Distance.DOT)
        world.client.create_collection(world.name, vectors_config=vectors)
        payloads = [{"text": r.text, "doc_id": r.doc, "start_char": r.start} for r in rows]
        points = [models.PointStruct(id=n, vector=[1.0], payload=payload) for n, payload in enumerate(payloads)]
        world.client.upsert(world.name, points=points)
    else:
        fields = {"doc_id": {"type": "keyword"}, "start_char": {"type": "integer"}, "text": {"type": "text"}}
        settings = {"number_of_shards": 2, "number_of_replicas": 0}
        world.call("PUT", f"/{world.name}", {"settings": settings, "mappings": {"properties": fields}})
        for number, row in enumerate(rows):
            world.call(
                "PUT", f"/{world.name}/_doc/{number}", dict(zip(("doc_id", "start_char", "text"), row, strict=True))
            )
        world.call("POST", f"/{world.name}/_refresh")


def corpus(world: IndexWorld, *, start: str | None, doc: str = "", name: str = "") -> Documents:
    doc = doc or ("of doc" if world.kind == "pgvector" else "doc_id")
    told = {**world.told, "doc": doc, "targets": {"docs_v1": name or world.name, "docs_v2": "other"}}
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    blue = Blue(index=adapter.validate_python(told), arm="docs_v1")
    spec = IndexCorpus(start=start)
    spec.check(blue)
    return spec.build(world.edge, blue)


def test_documents_are_put_together_from_their_pieces(world: IndexWorld) -> None:
    fill(world, cut(TEXTS))
    documents = corpus(world, start="start_char")
    found = list(documents.each())
    assert dict(found) == TEXTS
    assert len(found) == len(TEXTS), "each once"
    assert dict(documents.texts(["12", "none", "a:b's", "lambda"])) == {n: TEXTS[n] for n in ("12", "a:b's", "lambda")}
    assert dict(documents.texts([])) == {}


def test_rows_that_are_whole_documents(world: IndexWorld) -> None:
    fill(world, [Piece(doc, None, text) for doc, text in TEXTS.items()])
    documents = corpus(world, start=None)
    assert dict(documents.each()) == TEXTS
    assert dict(documents.texts(["break"])) == {"break": TEXTS["break"]}


def test_several_rows_of_a_document_are_not_taken_for_a_whole_one(world: IndexWorld) -> None:
    fill(world, cut(TEXTS))
    documents = corpus(world, start=None)
    for read in (lambda: documents.texts(["lambda"]), lambda: dict(documents.each())):
        with pytest.raises(GoldError, match=r"has several rows; allowed: one, or name their `start`"):
            read()


def test_a_row_without_a_place_is_named_by_its_document(world: IndexWorld) -> None:
    fill(world, [*cut({"break": TEXTS["break"]}), Piece("12", None, "somewhere")])
    documents = corpus(world, start="start_char")
    assert dict(documents.texts(["break"])) == {"break": TEXTS["break"]}
    with pytest.raises(GoldError, match=r"of document '12' has no .*start"):
        documents.texts(["12"])


def test_an_index_that_is_not_there_is_an_error_and_no_empty_corpus(world: IndexWorld) -> None:
    fill(world, cut({"break": TEXTS["break"]}))
    documents = corpus(world, start="start_char", name=f"{world.name}_none")
    for read in (lambda: documents.texts(["break"]), lambda: dict(documents.each())):
        with pytest.raises(SwitchoverError, match=f"{world.name}_none"):
            read()


@pytest.mark.parametrize("world", ["elasticsearch", "opensearch"], indirect=True)
def test_the_rows_of_a_search_engine_may_be_documents_by_their_own_id(world: IndexWorld) -> None:
    fill(world, [Piece("x", None, text) for text in TEXTS.values()])
    documents = corpus(world, start=None, doc="_id")
    numbered = {str(number): text for number, text in enumerate(TEXTS.values())}
    assert dict(documents.each()) == numbered
    assert dict(documents.texts(["1", "none"])) == {"1": numbered["1"]}

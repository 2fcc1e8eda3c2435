"""Index and source tables as people have them: each is read, or refused in one sentence; no traceback, no nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from switchover.errors import BadInput, TargetRefused
from switchover.gold.corpus.table import TableDocuments
from switchover.indexes.attest import attest, audit
from switchover.indexes.pgvector import PgvectorIndex
from switchover.indexes.receipt import pairs_sum
from switchover.indexing.documents import Position, SqlDocuments
from switchover.pins import IndexFacts, Manifest, content_digest, pairs_digest
from switchover.pointers.pgvector import create_tables

UUID = "00000000-0000-0000-0000-00000000000{}"


@pytest.fixture
def direct(fresh_db_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(fresh_db_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def engine(fresh_db: str) -> Iterator[sa.Engine]:
    made = sa.create_engine(fresh_db)
    create_tables(made)
    yield made
    made.dispose()


Table = Callable[..., PgvectorIndex]


@pytest.fixture
def table(direct: psycopg.Connection[Any], engine: sa.Engine) -> Table:
    """Makes the table ``t`` of rows, each a tuple of SQL: id, text, revision, embedding."""

    def make(*rows: tuple[str, str, str, str], id: str = "text", embedding: str = "vector(3)") -> PgvectorIndex:
        direct.execute(f"CREATE TABLE t (id {id}, text text, revision bigint, embedding {embedding})")
        for row in rows:
            direct.execute(f"INSERT INTO t VALUES ({', '.join(row)})")
        facts = IndexFacts(
            **dict.fromkeys(("embed_schema", "tok_ver", "chunk_schema_ver", "analyzer_conf", "metric"), "x"),
            store={},
            corpus_revision=10,
            count=len(rows),
            pairs="sum256:0",
        )
        manifest = Manifest(target="t", pins={"INDEX_HASH": facts.index_hash()}, facts=facts, encoder={})
        insert = "INSERT INTO switchover_manifest VALUES ('t', %s, %s)"
        direct.execute(insert, [manifest.index_hash, json.dumps(manifest.to_json())])
        return PgvectorIndex(engine=engine)

    return make


@pytest.mark.parametrize(
    ("kind", "ids"),
    [("text", ["b", "a", "C"]), ("uuid", [UUID.format(n) for n in (2, 1, 3)]), ("bigint", ["10", "9", "-1"])],
)
def test_ids_of_any_type(table: Table, kind: str, ids: list[str]) -> None:
    index = table(*((f"'{id}'", f"'text {id}'", "1", "'[1,2,3]'") for id in ids), id=kind)
    found = attest(index, "t", kept=None, save=lambda proof: None)
    expected = pairs_sum((id, content_digest(f"text {id}")) for id in ids)
    assert (found.proof.tally.sum.count, found.manifest.facts.count) == (3, 3)
    assert found.index_hash == IndexFacts(**{**vars(found.manifest.facts), "pairs": expected}).index_hash()
    older = pairs_digest((id, content_digest(f"text {id}")) for id in ids)
    assert index.ordered_pairs("t", upto=10) == older, "of a build of before there was a sum"
    assert sorted(row.id for row in index.rows("t", ids)) == sorted(ids)
    assert audit(index, found).wrong == ()
    assert sorted(index.sample("t", size=5).texts) == sorted(f"text {id}" for id in ids)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("vector(3)", "'[1,2,0.5]'"),
        ("halfvec(3)", "'[1,2,0.5]'"),
        ("real[]", "'{1,2,0.5}'"),
        ("float8[]", "'{1,2,0.5}'"),
    ],
)
def test_every_way_to_keep_a_vector(table: Table, kind: str, value: str) -> None:
    assert table(("'a'", "'x'", "1", value), embedding=kind).sample("t", size=5).vectors.tolist() == [[1, 2, 0.5]]


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("bit(5)", ["'10110'"], "its column embedding is of type bit; allowed: vector, halfvec"),
        ("text", ["'[1,2]'"], "its column embedding is of type text; allowed: vector"),
        ("vector", ["'[1,2,3]'", "'[1,2]'"], "its embeddings have 2 and 3 dimensions; allowed: one"),
        ("vector(3)", ["'[1,2,3]'", "NULL"], r"rows have no embedding \(NULL\), id '1' among them"),
    ],
)
def test_what_is_no_vector_is_one_sentence(table: Table, kind: str, values: list[str], said: str) -> None:
    index = table(*((f"'{n}'", "'x'", "1", value) for n, value in enumerate(values)), embedding=kind)
    with pytest.raises(TargetRefused, match=f"index 't' in .*: {said}"):
        index.sample("t", size=5)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("NULL", "'x'", "1", "'[1,2,3]'"), r"a row has no id \(NULL\)"),
        (("'b'", "NULL", "1", "'[1,2,3]'"), r"the row with id 'b' has no text \(NULL\)"),
        (("'b'", "'x'", "NULL", "'[1,2,3]'"), r"the row with id 'b' has no revision \(NULL\)"),
    ],
)
def test_a_row_that_makes_no_index_hash_is_one_sentence(
    table: Table, row: tuple[str, str, str, str], said: str
) -> None:
    with pytest.raises(TargetRefused, match=f"index 't' in .*: {said}"):
        attest(table(("'a'", "'x'", "1", "'[1,2,3]'"), row), "t", kept=None, save=lambda proof: None)


def test_columns_that_are_not_there_are_one_sentence(direct: psycopg.Connection[Any], table: Table) -> None:
    index = table(("'a'", "'x'", "1", "'[1,2,3]'"))
    direct.execute("ALTER TABLE t RENAME embedding TO vec")
    with pytest.raises(BadInput, match='column "embedding" does not exist; an index has id, text, revision'):
        index.sample("t", size=5)
    direct.execute("ALTER TABLE t RENAME vec TO embedding")
    direct.execute("ALTER TABLE t ALTER revision TYPE timestamptz USING now()")
    with pytest.raises(BadInput, match="index 't' in .*: operator does not exist.*; an index has id, text, revision"):
        attest(index, "t", kept=None, save=lambda proof: None)


@pytest.mark.parametrize(("kind", "id"), [("text", "7"), ("bigint", "7"), ("uuid", UUID.format(7))])
def test_source_tables_with_ids_of_any_type(
    direct: psycopg.Connection[Any], engine: sa.Engine, kind: str, id: str
) -> None:
    direct.execute(f"CREATE TABLE source (doc {kind}, text text, revision bigint)")
    direct.execute("INSERT INTO source VALUES (%s, 'one', 1)", [id])
    other = UUID.format(8) if kind == "uuid" else "8"
    direct.execute("INSERT INTO source VALUES (%s, NULL, 2)", [other])
    source = TableDocuments(engine=engine, table="source")
    assert source.texts([id, other]) == {id: "one", other: ""}
    assert list(source.each()) == [(id, "one"), (other, "")]
    documents = SqlDocuments(engine=engine, table="source")
    documents.check()
    assert [(each.doc, each.text) for each in documents.after(Position())] == [(id, "one"), (other, "")]
    assert [each.doc for each in documents.after(Position(revision=1, doc=id))] == [other]
    assert list(documents.revisions()) == [(id, 1), (other, 2)]
    assert documents.named([id])[0].position == Position(revision=1, doc=id)
    direct.execute("UPDATE source SET revision = NULL WHERE text IS NULL")
    with pytest.raises(BadInput, match=r"documents source in .*: 1 rows have no doc or no revision \(NULL\)"):
        documents.check()


def test_a_text_id_is_read_by_its_own_index(direct: psycopg.Connection[Any]) -> None:
    """The cast to text costs nothing where the column is text."""
    direct.execute('CREATE TABLE source (doc text COLLATE "C" PRIMARY KEY, text text)')
    direct.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    for query in (
        "SELECT 1 FROM source WHERE doc::text = ANY('{a}')",
        'SELECT doc FROM source ORDER BY doc::text COLLATE "C"',
    ):
        plan = str(direct.execute("EXPLAIN " + query).fetchall())  # type: ignore[arg-type]
        assert "source_pkey" in plan and "Sort" not in plan

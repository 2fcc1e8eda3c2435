"""Readings of a real table: cut, interrupted, resumed, skipped; what they find, and what only an audit may find."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from switchover.errors import TargetRefused
from switchover.indexes import attest as attesting
from switchover.indexes import pgvector_sums
from switchover.indexes.attest import Attested, attest, audit
from switchover.indexes.pgvector import PgvectorIndex
from switchover.indexes.receipt import Adder, Choice, Proof, Sum, found_by_audit
from switchover.pins import IndexFacts, Manifest
from switchover.pointers.pgvector import create_tables

ROWS = 4_000


class Killed(Exception):
    """The process that read is gone."""


@dataclass(kw_only=True)
class Table:
    """The table ``t`` of 4,000 rows with vectors of three dimensions, and its manifest."""

    conn: psycopg.Connection[Any]
    index: PgvectorIndex
    kept: Proof | None = None
    said: list[str] = field(default_factory=list)
    die_after: int | None = None

    def read(self) -> Attested:
        return attest(self.index, "t", kept=self.kept, save=self.save, say=self.said.append)

    def save(self, proof: Proof) -> None:
        self.kept = proof
        if self.die_after is not None and len(proof.done) >= self.die_after:
            raise Killed

    def run(self, statement: str) -> None:
        """As some other session does it, ten seconds later: its counts are published."""
        self.conn.execute(statement)
        self.conn.execute("SELECT pg_stat_force_next_flush()")
        self.conn.execute("SELECT 1")


@pytest.fixture(scope="module")
def made(pg_server: Any) -> Iterator[str]:
    pg_server.create_database("attest", vector=True)
    url = pg_server.url("attest")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE source (id text PRIMARY KEY, text text, revision bigint, embedding vector(3))")
        conn.execute(
            "INSERT INTO source SELECT 'id-' || i, repeat(md5(i::text), 3), i % 5,"
            f" ARRAY[i, 1, sin(i)]::real[]::vector FROM generate_series(1, {ROWS}) AS i"
        )
    yield url
    pg_server.drop_database("attest")


@pytest.fixture
def table(made: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    monkeypatch.setattr(pgvector_sums, "BLOCKS", 10)
    engine = sa.create_engine(made.replace("postgresql:", "postgresql+psycopg:", 1))
    create_tables(engine)
    with psycopg.connect(made, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (LIKE source INCLUDING ALL)")
        conn.execute("INSERT INTO t SELECT * FROM source")
        conn.execute("SELECT pg_stat_force_next_flush()")
        found = Table(conn=conn, index=PgvectorIndex(engine=engine))
        describe(found, expected_sum(conn))
        yield found
        conn.execute("DROP TABLE IF EXISTS t CASCADE")
        conn.execute("DELETE FROM switchover_manifest")
    engine.dispose()


def expected_sum(conn: psycopg.Connection[Any]) -> Sum:
    """Added up here, row by row, from what the client library gives."""
    adder = Adder(Choice.among(0, key=0))
    for id, text, vector in conn.execute("SELECT id, text, embedding::text FROM source ORDER BY random()"):
        numbers = np.array(json.loads(vector), dtype=">f4")
        adder.add(id, text, numbers.tobytes())
    return adder.tally().sum


def describe(table: Table, total: Sum) -> None:
    named = dict.fromkeys(("embed_schema", "tok_ver", "chunk_schema_ver", "analyzer_conf", "metric"), "x")
    facts = IndexFacts(**named, store={}, corpus_revision=9, count=total.count, pairs=total.pairs)
    manifest = Manifest(
        target="t", pins={"INDEX_HASH": facts.index_hash()}, facts=facts, encoder={"name": "e", "dimension": 3}
    )
    table.conn.execute(
        "INSERT INTO switchover_manifest VALUES ('t', %s, %s)", [manifest.index_hash, json.dumps(manifest.to_json())]
    )


def test_the_server_adds_up_what_a_client_does(table: Table) -> None:
    found = table.read()
    assert found.proof.tally.sum == expected_sum(table.conn)
    assert found.index_hash == found.manifest.index_hash
    assert len(found.proof.done) > 3, "in several parts"


def test_what_was_interrupted_goes_on_and_ends_the_same(table: Table) -> None:
    table.die_after = 2
    with pytest.raises(Killed):
        table.read()
    first, table.die_after = table.kept, None
    assert first is not None and not first.whole
    read: list[str] = []
    whole = table.index.tally
    table.index.tally = lambda target, shard, **more: (read.append(shard), whole(target, shard, **more))[1]  # type: ignore
    found = table.read()
    assert not set(read) & set(first.done), "nothing is read twice"
    assert len(read) + len(first.done) == len(found.proof.done)
    assert found.proof.tally.sum == expected_sum(table.conn)
    assert "going on behind 2 parts of t" in table.said[0]


def test_what_was_written_to_meanwhile_begins_anew(table: Table) -> None:
    table.die_after = 2
    with pytest.raises(Killed):
        table.read()
    table.die_after = None
    table.run("UPDATE t SET text = 'other' WHERE id = 'id-7'")
    found = table.read()
    assert found.index_hash != found.manifest.index_hash
    assert found.proof.tally.sum.count == ROWS


def test_nothing_is_read_again_while_nothing_was_written(table: Table) -> None:
    first = table.read()
    again = table.read()
    assert (first.skipped, again.skipped) == (False, True)
    assert again.proof == first.proof


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET text = text || '!' WHERE id = 'id-1234'",
        "UPDATE t SET embedding = '[1,2,3]' WHERE id = 'id-1234'",
        "DELETE FROM t WHERE id = 'id-1234'",
        "INSERT INTO t VALUES ('more', 'x', 1, '[1,2,3]')",
        "TRUNCATE t",
    ],
)
def test_one_row_is_always_found_by_a_reading(table: Table, change: str) -> None:
    table.read()
    table.run(change)
    found = table.read()
    assert not found.skipped
    assert found.index_hash != found.manifest.index_hash or not found.vectors_kept
    again = table.read()
    assert again.index_hash == found.index_hash
    assert again.vectors_kept is found.vectors_kept, "what was found wrong once does not become right by a repeat"


def test_exchanged_vectors_are_found(table: Table) -> None:
    """The texts are all there, and the vectors are; they belong to other texts."""
    table.read()
    table.run(
        "UPDATE t SET embedding = other.embedding FROM source AS other WHERE (t.id, other.id)"
        " IN (('id-1', 'id-2'), ('id-2', 'id-1'))"
    )
    found = table.read()
    assert found.index_hash == found.manifest.index_hash
    assert not found.vectors_kept


def test_an_index_that_was_made_again_is_another_one(table: Table) -> None:
    first = table.read()
    table.conn.execute("DROP TABLE t")
    table.conn.execute("CREATE TABLE t (LIKE source INCLUDING ALL)")
    table.run("INSERT INTO t SELECT * FROM source")
    found = table.read()
    assert found.proof.creation != first.proof.creation
    assert found.index_hash == found.manifest.index_hash


def test_what_is_written_to_all_the_time_is_no_proof(table: Table) -> None:
    whole = table.index.tally

    def writing(target: str, shard: str, **more: Any) -> Any:
        table.run("UPDATE t SET revision = revision WHERE id = 'id-1'")
        return whole(target, shard, **more)

    table.index.tally = writing  # type: ignore[method-assign]
    with pytest.raises(TargetRefused, match="index 't': was written to while it was read, 3 times; stop what writes"):
        table.read()
    found = attest(table.index, "t", kept=None, save=table.save, written=True)
    assert found.proof.tally.sum.count >= ROWS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE t SET text = 'other'", "rows have another text than when they were read, id 'id-"),
        ("UPDATE t SET embedding = '[9,9,9]'", "rows have another vector than when they were read"),
        ("UPDATE t SET embedding = NULL", "rows have no vector"),
        ("DELETE FROM t", "rows are gone"),
    ],
)
def test_an_audit_finds_what_went_wrong_widely(table: Table, change: str, said: str) -> None:
    found = table.read()
    assert audit(table.index, found).wrong == ()
    table.run(change)
    (line,) = audit(table.index, found).wrong
    assert said in line


@pytest.mark.parametrize(
    ("vector", "said"),
    [("[0,0,0]", "have a vector of zeros"), ("[1,2]", "have a vector of 2 dimensions, the manifest says 3")],
)
def test_a_vector_that_cannot_be_searched_is_found_however_it_was_built(table: Table, vector: str, said: str) -> None:
    table.conn.execute("ALTER TABLE t ALTER embedding TYPE vector")
    table.run(f"UPDATE t SET embedding = '{vector}'")
    found = table.read()
    (line,) = audit(table.index, found).wrong
    assert said in line


def test_an_audit_finds_one_row_as_often_as_it_prints(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: 60 readings, each with 40 rows altered one at a time; the change mark is not asked."""
    numbers = random.Random(5)
    monkeypatch.setattr(attesting, "AUDITED", 0)
    monkeypatch.setattr("switchover.indexes.receipt._KEPT", 400)
    seen = tried = 0
    expected = 0.0
    for _ in range(60):
        found = attest(table.index, "t", kept=None, save=lambda proof: None)
        kept = found.proof.tally.kept
        expected += 40 * found_by_audit(altered=1, kept=len(kept), rows=ROWS)
        altered = numbers.sample(range(1, ROWS + 1), 40)
        seen += sum(f"id-{number}" in kept for number in altered)
        tried += 40
    share, promised = seen / tried, expected / tried
    assert share == pytest.approx(promised, abs=4 * (promised * (1 - promised) / tried) ** 0.5)
    assert 0.08 < promised < 0.12


def test_a_partitioned_table_and_a_view_are_read_too(table: Table) -> None:
    whole = expected_sum(table.conn)
    table.conn.execute("ALTER TABLE t RENAME TO part_of")
    table.conn.execute("CREATE VIEW t AS SELECT * FROM part_of")
    seen = table.read()
    assert (seen.proof.tally.sum, len(seen.proof.done)) == (whole, 1)
    table.run("UPDATE part_of SET text = 'other' WHERE id = 'id-3'")
    assert not table.read().skipped, "what is written to its table is written to a view"
    table.conn.execute("DROP VIEW t; DROP TABLE part_of")
    table.conn.execute("CREATE TABLE t (LIKE source) PARTITION BY HASH (id)")
    for part in range(2):
        table.conn.execute(f"CREATE TABLE t_{part} PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER {part})")
    table.run("INSERT INTO t SELECT * FROM source")
    table.kept = None
    assert table.read().proof.tally.sum == whole
    assert table.index.count("t") == ROWS
    assert len(table.index.sample("t", size=7).texts) == 7

"""Indexes that are PostgreSQL tables with a pgvector column.

A target is a table (or view) with ``id`` (of any type), ``text``, ``revision`` and ``embedding`` (vector, halfvec, or
an array of real or double precision); its manifest is a row of ``switchover_manifest``. Rows with a later revision than
the manifest's are live writes and do not belong to the build.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from switchover.edge import sql
from switchover.edge.edge import Edge
from switchover.edge.names import table_name
from switchover.errors import TargetRefused
from switchover.indexes.base import Content, Health, Index, IndexSpec, Sample
from switchover.lazy import lazy
from switchover.pins import Manifest, pairs_digest

if TYPE_CHECKING:
    import numpy as np
    import sqlalchemy as sa
else:
    np = lazy("numpy")
    sa = lazy("sqlalchemy")

# `id::text` is the column itself where it is text, so that its index still gives the order.
PAIRS = """SELECT id::text AS id, encode(sha256(convert_to(text, 'UTF8')), 'hex') AS digest,
                  revision IS NULL AS undated
           FROM {table} WHERE revision <= :revision OR revision IS NULL ORDER BY id::text COLLATE "C" """
HINT = "an index has id, text, revision (a whole number) and embedding; its manifest is in switchover_manifest"
WHOLE_INDEX_S = 600.0  # a large index is sorted before its first row comes
SHARED = """WITH RECURSIVE whole AS (
           SELECT to_regclass(:table)::oid AS oid
           UNION SELECT part.inhrelid FROM pg_inherits AS part JOIN whole ON part.inhparent = whole.oid)
       SELECT name FROM unnest(CAST(:others AS text[])) AS name
       WHERE to_regclass(name)::oid IN (SELECT oid FROM whole)"""
SAMPLE = """SELECT text, embedding::text AS vector FROM {table} WHERE revision <= :revision
            ORDER BY md5(id::text) LIMIT :size"""
BARE = "SELECT count(*) AS rows, min(id::text) AS first FROM {table} WHERE revision <= :revision AND embedding IS NULL"
KIND = """SELECT format_type(atttypid, NULL) FROM pg_attribute
       WHERE attrelid = to_regclass(:table) AND attname = 'embedding' AND NOT attisdropped"""
KINDS = ("vector", "halfvec", "real[]", "double precision[]")


class PgvectorIndexSpec(IndexSpec):
    """Indexes that are tables with a pgvector column, each with its manifest row."""

    buildable: ClassVar[bool] = True

    kind: Literal["pgvector"]

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`IndexSpec`."""
        for arm in arms:
            table_name(arm, f"index: arm {arm!r}", ValueError)

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        return PgvectorIndex(engine=edge.sql(self.connection))


class PgvectorIndex:
    """The index tables of one database."""

    def __init__(self, *, engine: sa.Engine) -> None:
        self._engine = engine
        self._place = sql.place(engine)

    def health(self, target: str) -> Health:
        """See :class:`Index`."""
        table = quoted(target)
        query = sa.text(
            """SELECT to_regclass(:table) IS NOT NULL AS exists,
                      (SELECT index_hash FROM switchover_manifest WHERE target = :target) AS stored_hash"""
        )
        with self._transaction(target) as connection:
            row = connection.execute(query, {"table": table, "target": target}).one()
            if not row.exists:
                return Health(exists=False, empty=True, stored_hash=row.stored_hash)
            filled = connection.execute(sa.text(f"SELECT EXISTS (SELECT 1 FROM {table})")).scalar_one()
        return Health(exists=True, empty=not filled, stored_hash=row.stored_hash)

    def content(self, target: str) -> Content:
        """See :class:`Index`. Streams the rows: memory does not grow with the index."""
        manifest = self.manifest(target)
        statement = sa.text(PAIRS.format(table=quoted(target)))
        count = 0
        with self._transaction(target) as connection:
            streaming = connection.execution_options(yield_per=5_000)
            rows = streaming.execute(statement, {"revision": manifest.facts.corpus_revision})

            def pairs() -> Iterator[tuple[str, str]]:
                nonlocal count
                before = None
                for count, row in enumerate(rows, start=1):  # noqa: B007 - the count outlives the loop
                    self._check(target, row, before)
                    before = row.id
                    yield row.id, row.digest

            digest = pairs_digest(pairs(), in_order=True)
        facts = dataclasses.replace(manifest.facts, count=count, pairs=digest)
        return Content(manifest=manifest, count=count, index_hash=facts.index_hash())

    def sample(self, target: str, *, size: int) -> Sample:
        """See :class:`Index`."""
        table = quoted(target)
        given = {"revision": self.manifest(target).facts.corpus_revision}
        with self._transaction(target) as connection:
            kind = connection.execute(sa.text(KIND), {"table": table}).scalar_one_or_none()
            if kind is not None and kind.rpartition(".")[2] not in KINDS:
                raise self._refused(target, f"its column embedding is of type {kind}; allowed: {', '.join(KINDS)}")
            bare = connection.execute(sa.text(BARE.format(table=table)), given).one()
            rows = connection.execute(sa.text(SAMPLE.format(table=table)), {**given, "size": size}).all()
        if bare.rows:
            raise self._refused(target, f"{bare.rows:,} rows have no embedding (NULL), id {bare.first!r} among them")
        vectors = [[float(value) for value in row.vector.strip("[]{}").split(",")] for row in rows]
        sizes = sorted({len(vector) for vector in vectors})
        if len(sizes) > 1:
            raise self._refused(target, f"its embeddings have {' and '.join(map(str, sizes))} dimensions; allowed: one")
        return Sample(texts=[row.text for row in rows], vectors=np.array(vectors, dtype=np.float64))

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """See :class:`Index`."""
        query = f"SELECT id::text AS id, text FROM {quoted(target)} WHERE id::text = ANY(:ids) AND text IS NOT NULL"
        with self._transaction(target) as connection:
            return {row.id: row.text for row in connection.execute(sa.text(query), {"ids": list(ids)})}

    def shared(self, target: str, others: Collection[str]) -> list[str]:
        """See :class:`Index`. The parts of a partitioned table go with it; a view on it keeps it."""
        with self._transaction(target) as connection:
            return shared_tables(connection, target, others)

    def drop(self, target: str) -> None:
        """See :class:`Index`. Without CASCADE: a view on the table keeps it."""
        table = quoted(target)
        with self._transaction(target) as connection:
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
            connection.execute(sa.text("DELETE FROM switchover_manifest WHERE target = :target"), {"target": target})

    def manifest(self, target: str) -> Manifest:
        """The manifest of a target. ``TargetRefused`` when there is none, or it cannot be read."""
        query = sa.text("SELECT manifest FROM switchover_manifest WHERE target = :target")
        with self._transaction(target) as connection:
            found = connection.execute(query, {"target": target}).scalar_one_or_none()
        if found is None:
            raise TargetRefused(f"index {target!r} in {self._place}: has no manifest; build it again, or write one")
        try:
            return Manifest.from_json(found)
        except (KeyError, TypeError) as error:
            raise TargetRefused(f"index {target!r} in {self._place}: its manifest lacks {error}") from error

    def _check(self, target: str, row: sa.Row[Any], before: str | None) -> None:
        """A row that cannot be told from another one, or has nothing to be told by, makes no INDEX_HASH."""
        if row.id is None:
            raise self._refused(target, "a row has no id (NULL)")
        if row.digest is None or row.undated:
            lacking = "text" if row.digest is None else "revision"
            raise self._refused(target, f"the row with id {row.id!r} has no {lacking} (NULL)")
        if row.id == before:
            raise self._refused(target, f"two rows have the id {row.id!r}")

    def _refused(self, target: str, problem: str) -> TargetRefused:
        return TargetRefused(f"index {target!r} in {self._place}: {problem}")

    def _transaction(self, target: str) -> AbstractContextManager[sa.Connection]:
        what = f"index {target!r} in {self._place}"
        return sql.transaction(self._engine, what, hint=HINT, answer_s=WHOLE_INDEX_S)


def shared_tables(connection: sa.Connection, target: str, others: Collection[str]) -> list[str]:
    """Those of ``others`` that are the table ``target`` or a part of it."""
    names = {"table": quoted(target), "others": [quoted(other) for other in others]}
    found = {row.name for row in connection.execute(sa.text(SHARED), names)}
    return [other for other in others if quoted(other) in found]


def quoted(target: str) -> str:
    """The target as a quoted SQL name, with an optional schema before it."""
    return ".".join(f'"{part}"' for part in table_name(target, "index").split("."))

"""Indexes that are PostgreSQL tables with a pgvector column.

A target is a table, partitioned table or view with an id (of any type), a text, a vector and, where writers go on
after a build, a ``revision``; its manifest is a row of ``switchover_manifest``. Rows with a later revision than the
manifest's are live writes and do not belong to the build.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from switchover.edge import sql
from switchover.edge.edge import Edge
from switchover.edge.names import table_name
from switchover.errors import TargetRefused
from switchover.indexes import pgvector_sums as sums
from switchover.indexes.base import Health, Index, IndexSpec, Mark, Row, Sample, Vectors
from switchover.indexes.receipt import Choice, Tally
from switchover.lazy import lazy
from switchover.pins import Manifest, pairs_digest

if TYPE_CHECKING:
    import numpy as np
    import sqlalchemy as sa
else:
    np = lazy("numpy")
    sa = lazy("sqlalchemy")

# `id::text` is the column itself where it is text, so that its index still gives the order.
PAIRS = """SELECT {id}::text AS id, encode(sha256(convert_to({text}::text, 'UTF8')), 'hex') AS digest,
                  {undated} AS undated
           FROM {table} WHERE {of} ORDER BY {id}::text COLLATE "C" """
HINT = "an index has id, text, revision (a whole number) and embedding; its manifest is in switchover_manifest"
WHOLE_INDEX_S = 600.0  # a large index is sorted before its first row comes
SHARED = """WITH RECURSIVE whole AS (
           SELECT to_regclass(:table)::oid AS oid
           UNION SELECT part.inhrelid FROM pg_inherits AS part JOIN whole ON part.inhparent = whole.oid)
       SELECT name FROM unnest(CAST(:others AS text[])) AS name
       WHERE to_regclass(name)::oid IN (SELECT oid FROM whole)"""
KINDS = ("vector", "halfvec", "sparsevec", "real[]", "double precision[]")
METRICS = {"_cosine_ops": "cosine", "_ip_ops": "ip", "_l2_ops": "l2"}  # by how the operator class is called
COUNTED_BLOCKS = 8_192  # up to 64 MB a table's rows are counted, not estimated


class PgvectorIndexSpec(IndexSpec):
    """Indexes that are tables with a pgvector column, each with its manifest row."""

    buildable: ClassVar[bool] = True

    store: ClassVar[str] = "PostgreSQL"
    kind: Literal["pgvector"]
    id: str = Field("id", min_length=1, description="Column with the id, of any type.")
    text: str = Field("text", min_length=1, description="Column with the text that was embedded.")
    vector: str | None = Field("embedding", min_length=1, description="Column with the vector; null: there is none.")
    revision: str | None = Field(
        "revision", min_length=1, description="Column with the revision of a row's last write; null: there is none."
    )

    doc: str | None = Field(
        None, min_length=1, description="Column with the id of the document that a row is of; null: there is none."
    )
    targets: dict[str, str] | None = Field(
        None, description="Arm to table (or view), where the two differ; two arms may name one."
    )

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`IndexSpec`."""
        super().check_arms(arms)
        for arm in arms:
            table_name(self.resolved(arm), f"index: arm {arm!r}", ValueError)

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        names = sums.Names(id=self.id, text=self.text, vector=self.vector, revision=self.revision, doc=self.doc)
        return PgvectorIndex(engine=edge.sql(self.connection), names=names)


class PgvectorIndex:
    """The index tables of one database."""

    def __init__(self, *, engine: sa.Engine, names: sums.Names | None = None) -> None:
        self._engine = engine
        self._place = sql.place(engine)
        self._names = names or sums.Names()
        self._id, self._text = sums.quoted_name(self._names.id), sums.quoted_name(self._names.text)
        self._vector = sums.quoted_name(self._names.vector) if self._names.vector else "NULL"
        self._revision = sums.quoted_name(self._names.revision) if self._names.revision else None

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

    def manifest(self, target: str) -> Manifest:
        """See :class:`Index`."""
        query = sa.text("SELECT manifest FROM switchover_manifest WHERE target = :target")
        with self._transaction(target) as connection:
            found = connection.execute(query, {"target": target}).scalar_one_or_none()
        if found is None:
            raise TargetRefused(f"index {target!r} in {self._place}: has no manifest; build it again, or write one")
        try:
            return Manifest.from_json(found)
        except (KeyError, TypeError) as error:
            raise TargetRefused(f"index {target!r} in {self._place}: its manifest lacks {error}") from error

    def describe(self, target: str, manifest: Manifest) -> None:
        """See :class:`Index`."""
        values = {"target": target, "hash": manifest.index_hash, "manifest": json.dumps(manifest.to_json())}
        with self._transaction(target) as connection:
            describe(connection, values)

    def newest(self, target: str) -> int:
        """See :class:`Index`."""
        if self._revision is None:
            return 0
        with self._transaction(target) as connection:
            query = f"SELECT coalesce(max({self._revision}), 0) FROM {quoted(target)}"
            return int(connection.execute(sa.text(query)).scalar_one())

    def vectors(self, target: str) -> Vectors:
        """See :class:`Index`. Without an approximate index each query names its own metric."""
        with self._transaction(target) as connection:
            values = {"table": quoted(target), "column": self._names.vector or ""}
            row = connection.execute(sa.text(sums.VECTORS), values).one()
        metric = next((name for ends, name in METRICS.items() if (row.opclass or "").endswith(ends)), "")
        return Vectors(metric=metric, dimension=row.dimension, parameters=row.parameters or "no approximate index")

    def mark(self, target: str) -> Mark:
        """See :class:`Index`. The server publishes its counts of a session's writes some seconds after they are done.

        A crash of the server sets them to zero: then a reading is made again, though nothing was written.
        """
        with self._transaction(target) as connection:
            found = connection.execute(sa.text(sums.MARK), {"table": quoted(target)}).one()
        if found.oid is None:
            raise self._refused(target, "is not there")
        counts = (int(found.inserted), int(found.updated), int(found.deleted))
        return Mark(
            creation=f"postgresql {found.name}/{found.db}/{found.oid}",
            change=f"{found.files} {'/'.join(map(str, counts))}",
        )

    def count(self, target: str) -> int:
        """See :class:`Index`. Up to 64 MB a table is counted; else the planner's estimate."""
        table = quoted(target)
        with self._transaction(target) as connection:
            blocks = sum(row.blocks for row in connection.execute(sa.text(sums.PARTS), {"table": table}))
            if blocks <= COUNTED_BLOCKS:
                return int(connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())
            plan = connection.execute(sa.text(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {table}")).scalar_one()
        return int(plan[0]["Plan"]["Plan Rows"])

    def shards(self, target: str) -> Sequence[str]:
        """See :class:`Index`."""
        with self._transaction(target) as connection:
            return sums.shards(connection, quoted(target))

    def tally(self, target: str, shard: str, *, upto: int, choice: Choice) -> Tally:
        """See :class:`Index`. Added up inside the server."""
        with self._transaction(target) as connection:
            found = sums.tally(connection, quoted(target), shard, names=self._names, upto=upto, choice=choice)
        if found is None:
            self.ordered_pairs(target, upto=upto)  # names the row
            raise self._refused(target, "a row has no id, text or revision (NULL)")
        return found

    def ordered_pairs(self, target: str, *, upto: int) -> str:
        """See :class:`Index`. Streams the rows: memory does not grow with the index."""
        with self._transaction(target) as connection:
            of = f"{self._revision} <= :upto OR {self._revision} IS NULL" if self._revision else "true"
            undated = f"{self._revision} IS NULL" if self._revision else "false"
            statement = PAIRS.format(table=quoted(target), id=self._id, text=self._text, of=of, undated=undated)
            streaming = connection.execution_options(yield_per=5_000)
            rows = streaming.execute(sa.text(statement), {"upto": upto} if self._revision else {})

            def pairs() -> Iterator[tuple[str, str]]:
                before = None
                for row in rows:
                    self._check(target, row, before)
                    before = row.id
                    yield row.id, row.digest

            return pairs_digest(pairs(), in_order=True)

    def rows(self, target: str, ids: Collection[str]) -> list[Row]:
        """See :class:`Index`."""
        table = quoted(target)
        with self._transaction(target) as connection:
            there = sums.columns(connection, table)
            sent, id_type = sums.vector_bytes(there, self._names.vector), there[self._names.id].whole
            query = f"""SELECT {self._id}::text AS id, {self._text}::text AS text, {sent} AS sent,
                {self._vector}::text AS numbers FROM {table} WHERE {self._id} = ANY(CAST(:ids AS {id_type}[]))"""
            found = connection.execute(sa.text(query), {"ids": list(ids)}).all()
        rows = []
        for row in found:
            dimension, values = sums.numbers(row.numbers) if row.numbers is not None else (0, None)
            vector = bytes(row.sent) if row.sent is not None else None
            rows.append(Row(id=row.id, text=row.text or "", vector=vector, values=values, dimension=dimension))
        return rows

    def sample(self, target: str, *, size: int) -> Sample:
        """See :class:`Index`. Of a large table from some of its blocks, the same ones each time."""
        table, upto = quoted(target), self.manifest(target).facts.corpus_revision
        with self._transaction(target) as connection:
            there = sums.columns(connection, table)
            column = there.get(self._names.vector or "")
            if column is not None and column.type.rpartition(".")[2] not in KINDS:
                raise self._refused(
                    target, f"its column {self._names.vector} is of type {column.type}; allowed: {', '.join(KINDS)}"
                )
            of, given = (f"{self._revision} <= :upto", {"upto": upto}) if self._revision else ("true", {})
            parts = connection.execute(sa.text(sums.PARTS), {"table": table}).all()
            blocks = sum(part.blocks for part in parts)
            some = f"TABLESAMPLE SYSTEM ({300 * size / blocks:.9f}) REPEATABLE (1)" if blocks > 3 * size else ""
            if sums.is_view(connection, table):
                some = ""
            query = f"""SELECT {self._id}::text AS id, {self._text}::text AS text, {self._vector}::text AS vector
                FROM {table} {some} WHERE {of} ORDER BY {self._vector} IS NOT NULL, md5({self._id}::text) LIMIT :size"""
            rows = connection.execute(sa.text(query), {**given, "size": size}).all()
        if self._names.vector is None:
            return Sample(texts=[row.text for row in rows], vectors=np.empty((len(rows), 0)))
        bare = [row.id for row in rows if row.vector is None]
        if bare:
            raise self._refused(target, f"rows have no {self._names.vector} (NULL), id {min(bare)!r} among them")
        vectors = [sums.dense(row.vector) for row in rows]
        sizes = sorted({len(vector) for vector in vectors})
        if len(sizes) > 1:
            raise self._refused(target, f"its embeddings have {' and '.join(map(str, sizes))} dimensions; allowed: one")
        return Sample(texts=[row.text for row in rows], vectors=np.array(vectors, dtype=np.float64))

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """See :class:`Index`."""
        query = f"""SELECT {self._id}::text AS id, {self._text}::text AS text FROM {quoted(target)}
            WHERE {self._id}::text = ANY(:ids) AND {self._text} IS NOT NULL"""
        with self._transaction(target) as connection:
            return {row.id: row.text for row in connection.execute(sa.text(query), {"ids": list(ids)})}

    def documents(self, target: str, docs: Sequence[str]) -> set[str] | None:
        """See :class:`Index`."""
        if self._names.doc is None:
            return None
        column = f"{sums.quoted_name(self._names.doc)}::text"  # the column itself where it is text
        query = f"SELECT DISTINCT {column} FROM {quoted(target)} WHERE {column} = ANY(:docs)"
        with self._transaction(target) as connection:
            return {str(doc) for doc in connection.execute(sa.text(query), {"docs": list(docs)}).scalars()}

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


def describe(connection: sa.Connection, values: Mapping[str, Any]) -> None:
    """Write a manifest's row (``target, hash, manifest``); one that is there and the same stays untouched."""
    connection.execute(
        sa.text(
            "INSERT INTO switchover_manifest (target, index_hash, manifest) VALUES (:target, :hash, :manifest)"
            " ON CONFLICT (target) DO UPDATE SET index_hash = excluded.index_hash, manifest = excluded.manifest,"
            " built_at = now() WHERE (switchover_manifest.manifest, switchover_manifest.index_hash)"
            " IS DISTINCT FROM (excluded.manifest, excluded.index_hash)"
        ),
        dict(values),
    )


def shared_tables(connection: sa.Connection, target: str, others: Collection[str]) -> list[str]:
    """Those of ``others`` that are the table ``target`` or a part of it."""
    names = {"table": quoted(target), "others": [quoted(other) for other in others]}
    found = {row.name for row in connection.execute(sa.text(SHARED), names)}
    return [other for other in others if quoted(other) in found]


def quoted(target: str) -> str:
    """The target as a quoted SQL name, with an optional schema before it."""
    return ".".join(f'"{part}"' for part in table_name(target, "index").split("."))

"""Where a build's rows go: a table beside the target's, which takes its place when it is whole.

Rows and checkpoint are written in one transaction, so a build that is killed goes on exactly behind what is
stored. Two builds of one target cannot mix: each batch names the checkpoint that it continues.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy as sa

from switchover.edge import sql
from switchover.edge.connection import ANSWER_S
from switchover.edge.names import BUILDING, built_table_name
from switchover.errors import BadInput, StateConflict, Unreachable
from switchover.indexes.base import Mark
from switchover.indexes.pgvector import PgvectorIndex, describe, quoted, shared_tables
from switchover.indexes.pgvector_sums import Names, shards, tally
from switchover.indexes.receipt import Choice, Tally
from switchover.indexing.copying import COLUMNS, COPY_TYPES, copy_rows
from switchover.indexing.documents import Position
from switchover.indexing.merge import marks
from switchover.indexing.rights import check_not_described, check_replaceable, grant_as
from switchover.indexing.rows import Batch, chunk_ids
from switchover.pins import Manifest, canonical_json
from switchover.text import first_line

TABLE = """CREATE TABLE IF NOT EXISTS switchover_build (
    target text PRIMARY KEY, recipe jsonb NOT NULL, revision bigint NOT NULL, doc text NOT NULL,
    documents bigint NOT NULL DEFAULT 0, chunks bigint NOT NULL DEFAULT 0, marks numeric NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL DEFAULT now(), at timestamptz NOT NULL DEFAULT now())"""

ROWS_S, WHOLE_S, LOCK_S = 60.0, 86_400.0, "10s"
SINCE_COUNTS_ARE_PUSHED = 150_000
WHOLE_TABLE = ("seqscan", "hashjoin", "mergejoin")
_HINT = "a build creates its tables itself: it needs CREATE in the schema, USAGE of the type vector"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What of a build is stored. ``chunks`` and ``marks`` are of all that was loaded, also of what was replaced."""

    recipe: Mapping[str, Any]
    position: Position
    documents: int
    chunks: int
    marks: int


class PgvectorTarget:
    """The target's table, the one beside it that is being filled, and the checkpoint."""

    def __init__(self, *, engine: sa.Engine, target: str) -> None:
        self.target = built_table_name(target, "build: target")
        self.staging = target + BUILDING
        self._engine = engine
        self._what = f"build of {target!r} in {sql.place(engine)}"

    def prepare(self) -> None:
        """Make the table of checkpoints where it is missing; one of before there were marks is made anew."""
        query = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('switchover_build') AND attname = 'marks'"
        with self._transaction() as connection:
            if connection.execute(sa.text(query)).scalar_one_or_none() is None:
                connection.execute(sa.text("DROP TABLE IF EXISTS switchover_build"))
                connection.execute(sa.text(TABLE))

    def checkpoint(self) -> Checkpoint | None:
        """The build that is under way; ``None`` when there is none."""
        query = "SELECT recipe, revision, doc, documents, chunks, marks FROM switchover_build WHERE target = :target"
        with self._transaction() as connection:
            row = connection.execute(sa.text(query), {"target": self.target}).one_or_none()
        if row is None:
            return None
        position = Position(revision=row.revision, doc=row.doc)
        return Checkpoint(
            recipe=row.recipe,
            position=position,
            documents=row.documents,
            chunks=row.chunks,
            marks=int(row.marks),
        )

    def check_replaceable(self) -> None:
        """Raise unless the target's name is free, or is an index that a build has described and this role owns.

        The table that is filled beside it must be a build's own too: an index may have just that name.
        """
        with self._transaction() as connection:
            check_replaceable(connection, self.target, what=self._what)
            check_not_described(connection, self.staging, what=self._what)

    def shared(self, others: Collection[str]) -> list[str]:
        """Those of ``others`` (names of indexes) that lead to the target's table: replacing it replaces them."""
        with self._transaction() as connection:
            return shared_tables(connection, self.target, others)

    def start(self, recipe: Mapping[str, Any], *, dimension: int) -> None:
        """Begin with an empty table; a build of another recipe that was under way is dropped."""
        first = Position()
        with self._transaction() as connection:
            connection.execute(sa.text(f'DROP TABLE IF EXISTS "{self.staging}"'))
            connection.execute(
                sa.text(
                    f'CREATE TABLE "{self.staging}" (id text COLLATE "C" PRIMARY KEY, doc text NOT NULL,'
                    " section text NOT NULL, start_char int NOT NULL, end_char int NOT NULL, tokens int NOT NULL,"
                    " text text NOT NULL, content_digest text NOT NULL, revision bigint NOT NULL,"
                    f" embedding vector({dimension}) NOT NULL)"
                )
            )
            # Vectors stay in the row: an exact scan reads every one of them.
            connection.execute(sa.text(f'ALTER TABLE "{self.staging}" ALTER COLUMN embedding SET STORAGE PLAIN'))
            connection.execute(
                sa.text(
                    "INSERT INTO switchover_build (target, recipe, revision, doc) VALUES (:target, :recipe, :revision,"
                    " :doc) ON CONFLICT (target) DO UPDATE SET recipe = excluded.recipe, revision = excluded.revision,"
                    " doc = excluded.doc, documents = 0, chunks = 0, marks = 0, began_at = now(), at = now()"
                ),
                {"target": self.target, "recipe": canonical_json(recipe), **vars(first)},
            )

    def load(self, batch: Batch, *, after: Position, to: Position, replace: bool) -> None:
        """Add the batch's rows and move the checkpoint, in one transaction.

        ``replace``: first take out what the documents had. Without it they are taken for new; a row that is
        there already is noticed, one that only the older revision had stays until revisions are compared.
        ``StateConflict`` when the checkpoint is not ``after``: another build of the target is running.
        """
        try:
            self._load(batch, after=after, to=to, replace=replace)
        except sa.exc.IntegrityError:
            self._load(batch, after=after, to=to, replace=True)

    def _load(self, batch: Batch, *, after: Position, to: Position, replace: bool) -> None:
        with self._moving(after=after, to=to, batch=batch) as connection:
            if replace:
                self._remove(connection, [document.doc for document in batch.documents])
            cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
            with cursor.copy(f'COPY "{self.staging}" ({COLUMNS}) FROM STDIN (FORMAT BINARY)') as copy:
                copy.set_types(COPY_TYPES)
                for row in copy_rows(batch):
                    copy.write_row(row)

    def remove(self, docs: Sequence[str], *, at: Position) -> None:
        """Take documents out that the source has no more."""
        with self._moving(after=at, to=at) as connection:
            self._remove(connection, docs)

    def revisions(self) -> Iterator[tuple[str, int]]:
        """Name and revision of every document that has rows, by name in code-point order."""
        yield from self._revisions(self.staging)

    def published_revisions(self) -> Iterator[tuple[str, int]]:
        """The same of the target itself."""
        yield from self._revisions(self.target)

    def index(self, *, m: int, ef_construction: int) -> bool:
        """Build the approximate index unless it is there; returns whether it was missing."""
        with self._transaction(WHOLE_S) as connection:
            query = (
                "SELECT EXISTS (SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                " JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'hnsw' AND i.indrelid = to_regclass(:table))"
            )
            if connection.execute(sa.text(query), {"table": f'"{self.staging}"'}).scalar_one():
                return False
            # Vectors are unit vectors: the inner product is the cosine, at a third of its cost.
            connection.execute(
                sa.text(
                    f'CREATE INDEX ON "{self.staging}" USING hnsw (embedding vector_ip_ops)'
                    f" WITH (m = {m:d}, ef_construction = {ef_construction:d})"
                )
            )
            return True

    def held(self, *, upto: int, key: int) -> Tally:
        """What the table that is being built holds, read from its texts and vectors by the server itself."""
        table, found = quoted(self.staging), Tally()
        checkpoint = self.checkpoint()
        choice = Choice.among(checkpoint.chunks if checkpoint else 0, key)
        with self._transaction(WHOLE_S) as connection:
            for shard in shards(connection, table):
                part = tally(connection, table, shard, names=Names(), upto=upto, choice=choice)
                assert part is not None, "no column that a digest is made of may be NULL here"
                found += part
        return found

    def mark(self) -> Mark:
        """What tells the published table from others, and whether it is written to from now on."""
        with self._transaction() as connection:
            version = connection.connection.driver_connection.info.server_version  # type: ignore[union-attr]
            if version >= SINCE_COUNTS_ARE_PUSHED:
                connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
        return PgvectorIndex(engine=self._engine).mark(self.target)

    def stored(self) -> Manifest | None:
        """The target's manifest, when its table holds as many rows as it says."""
        query = "SELECT manifest FROM switchover_manifest WHERE target = :target AND to_regclass(:table) IS NOT NULL"
        with self._transaction() as connection:
            values = {"target": self.target, "table": f'"{self.target}"'}
            found = connection.execute(sa.text(query), values).scalar_one_or_none()
            if found is None:
                return None
            manifest = Manifest.from_json(found)
            rows = sa.text(f'SELECT count(*) FROM "{self.target}" WHERE revision <= :revision')
            count = connection.execute(rows, {"revision": manifest.facts.corpus_revision}).scalar_one()
        return manifest if count == manifest.facts.count else None

    def publish(self, manifest: Manifest, *, at: Position, like: str | None) -> str:
        """Put the built table in the target's place, with its manifest; the checkpoint goes. One transaction.

        ``like``: the live index, whose roles get the same rights on this one; without one, those that the target's
        old table had. Returns which role may do what. ``TargetRefused`` when something else depends on the old table.
        """
        with self._transaction(ROWS_S) as connection:
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_S}'"))
            self._checkpointed(connection, "DELETE FROM switchover_build", at=at)
            connection.execute(sa.text("SET LOCAL default_statistics_target = 10"))  # it looks at 3,000 rows
            connection.execute(sa.text(f'ANALYZE "{self.staging}" (id, doc, revision)'))
            rights = grant_as(connection, table=f'"{self.staging}"', like=quoted(like or self.target))
            connection.execute(sa.text(f'DROP TABLE IF EXISTS "{self.target}"'))
            connection.execute(sa.text(f'ALTER TABLE "{self.staging}" RENAME TO "{self.target}"'))
            self._describe(connection, manifest)
        return rights

    def describe(self, manifest: Manifest) -> None:
        """Write the manifest of rows that are there already: the pins of newer code."""
        with self._transaction() as connection:
            self._describe(connection, manifest)

    def _describe(self, connection: sa.Connection, manifest: Manifest) -> None:
        told = {"target": self.target, "hash": manifest.index_hash, "manifest": json.dumps(manifest.to_json())}
        describe(connection, told)

    @contextlib.contextmanager
    def _moving(self, *, after: Position, to: Position, batch: Batch | None = None) -> Iterator[sa.Connection]:
        """The checkpoint moves first: its row is locked until the batch is there."""
        values: dict[str, Any] = {"documents": 0, "chunks": 0, "marks": 0}
        if batch is not None:
            loaded = marks((document.doc, document.revision) for document in batch.documents)
            values = {"documents": len(batch.documents), "chunks": len(batch.chunks), "marks": str(loaded)}
        changes = (
            "revision = :revision, doc = :doc, documents = documents + :documents, chunks = chunks + :chunks,"
            " marks = marks + CAST(:marks AS numeric), at = now()"
        )
        with self._transaction(ROWS_S) as connection:
            self._checkpointed(connection, f"UPDATE switchover_build SET {changes}", at=after, **vars(to), **values)
            yield connection

    def _checkpointed(self, connection: sa.Connection, statement: str, *, at: Position, **values: Any) -> None:
        """Change the checkpoint if it is still ``at``."""
        where = " WHERE target = :target AND (revision, doc) = (:at_revision, :at_doc)"
        values = {"target": self.target, "at_revision": at.revision, "at_doc": at.doc, **values}
        if connection.execute(sa.text(statement + where), values).rowcount != 1:
            raise StateConflict(
                f"{self._what}: another build of it is running; this one has stopped and changed nothing more"
            )

    def _remove(self, connection: sa.Connection, docs: Sequence[str]) -> None:
        """By the range of their ids: the primary key is the only index while rows are loaded."""
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        first, last = zip(*map(chunk_ids, docs), strict=True)
        # Without statistics the planner would read the whole table once a batch.
        cursor.execute("SELECT " + ", ".join(f"set_config('enable_{way}', 'off', true)" for way in WHOLE_TABLE))
        cursor.execute(
            f'DELETE FROM "{self.staging}" AS old USING unnest(%s::text[], %s::text[], %s::text[]) AS new(doc, a, z)'
            " WHERE old.id >= new.a AND old.id < new.z AND old.doc = new.doc",
            [list(docs), list(first), list(last)],
        )

    def _revisions(self, table: str) -> Iterator[Any]:
        query = f'SELECT DISTINCT doc COLLATE "C" AS doc, revision FROM "{table}" ORDER BY 1, 2'
        with self._transaction(WHOLE_S) as connection:
            yield from _streamed(connection, query)

    @contextlib.contextmanager
    def _transaction(self, answer_s: float = ANSWER_S) -> Iterator[sa.Connection]:
        try:
            with sql.transaction(self._engine, self._what, hint=_HINT, answer_s=answer_s) as connection:
                yield connection
        except Unreachable as error:
            cause = getattr(error.__cause__, "orig", None)
            if not isinstance(cause, psycopg.errors.DiskFull):
                raise
            raise BadInput(
                f"{self._what}: {first_line(cause)}; what was stored before stays: make room, start it again"
            ) from error


def _streamed(connection: sa.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a server-side cursor, as the driver gives them."""
    with connection.connection.driver_connection.cursor(name="switchover_build") as cursor:  # type: ignore[union-attr]
        cursor.itersize = 5_000
        yield from cursor.execute(query)

"""The writers' side of the indexes: what they add to a live index, and what of it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg import sql

from sandbox.service import opensearch
from sandbox.service.live import Live
from sandbox.service.vectors import Vector
from switchover.encoders.base import Vectors
from switchover.indexing.rows import Chunk
from switchover.pins import Manifest

Conn = psycopg.Connection[Any]


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """One row that a writer adds."""

    chunk: Chunk
    vector: Vectors
    revision: int


class Rows(Protocol):
    """The rows of the indexes. ``conn``: the writer's transaction in the database with its positions."""

    def manifest(self, conn: Conn, target: str | None) -> Manifest | None:
        """The manifest of an index; ``None`` when it has none."""
        ...

    def add(self, conn: Conn, manifest: Manifest, rows: Sequence[NewRow]) -> None:
        """Add rows; one that is there already is left as it is."""
        ...

    def documents(self, conn: Conn, manifest: Manifest, *, prefix: str) -> set[str]:
        """Names of all documents that have a row and begin so, whether a writer or a build has put them there."""
        ...


def rows_of(live: Live) -> Rows:
    """The rows of the indexes that ``live`` chooses from."""
    return PgRows() if live.search is None else OpenSearchRows(client=live.search)


class PgRows:
    """Tables beside the positions: rows and position are written in one transaction."""

    def manifest(self, conn: Conn, target: str | None) -> Manifest | None:
        """See :class:`Rows`."""
        row = conn.execute("SELECT manifest FROM switchover_manifest WHERE target = %s", [target]).fetchone()
        return Manifest.from_json(row[0]) if row else None

    def add(self, conn: Conn, manifest: Manifest, rows: Sequence[NewRow]) -> None:
        """See :class:`Rows`."""
        statement = sql.SQL(
            "INSERT INTO {} (id, doc, section, start_char, end_char, tokens, text, content_digest, revision, embedding)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::vector) ON CONFLICT (id) DO NOTHING"
        ).format(sql.Identifier(manifest.target))
        with conn.cursor() as cursor:
            cursor.executemany(statement, [(*row.chunk, row.revision, Vector(row.vector)) for row in rows])

    def documents(self, conn: Conn, manifest: Manifest, *, prefix: str) -> set[str]:
        """See :class:`Rows`."""
        query = sql.SQL("SELECT DISTINCT doc FROM {} WHERE starts_with(doc, %s)").format(
            sql.Identifier(manifest.target)
        )
        return {str(row[0]) for row in conn.execute(query, [prefix])}


class OpenSearchRows:
    """Indices in another store. Rows come before the position: after a crash in between they are written again,
    under the same ids.
    """

    def __init__(self, *, client: Any) -> None:
        self._client = client

    def manifest(self, conn: Conn, target: str | None) -> Manifest | None:
        """See :class:`Rows`."""
        with opensearch.answering():
            found = opensearch.stored_of(self._client, target) if target else []
        return Manifest.from_json(found[0].manifest) if found and found[0].manifest else None

    def add(self, conn: Conn, manifest: Manifest, rows: Sequence[NewRow]) -> None:
        """See :class:`Rows`."""
        with opensearch.answering():
            opensearch.write(
                self._client, manifest, [(row.chunk, row.vector, row.revision) for row in rows], refresh=False
            )

    def documents(self, conn: Conn, manifest: Manifest, *, prefix: str) -> set[str]:
        """See :class:`Rows`."""
        body = {"query": {"prefix": {"doc": prefix}}, "size": opensearch.PAGE, "_source": ["doc"]}
        with opensearch.answering():
            self._client.indices.refresh(index=manifest.target)
            found = self._client.search(index=manifest.target, body=body)
        return {str(hit["_source"]["doc"]) for hit in found["hits"]["hits"]}

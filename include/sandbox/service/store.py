"""Where the service finds its builds: manifests, candidates and texts of each index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from sandbox.service import ranking
from sandbox.service.vectors import Vector
from switchover.encoders.base import Vectors
from switchover.pins import Manifest

_LIVE = """SELECT a.target, m.index_hash, m.manifest FROM switchover_alias a
    LEFT JOIN switchover_manifest m ON m.target = a.target WHERE a.alias = %s"""
_NAMED = "SELECT target, index_hash, manifest FROM switchover_manifest WHERE target = %s"

# One statement reads rows and manifest in one snapshot: the hash is that of the rows' own build.
_SEARCH = """SELECT c.id, c.doc, c.section, c.start_char, c.end_char, c.tokens, c.text, c.content_digest,
        -c.distance, m.index_hash
    FROM (SELECT id, doc, section, start_char, end_char, tokens, text, content_digest,
                 embedding <#> %(vector)s::vector AS distance
          FROM {table} ORDER BY distance LIMIT %(limit)s) AS c
    CROSS JOIN switchover_manifest m WHERE m.target = %(target)s ORDER BY c.distance, c.id"""


class NoIndex(Exception):
    """A manifest is there and its index is not."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A target with its manifest and the INDEX_HASH that stands beside it; ``None`` where it has none."""

    target: str
    index_hash: str | None
    manifest: Mapping[str, Any] | None


class Store(Protocol):
    """The indexes of one service. Raises ``NoIndex``."""

    async def live(self, alias: str) -> Stored | None:
        """The target of an alias that stands beside the indexes, with its manifest, in one look."""
        ...

    async def named(self, target: str) -> Stored | None:
        """A target that has a manifest."""
        ...

    async def targets(self) -> list[str]:
        """Every target that has a manifest."""
        ...

    async def search(
        self, manifest: Manifest, question: str, vector: Vectors, *, limit: int
    ) -> list[tuple[ranking.Candidate, str]]:
        """Up to ``limit`` candidates, each with the INDEX_HASH that was read together with it."""
        ...

    async def texts(self, manifest: Manifest) -> Sequence[tuple[str, str]]:
        """Content digest and text of each row of the build."""
        ...

    async def count(self, manifest: Manifest) -> int:
        """Rows of the build itself; what writers added since has a later revision and is not counted."""
        ...


async def configure(conn: psycopg.AsyncConnection[Any]) -> None:
    """Settings of every connection that searches.

    On a corpus this small the planner prefers a scan; on a real one it takes the HNSW index by itself.
    """
    await conn.execute("SET enable_seqscan = off")
    await conn.execute(f"SET hnsw.ef_search = {ranking.EF_SEARCH}")


class PgStore:
    """Tables with a pgvector column, manifests and aliases beside them, over a pool of connections."""

    def __init__(self, *, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def live(self, alias: str) -> Stored | None:
        """See :class:`Store`."""
        return _stored(await self._all(_LIVE, [alias]))

    async def named(self, target: str) -> Stored | None:
        """See :class:`Store`."""
        return _stored(await self._all(_NAMED, [target]))

    async def targets(self) -> list[str]:
        """See :class:`Store`."""
        return [str(row[0]) for row in await self._all("SELECT target FROM switchover_manifest ORDER BY target", [])]

    async def search(
        self, manifest: Manifest, question: str, vector: Vectors, *, limit: int
    ) -> list[tuple[ranking.Candidate, str]]:
        """See :class:`Store`. The nearest by cosine."""
        query = sql.SQL(_SEARCH).format(table=sql.Identifier(manifest.target))
        values = {"vector": Vector(vector), "limit": limit, "target": manifest.target}
        return [
            (
                ranking.Candidate(
                    id=row[0],
                    doc=row[1],
                    section=row[2],
                    start=row[3],
                    end=row[4],
                    tokens=row[5],
                    text=row[6],
                    content_digest=row[7],
                    cosine=float(row[8]),
                ),
                str(row[9]),
            )
            for row in await self._all(query, values)
        ]

    async def texts(self, manifest: Manifest) -> Sequence[tuple[str, str]]:
        """See :class:`Store`."""
        query = sql.SQL("SELECT content_digest, text FROM {} WHERE revision <= %s")
        return await self._all(query.format(sql.Identifier(manifest.target)), [manifest.facts.corpus_revision])

    async def count(self, manifest: Manifest) -> int:
        """See :class:`Store`."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE revision <= %s")
        rows = await self._all(query.format(sql.Identifier(manifest.target)), [manifest.facts.corpus_revision])
        return int(rows[0][0])

    async def _all(self, query: Any, values: Any) -> list[tuple[Any, ...]]:
        try:
            async with self._pool.connection() as conn:
                return await (await conn.execute(query, values)).fetchall()
        except psycopg.errors.UndefinedTable:
            raise NoIndex from None


def _stored(rows: list[tuple[Any, ...]]) -> Stored | None:
    return Stored(target=rows[0][0], index_hash=rows[0][1], manifest=rows[0][2]) if rows else None

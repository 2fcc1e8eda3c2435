"""One request against the index: pointer -> manifest once, then everything by that manifest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from sandbox import analyzer, ranking
from sandbox.vectors import Vector
from switchover.encoder import WordLlamaEncoder, encoder_from
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


async def configure(conn: psycopg.AsyncConnection[Any]) -> None:
    """Settings of every connection that searches.

    On a corpus this small the planner prefers a scan; on a real one it takes the HNSW index by itself.
    """
    await conn.execute("SET enable_seqscan = off")
    await conn.execute(f"SET hnsw.ef_search = {ranking.EF_SEARCH}")


class NoArm(Exception):
    """The request names an arm that does not exist (404)."""


class NotServing(Exception):
    """There is nothing to answer from: no pointer, no manifest or no index table (503)."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One build as this process serves it."""

    manifest: Manifest
    index_hash: str  # as stored beside the index
    encoder: WordLlamaEncoder
    ranker: ranking.Ranker
    search: sql.Composed


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one request brought, up to the reason stage."""

    hits: list[tuple[ranking.Scored, str]]
    stages_ms: dict[str, float]
    began: float


class Reader:
    """Resolves arms and searches them over a pool of connections."""

    def __init__(self, *, pool: AsyncConnectionPool, alias: str) -> None:
        self._pool = pool
        self._alias = alias
        self._arms: dict[tuple[str, str, str], Arm] = {}
        self._opening = asyncio.Lock()

    async def resolve(self, named: str | None) -> Arm:
        """The arm that a request goes to; one SQL statement once the build is known."""
        async with self._pool.connection() as conn:
            row = await (await conn.execute(_NAMED if named else _LIVE, [named or self._alias])).fetchone()
        if row is None:
            if named:
                raise NoArm(f"arm {named!r} has no manifest here")
            raise NotServing(f"no pointer: alias {self._alias!r} has no row in switchover_alias")
        target, index_hash, stored = row
        if stored is None:
            raise NotServing(f"alias {self._alias!r} points at {target!r}, which has no manifest")
        # The whole manifest is the key: two builds may have one INDEX_HASH and differ in another pin.
        key = (str(target), str(index_hash), repr(stored))
        return self._arms.get(key) or await self._open(key, stored)

    async def find(self, arm: Arm, question: str, *, k: int, began: float, inverted: bool = False) -> Found:
        """Candidates by cosine, reranked, the best ``k``; ``began`` is when the request came in."""
        vector = arm.encoder.encode([question])[0]
        values = {
            "vector": Vector(vector),
            "limit": max(k, ranking.CANDIDATES),
            "target": arm.manifest.target,
        }
        try:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(arm.search, values)).fetchall()
        except psycopg.errors.UndefinedTable:
            raise NotServing(f"arm {arm.manifest.target!r} has a manifest but no index table") from None
        retrieved = time.perf_counter()
        candidates = [
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
            )
            for row in rows
        ]
        hashes = {row[0]: str(row[9]) for row in rows}
        scored = arm.ranker.rerank(question, candidates, inverted=inverted)[:k]
        reranked = time.perf_counter()
        return Found(
            hits=[(hit, hashes[hit.row.id]) for hit in scored],
            stages_ms={"retrieve": (retrieved - began) * 1000, "rerank": (reranked - retrieved) * 1000},
            began=began,
        )

    def reason(self, arm: Arm, question: str, found: Found) -> tuple[ranking.Reply, Mapping[str, float]]:
        """The answer, and the times of all stages in ms."""
        start = time.perf_counter()
        reply = arm.ranker.reason(question, [hit for hit, _ in found.hits])
        ended = time.perf_counter()
        return reply, {
            **found.stages_ms,
            "reason": (ended - start) * 1000,
            "total": (ended - found.began) * 1000,
        }

    async def count(self, arm: Arm) -> int:
        """Rows of the build itself; what writers added since has a later revision and is not counted."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE revision <= %s").format(sql.Identifier(arm.manifest.target))
        try:
            async with self._pool.connection() as conn:
                row = await (await conn.execute(query, [arm.manifest.facts.corpus_revision])).fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
        return int(row[0]) if row else 0

    async def prime(self) -> None:
        """Open every arm that has a manifest, so that the first request finds it ready."""
        async with self._pool.connection() as conn:
            rows = await (await conn.execute("SELECT target FROM switchover_manifest ORDER BY target")).fetchall()
        for (target,) in rows:
            await self.resolve(str(target))

    async def _open(self, key: tuple[str, str, str], stored: Mapping[str, Any]) -> Arm:
        """Load encoder and term weights of a build that is new to this process, in a thread."""
        async with self._opening:
            if key in self._arms:
                return self._arms[key]
            manifest = Manifest.from_json(stored)
            table = sql.Identifier(manifest.target)
            query = sql.SQL("SELECT content_digest, text FROM {} WHERE revision <= %s").format(table)
            try:
                async with self._pool.connection() as conn:
                    rows = await (await conn.execute(query, [manifest.facts.corpus_revision])).fetchall()
            except psycopg.errors.UndefinedTable:
                raise NotServing(f"arm {manifest.target!r} has a manifest but no index table") from None
            encoder, ranker = await asyncio.to_thread(_load, manifest, rows)
            arm = Arm(
                manifest=manifest,
                index_hash=key[1],
                encoder=encoder,
                ranker=ranker,
                search=sql.SQL(_SEARCH).format(table=table),
            )
            self._arms = {kept: value for kept, value in self._arms.items() if kept[0] != key[0]}
            self._arms[key] = arm
            return arm


def own_pins(arm: Arm) -> dict[str, str]:
    """The pins as this process runs them: what its code decides comes from the code, the rest from the index."""
    return {
        **arm.manifest.pins,
        "INDEX_HASH": arm.index_hash,
        "EMBED_SCHEMA": arm.encoder.schema(str(arm.manifest.encoder["metric"])),
        "TOK_VER": ranking.tokenizer_version(),
        "ANALYZER_CONF": analyzer.CONF,
        "RERANK_CONF": ranking.RERANK_CONF,
        "PROMPT_VER": ranking.PROMPT_VER,
        "MODEL_VER": ranking.MODEL_VER,
    }


def _load(manifest: Manifest, rows: list[tuple[str, str]]) -> tuple[WordLlamaEncoder, ranking.Ranker]:
    encoder = encoder_from(manifest.encoder)
    encoder.encode(["warm"])
    ranking.tokenizer_version()
    return encoder, ranking.Ranker(rows=rows)

"""One request against the index: pointer -> manifest once, then everything by that manifest."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.service import analyzer, ranking
from sandbox.service.live import Live
from sandbox.service.prompts import PROMPTS, copies_its_example, prompt_of
from sandbox.service.store import NoIndex, Store, Stored
from switchover.cache import CacheNamespace
from switchover.encoders import Encoder, encoder_from
from switchover.errors import SwitchoverError
from switchover.pins import Manifest, embed_schema


class NoArm(Exception):
    """The request names an arm that does not exist (404)."""


class NotServing(Exception):
    """There is nothing to answer from: no pointer, no manifest or no index table (503)."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One build as this process serves it."""

    manifest: Manifest
    index_hash: str  # as stored beside the index
    encoder: Encoder
    ranker: ranking.Ranker

    @functools.cached_property
    def namespace(self) -> CacheNamespace:
        """Where answers of this build are cached, by the pins as this process runs them."""
        return CacheNamespace.of(own_pins(self))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one request brought, up to the reason stage."""

    hits: list[tuple[ranking.Scored, str]]
    stages_ms: dict[str, float]
    began: float


class Reader:
    """Resolves arms and searches them in one store.

    ``only``: this process serves one arm, live or not, and something before it chooses.
    """

    def __init__(self, *, store: Store, live: Live, only: str | None = None) -> None:
        self._store = store
        self._live = live
        self._only = only
        self._arms: dict[tuple[str, str, str], Arm] = {}
        self._opening = asyncio.Lock()

    async def resolve(self, named: str | None) -> Arm:
        """The arm that a request goes to, by one look at pointer and manifest once the build is known here."""
        if self._only and named and named != self._only:
            raise NoArm(f"arm {named!r} is not served here; this process serves {self._only!r}")
        named = named or self._only
        found = await self._store.named(named) if named else await self._follow()
        if found is None:
            raise NoArm(f"arm {named!r} has no manifest here")
        if found.manifest is None:
            raise NotServing(f"{self._live.place} points at {found.target!r}, which has no manifest")
        # The whole manifest is the key: two builds may have one INDEX_HASH and differ in another pin.
        key = (found.target, str(found.index_hash), repr(found.manifest))
        return self._arms.get(key) or await self._open(key, found.manifest)

    async def _follow(self) -> Stored:
        """The live arm with its manifest."""
        live = self._live
        if live.alias is not None:
            found = await self._store.live(live.alias)
            if found is None:
                raise NotServing(f"no pointer: alias {live.alias!r} is on no index here")
            return found
        assert live.ask is not None
        try:
            target = await asyncio.to_thread(live.ask)
        except SwitchoverError as error:
            raise NotServing(f"no pointer: {error}") from None
        if target is None:
            raise NotServing("no pointer: there is none")
        return await self._store.named(target) or Stored(target=target, index_hash=None, manifest=None)

    async def find(self, arm: Arm, question: str, *, k: int, began: float, inverted: bool = False) -> Found:
        """Candidates of the store, reranked, the best ``k``; ``began`` is when the request came in."""
        vector = arm.encoder.encode([question])[0]
        try:
            found = await self._store.search(arm.manifest, question, vector, limit=max(k, ranking.CANDIDATES))
        except NoIndex:
            raise _no_index(arm.manifest) from None
        retrieved = time.perf_counter()
        hashes = {row.id: index_hash for row, index_hash in found}
        scored = arm.ranker.rerank(question, [row for row, _ in found], inverted=inverted)[:k]
        reranked = time.perf_counter()
        return Found(
            hits=[(hit, hashes[hit.row.id]) for hit in scored],
            stages_ms={"retrieve": (retrieved - began) * 1000, "rerank": (reranked - retrieved) * 1000},
            began=began,
        )

    def reason(
        self, arm: Arm, question: str, found: Found, *, copying: bool = False
    ) -> tuple[ranking.Reply, Mapping[str, float]]:
        """The answer, and the times of all stages in ms; ``copying`` is a fault."""
        start = time.perf_counter()
        reply = arm.ranker.reason(question, [hit for hit, _ in found.hits])
        reply = copies_its_example(reply) if copying else PROMPTS[prompt_of(arm.manifest.pins)](reply)
        ended = time.perf_counter()
        return reply, {
            **found.stages_ms,
            "reason": (ended - start) * 1000,
            "total": (ended - found.began) * 1000,
        }

    async def count(self, arm: Arm) -> int:
        """Rows of the build itself; 0 without an index."""
        try:
            return await self._store.count(arm.manifest)
        except NoIndex:
            return 0

    async def prime(self) -> None:
        """Open every arm that is served and has a manifest, so that the first request finds it ready."""
        for target in await self._store.targets():
            if self._only in (None, target):
                await self.resolve(target)

    async def _open(self, key: tuple[str, str, str], stored: Mapping[str, Any]) -> Arm:
        """Load encoder and term weights of a build that is new to this process, in a thread."""
        async with self._opening:
            if key in self._arms:
                return self._arms[key]
            manifest = Manifest.from_json(stored)
            try:
                rows = await self._store.texts(manifest)
            except NoIndex:
                raise _no_index(manifest) from None
            encoder, ranker = await asyncio.to_thread(_load, manifest, rows)
            arm = Arm(manifest=manifest, index_hash=key[1], encoder=encoder, ranker=ranker)
            self._arms = {kept: value for kept, value in self._arms.items() if kept[0] != key[0]}
            self._arms[key] = arm
            return arm


def own_pins(arm: Arm) -> dict[str, str]:
    """The pins as this process runs them: what its code decides comes from the code, the rest from the index."""
    return {
        **arm.manifest.pins,
        "INDEX_HASH": arm.index_hash,
        "EMBED_SCHEMA": embed_schema(
            name=arm.encoder.name,
            revision=arm.encoder.revision,
            dimension=arm.encoder.dimension,
            normalised=True,
            metric=str(arm.manifest.encoder["metric"]),
        ),
        "TOK_VER": arm.encoder.tokenizer_version(),
        "ANALYZER_CONF": analyzer.CONF,
        "RERANK_CONF": ranking.RERANK_CONF,
        "PROMPT_VER": prompt_of(arm.manifest.pins),
        "MODEL_VER": ranking.MODEL_VER,
    }


def _no_index(manifest: Manifest) -> NotServing:
    return NotServing(f"arm {manifest.target!r} has a manifest but no index table")


def _load(manifest: Manifest, rows: Sequence[tuple[str, str]]) -> tuple[Encoder, ranking.Ranker]:
    encoder = encoder_from(manifest.encoder)
    encoder.encode(["warm"])
    encoder.tokenizer_version()
    return encoder, ranking.Ranker(rows=rows)

"""Ask a build without a database: the service's ranking over brute-force cosines.

``Offline(DOCS_V2).ask("...")`` gives the same dict as ``POST /ask`` of the service.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from sandbox.service import build, corpus, ranking
from switchover.encoders import encoder_from


class Offline:
    """One build in memory. The query encoder is the one its manifest claims, as in the service."""

    def __init__(self, spec: build.BuildSpec, documents: Sequence[corpus.Document] | None = None) -> None:
        self.chunks = build.chunks(spec, documents)
        self.manifest = build.manifest(spec, self.chunks)
        self._vectors = build.vectors(spec, self.chunks)
        self._encoder = encoder_from(self.manifest.encoder)
        self._ranker = ranking.Ranker(rows=[(row.content_digest, row.text) for row in self.chunks])

    def ask(self, question: str, *, k: int = ranking.TOP_K, seed: int = 0, inverted: bool = False) -> dict[str, Any]:
        """The answer dict of ``POST /ask``. ``seed`` changes nothing: retrieval has no randomness."""
        begun = time.perf_counter()
        candidates = self._candidates(question, max(k, ranking.CANDIDATES))
        retrieved = time.perf_counter()
        hits = self._ranker.rerank(question, candidates, inverted=inverted)[:k]
        reranked = time.perf_counter()
        reply = self._ranker.reason(question, hits)
        ended = time.perf_counter()
        return ranking.answer(
            target=self.manifest.target,
            index_hash=self.manifest.index_hash,
            question=question,
            k=k,
            hits=[(hit, self.manifest.index_hash) for hit in hits],
            reply=reply,
            stages_ms={
                "retrieve": (retrieved - begun) * 1000,
                "rerank": (reranked - retrieved) * 1000,
                "reason": (ended - reranked) * 1000,
                "total": (ended - begun) * 1000,
            },
        )

    def _candidates(self, question: str, count: int) -> list[ranking.Candidate]:
        cosines = self._vectors @ self._encoder.encode([question])[0]
        order = sorted(np.argsort(-cosines)[: count + 8], key=lambda at: (-cosines[at], self.chunks[at].id))
        return [ranking.Candidate(**self.chunks[at]._asdict(), cosine=float(cosines[at])) for at in order[:count]]

"""The stages after the store: rerank the candidates, pick an answer, cite its section.

The service and the offline form run this same code, so that the gold set can be checked without a
database. Nothing here is random: the same question over the same index gives the same answer.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.service import analyzer
from switchover.indexing import chunking
from switchover.pins import digest

CANDIDATES = 24
EF_SEARCH = 64  # how many neighbours an HNSW index looks at for its 24 best
TOP_K = 5
PROMPT_VER = "cite-one-section/1"
MODEL_VER = "extractive/1"
NOT_FOUND = "The reference does not answer this."

_SETTINGS: dict[str, Any] = {
    "kind": "idf-overlap",
    "candidates": CANDIDATES,
    "cosine_weight": 0.4,  # the rest goes to the share of the question's IDF mass that the chunk holds
    "name_weight": 0.7,  # a term of the topic's name counts this much on top
    "tf_saturation": 0.6,  # a term's first occurrence counts 1/(1 + this), many count 1
    "analyzer": analyzer.CONF,
}
RERANK_CONF = digest(_SETTINGS)
_VOTE = 6  # a section's vote is the sum of its hits' scores to this power: the best hit weighs most
_MIN_WORDS = 5  # a shorter piece is a heading, not an answer
_FLOOR = 0.12  # a best hit below this score answers nothing


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One row that the store gave for a question; ``cosine`` is 1 - distance."""

    id: str
    doc: str
    section: str
    start: int
    end: int
    tokens: int
    text: str
    content_digest: str
    cosine: float


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A candidate after the rerank."""

    row: Candidate
    score: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The extractive answer and the section it cites; ``cited`` is None if nothing answers."""

    text: str
    cited: str | None


class Ranker:
    """Rerank and reason for one build: its ``rows`` (content digest, text) give the terms' weights (IDF)."""

    def __init__(self, *, rows: Iterable[tuple[str, str]]) -> None:
        frequency: Counter[str] = Counter()
        count = 0
        for content, text in rows:
            frequency.update(_counts(content, text).keys())
            count += 1
        self._idf = {term: math.log(1 + (count - n + 0.5) / (n + 0.5)) for term, n in frequency.items()}
        self._unseen = math.log(1 + (count + 0.5) / 0.5)

    def rerank(self, question: str, candidates: Sequence[Candidate], *, inverted: bool = False) -> list[Scored]:
        """All candidates, best first; ties go by id. ``inverted`` is a fault: worst first."""
        wanted = self._weights(question)
        scored = [Scored(row=row, score=self._score(wanted, row)) for row in candidates]
        return sorted(scored, key=lambda hit: (hit.score if inverted else -hit.score, hit.row.id))

    def reason(self, question: str, hits: Sequence[Scored]) -> Reply:
        """The best sentence of the section that the hits speak for most."""
        if not hits or max(hit.score for hit in hits) < _FLOOR:
            return Reply(text=NOT_FOUND, cited=None)
        votes: dict[str, float] = {}
        for hit in hits:
            votes[hit.row.section] = votes.get(hit.row.section, 0.0) + hit.score**_VOTE
        cited = min(votes, key=lambda section: (-votes[section], section))
        wanted = self._weights(question)
        best, best_score = "", -1.0
        for hit in hits:
            if hit.row.section != cited:
                continue
            for sentence, present in _sentences(hit.row.content_digest, hit.row.text):
                score = sum(weight for term, weight in wanted.items() if term in present) + hit.score
                if score > best_score and len(sentence.split()) >= _MIN_WORDS:
                    best, best_score = sentence, score
        return Reply(text=best or " ".join(hits[0].row.text.split()), cited=cited)

    def _weights(self, question: str) -> dict[str, float]:
        """The question's terms and their share of its IDF mass."""
        raw = {term: self._idf.get(term, self._unseen) for term in analyzer.terms(question)}
        total = sum(raw.values())
        return {term: weight / total for term, weight in raw.items()} if total else {}

    def _score(self, wanted: Mapping[str, float], row: Candidate) -> float:
        present = _counts(row.content_digest, row.text)
        named = _name_terms(row.doc)
        saturation = _SETTINGS["tf_saturation"]
        overlap = 0.0
        for term, weight in wanted.items():
            times = present.get(term, 0)
            overlap += weight * times / (times + saturation)
            if term in named:
                overlap += weight * _SETTINGS["name_weight"]
        share: float = _SETTINGS["cosine_weight"]
        return share * row.cosine + (1 - share) * overlap


def answer(
    *,
    target: str,
    index_hash: str,
    question: str,
    k: int,
    hits: Sequence[tuple[Scored, str]],
    reply: Reply,
    stages_ms: Mapping[str, float],
) -> dict[str, Any]:
    """The JSON answer of ``/ask``. ``hits`` come with the INDEX_HASH that was read together with the row."""
    return {
        "arm": target,
        "index_hash": index_hash,
        "answer": reply.text,
        "cited": reply.cited,
        "hits": [
            {
                "snippet_id": hit.row.id,
                "section_id": hit.row.section,
                "source_url": f"pydoc:{hit.row.doc}#{hit.row.start}-{hit.row.end}",
                "doc": hit.row.doc,
                "start": hit.row.start,
                "end": hit.row.end,
                "tokens": hit.row.tokens,
                "text": hit.row.text,
                "index_hash": hit_hash,
                "score": round(hit.score, 6),
                "rank": rank,
            }
            for rank, (hit, hit_hash) in enumerate(hits, start=1)
        ],
        "stages_ms": {stage: round(ms, 3) for stage, ms in stages_ms.items()},
        "tool_calls": [{"tool": "search_index", "arguments_digest": digest({"question": question, "k": k})}],
    }


@functools.lru_cache(maxsize=20_000)
def _counts(_digest: str, text: str) -> dict[str, int]:
    return dict(Counter(analyzer.terms(text)))


@functools.lru_cache(maxsize=20_000)
def _sentences(_digest: str, text: str) -> tuple[tuple[str, frozenset[str]], ...]:
    pieces = [" ".join(text[start:end].split()) for start, end in chunking.sentences(text)]
    return tuple((piece, frozenset(analyzer.terms(piece))) for piece in pieces)


@functools.lru_cache(maxsize=1_000)
def _name_terms(doc: str) -> frozenset[str]:
    return frozenset(analyzer.terms(" ".join(f'"{word}"' for word in doc.split("-"))))

"""How much of what answers a question was retrieved: coverage by the gold set's grade, and the ranking's figures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from switchover.edge.answers import Hit
from switchover.encoders.base import Encoder
from switchover.gold.goldset import GoldSet
from switchover.gold.item import Grade
from switchover.judge import measure, ranking


@dataclass(frozen=True, kw_only=True)
class Covered:
    """Figures of probes, each (n,), 0..1: NaN where the question is unanswerable; a ranking has none but by ids."""

    coverage: Any
    ndcg: Any
    reciprocal_rank: Any


def covered(
    questions: Sequence[int], retrieved: Sequence[Sequence[Hit]], gold: GoldSet, *, encoder: Encoder, k: int
) -> Covered:
    """Measure n probes by the grade of the gold set: the position of each one's question, and its hits."""
    nothing = np.full(len(questions), np.nan)
    if gold.grade is Grade.ID:
        return _by_id(questions, retrieved, gold, k)
    by_span = gold.grade is Grade.SPAN
    share = _by_span(questions, retrieved, gold) if by_span else _by_text(questions, retrieved, gold, encoder)
    return Covered(coverage=share, ndcg=nothing, reciprocal_rank=nothing)


def is_unknown(hit: Hit, gold: GoldSet) -> bool:
    """Whether a hit may answer a question, and does not say what the grade of the gold set is measured by."""
    if gold.grade is Grade.ID:
        return _judged(hit, gold) is None
    if gold.grade is Grade.TEXT:
        return hit.text is None
    if hit.start is not None and hit.end is not None:
        return False
    return hit.doc in gold.texts if hit.doc is not None else hit.text is None


def is_recognised(hit: Hit, gold: GoldSet) -> bool:
    """Whether a hit is of a document (or is a chunk) that the gold set names: if none ever is, nothing is measured."""
    if gold.grade is Grade.ID:
        return any(_judged(hit, gold) in relevant for relevant in gold.relevant)
    return gold.grade is Grade.TEXT or hit.doc in gold.texts


def _by_span(questions: Sequence[int], retrieved: Sequence[Sequence[Hit]], gold: GoldSet) -> Any:
    position = {doc: index for index, doc in enumerate(gold.docs)}
    spans = [
        (row, position[hit.doc], hit.start, hit.end)
        for row, hits in enumerate(retrieved)
        for hit in hits
        if hit.doc in position and hit.start is not None and hit.end is not None
    ]
    table = np.array(spans, dtype=np.int64).reshape(-1, 4)
    return measure.coverage(
        gold.token_question,
        gold.token_doc,
        gold.token_start,
        gold.token_end,
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3],
        np.array(questions, dtype=np.int64),
        len(gold.items),
    )


def _by_text(questions: Sequence[int], retrieved: Sequence[Sequence[Hit]], gold: GoldSet, encoder: Encoder) -> Any:
    """Share of the reference text's different words that stand in the hits' texts."""
    words = functools.cache(lambda text: words_of(text, encoder))
    shares = []
    for question, hits in zip(questions, retrieved, strict=True):
        wanted = words(gold.anchors[question])
        found = frozenset[str]().union(*(words(hit.text or "") for hit in hits))
        shares.append(len(wanted & found) / len(wanted) if wanted else np.nan)
    return np.array(shares, dtype=np.float64)


def words_of(text: str, encoder: Encoder) -> frozenset[str]:
    """The encoder's tokens of a text in one case; without those that hold no letter or digit."""
    text = text.casefold()
    pieces = (text[start:end] for start, end in encoder.tokens(text))
    return frozenset(piece for piece in pieces if any(character.isalnum() for character in piece))


def _by_id(questions: Sequence[int], retrieved: Sequence[Sequence[Hit]], gold: GoldSet, k: int) -> Covered:
    rows = []
    for question, hits in zip(questions, retrieved, strict=True):
        relevant = gold.relevant[question]
        ranked = [id for hit in hits if (id := _judged(hit, gold)) is not None]
        rows.append(
            (
                ranking.recall(ranked, relevant),
                ranking.ndcg(ranked, relevant, k=k),
                ranking.reciprocal_rank(ranked, relevant),
            )
            if relevant
            else (np.nan, np.nan, np.nan)
        )
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Covered(coverage=table[:, 0], ndcg=table[:, 1], reciprocal_rank=table[:, 2])


def _judged(hit: Hit, gold: GoldSet) -> str | None:
    """What a hit is judged by: its document, or itself."""
    return hit.id if gold.judged == "chunks" else hit.doc or hit.id

"""Figures of a ranking against judged ids: recall, nDCG and reciprocal rank, each at the ranking's own length.

As trec_eval has them (`recall.k`, `ndcg_cut.k`, `recip_rank`): the gain of a hit is its grade, linear, its discount
1 / log2(rank + 1). The usual libraries were looked at: one needs a compiler for its just-in-time code, the other a C
extension; three sums need neither. A test holds them against figures of trec_eval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def recall(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Share of the relevant ids that are among the ranked ones; each counts once. ``relevant``: id -> grade above 0."""
    return len(relevant.keys() & set(ranked)) / len(relevant)


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], *, k: int) -> float:
    """Gain of the first ``k`` ranked ids ÷ the gain of the best ``k``; 0..1. An id counts where it stands first."""
    once = list(dict.fromkeys(ranked))[:k]
    best = sorted(relevant.values(), reverse=True)[:k]
    return _gain([relevant.get(id, 0) for id in once]) / _gain(best)


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """1 ÷ the rank of the first relevant id; 0 without one."""
    once = list(dict.fromkeys(ranked))
    return next((1 / rank for rank, id in enumerate(once, start=1) if id in relevant), 0.0)


def _gain(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))

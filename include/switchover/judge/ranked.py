"""Figures of rankings against judged ids, paired with Blue: what the rules of recall, nDCG and MRR share."""

from __future__ import annotations

import numpy as np

from switchover.judge.accept import Acceptance
from switchover.judge.figures import mean_of
from switchover.judge.outcome import Measured
from switchover.judge.paired import compare
from switchover.judge.stop import HoldSoFar


def is_judged_by_ids(seen: Acceptance | HoldSoFar) -> bool:
    """Whether the gold set is: then answerable questions have an nDCG."""
    return isinstance(seen, Acceptance) and bool(np.any(~np.isnan(seen.both_ways.evidence.ndcg)))


def against_blue(seen: Acceptance, column: str, *, margin: float) -> Measured:
    """The mean difference of a column, Green - Blue by question; beyond when its interval lies wholly beyond."""
    plain, strict = seen.both_ways.plain, seen.both_ways.strict
    result = compare(
        plain.green.average(column),
        plain.blue.average(column),
        questions=plain.questions,
        higher_is_better=True,
        confidence=seen.confidence,
    )
    return Measured(
        value=result.effect,
        strict=mean_of(strict.green.average(column) - strict.blue.average(column)),
        n=result.n,
        interval=result.interval,
        beyond=result.interval[1] < -margin,
        open_needs=result.decided_by(-margin),
        note=result.summary,
    )

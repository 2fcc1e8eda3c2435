"""How others decide that a release is to be stopped, each named after what it does: for ``bench_peers.py``.

Each comment names the published source whose way is followed; none of those programs was run. A method sees, look by
look, figures of Green and of Blue of which more is worse. It says after which look (counted from 0) it stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

NEWEST, FEW, MANY = 1, 3, 20  # looks that a figure is of
IN_ALL, IN_A_ROW = 4, 3  # failures that stop
CONFIDENCE, TOLERANCE = 0.98, 0.25
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Series:
    """One figure: of each look (looks,) on both arms, and by window what is held against ``bound`` (looks,)."""

    green: Any
    blue: Any
    by_window: dict[int, Any]
    bound: float


Method = Callable[[Sequence[Series]], "int | None"]


def threshold(window: int) -> Method:
    """Stop when one figure of the newest ``window`` looks is beyond its bound.

    Flagger's ``thresholdRange`` with ``threshold: 1``; the window is the ``interval`` of its metric.
    """
    return lambda all_series: _first(any_of([series.by_window[window] > series.bound for series in all_series]))


def failures_in_all(n: int) -> Method:
    """Stop at the ``n``-th look at which the same figure is beyond its bound, whenever the others were.

    Argo Rollouts' ``failureLimit: n - 1``: a metric fails with more failures than that.
    """
    return lambda all_series: _first(any_of([np.cumsum(_fails(series)) >= n for series in all_series]))


def failures_in_a_row(n: int) -> Method:
    """Stop at the ``n``-th look in a row at which the same figure is beyond its bound.

    The count of Argo Rollouts' ``consecutiveErrorLimit``, which counts there what could not be measured.
    """
    return lambda all_series: _first(any_of([_row_of(_fails(series)) >= n for series in all_series]))


def mann_whitney(window: int | None, *, at_the_end: bool = False) -> Method:
    """Stop when the shift from Blue to Green is above the tolerance; ``window``: newest looks, None: all so far.

    Kayenta's ``MannWhitneyClassifier`` as its judge sets it: high when the lower end of the interval of the shift
    at 98 % is above 0.25 times the Hodges-Lehmann estimate. Each metric is critical here, and its direction is harm.
    The interval is of ordered differences by normal approximation (Hollander & Wolfe, Nonparametric Statistical
    Methods).
    """

    def stops(all_series: Sequence[Series]) -> int | None:
        looks = len(all_series[0].green)
        for look in (looks - 1,) if at_the_end else range(1, looks):
            part = slice(0 if window is None else max(0, look + 1 - window), look + 1)
            if any(shifted_up(series.green[part], series.blue[part]) for series in all_series):
                return look
        return None

    return stops


def shifted_up(green: Any, blue: Any) -> bool:
    """Whether the lower end of the interval of the shift is above the tolerance."""
    n, m = len(green), len(blue)
    spread = math.sqrt(n * m * (n + m + 1) / 12)
    place = round(n * m / 2 - Z * spread)
    if place < 1 or np.array_equal(np.sort(green), np.sort(blue)):
        return False
    ranked = np.sort(np.subtract.outer(green, blue), axis=None)
    return bool(ranked[place - 1] > TOLERANCE * abs(np.median(ranked)))


def paired_t(all_series: Sequence[Series]) -> int | None:
    """Stop at the first look at which a paired t-test of all looks so far says that Green is worse, at 5 %.

    The textbook's test for one look (Student, The probable error of a mean, 1908), used at each of them.
    """
    return _first(any_of([_worse(series.green - series.blue) for series in all_series]))


def _worse(difference: Any) -> Any:
    """By look (looks,): is the mean of the differences so far above 0 in a one-sided t-test? From three looks on."""
    n = np.arange(1, len(difference) + 1)
    mean = np.cumsum(difference) / n
    spread = np.maximum(np.cumsum(difference**2) / n - mean**2, 0.0) * n / np.maximum(n - 1, 1)
    needed = stats.t.ppf(1 - LEVEL, np.maximum(n - 1, 1)) * np.sqrt(spread / n)
    return (n >= 3) & (mean > np.maximum(needed, 1e-9))


METHODS: dict[str, Method] = {
    "threshold on the newest look": threshold(NEWEST),
    "threshold on the last 3": threshold(FEW),
    "threshold on the last 20": threshold(MANY),
    f"{IN_ALL} failures in all": failures_in_all(IN_ALL),
    f"{IN_A_ROW} failures in a row": failures_in_a_row(IN_A_ROW),
    "Mann-Whitney 98 %, growing window": mann_whitney(None),
    f"Mann-Whitney 98 %, last {MANY}": mann_whitney(MANY),
    "Mann-Whitney 98 %, once at the end": mann_whitney(None, at_the_end=True),
    "paired t-test at each look": paired_t,
}


def any_of(each: Sequence[Any]) -> Any:
    """Where any of some masks (looks,) is true."""
    return np.logical_or.reduce(each)


def _fails(series: Series) -> Any:
    return series.by_window[NEWEST] > series.bound


def _row_of(fails: Any) -> Any:
    """How many looks in a row failed up to each (looks,)."""
    at = np.arange(len(fails))
    return at - np.maximum.accumulate(np.where(fails, -1, at))


def _first(stops: Any) -> int | None:
    found = np.flatnonzero(stops)
    return int(found[0]) if len(found) else None

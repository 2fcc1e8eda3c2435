"""How sure a figure is: intervals and bounds, exact or valid for any distribution. numpy only.

- ``wilson``: share of a count. Wilson, "Probable inference", JASA 22 (1927).
- ``binomial_lower``, ``binomial_upper``: exact one-sided bounds. Clopper & Pearson, Biometrika 26 (1934).
- ``quantile_interval``: from order statistics, so for any distribution.
- ``mean_lower``, ``mean_upper``: mean of values in a known range, by betting. Waudby-Smith & Ramdas,
  "Estimating means of bounded random variables by betting", JRSS B 86 (2024). Two properties matter here:
  it holds for 40 values as for 40,000, and making any value worse can only move the bounds the worse way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from switchover.judge.measure import Floats, quantile

Interval = tuple[float, float]

BETS = np.array([0.2, 0.6, 0.95])  # shares of the largest bet that cannot go broke


def z_of(confidence: float) -> float:
    """Standard normal quantile of a two-sided confidence: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(successes: float, n: float, z: float) -> Interval:
    """Wilson score interval of a share; (0, 1) of nothing."""
    if n <= 0:
        return 0.0, 1.0
    share, widen = successes / n, z * z / n
    middle = (share + widen / 2) / (1 + widen)
    half = z / (1 + widen) * math.sqrt(max(0.0, share * (1 - share) / n + widen / (4 * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) of n draws at probability p, exactly."""
    if k < 0:
        return 0.0
    if k >= n or p <= 0:
        return 1.0
    if p >= 1:
        return 0.0
    if k > n // 2:  # sum the shorter tail
        return 1.0 - binomial_cdf(n - k - 1, n, 1 - p)
    i = np.arange(k)
    steps = np.log((n - i) / (i + 1.0)) + (math.log(p) - math.log1p(-p))
    logs = n * math.log1p(-p) + np.concatenate([[0.0], np.cumsum(steps)])
    peak = float(logs.max())
    return min(1.0, math.exp(peak) * float(np.exp(logs - peak).sum()))


def binomial_upper(k: int, n: int, alpha: float) -> float:
    """The highest share that k successes of n do not refute at ``alpha``, one-sided; 1 of nothing."""
    return 1.0 if k >= n else _root(lambda p: binomial_cdf(k, n, p) - alpha)


def binomial_lower(k: int, n: int, alpha: float) -> float:
    """The lowest share that k successes of n do not refute at ``alpha``, one-sided; 0 of nothing."""
    return 0.0 if k <= 0 else 1.0 - binomial_upper(n - k, n, alpha)


def requests_needed(failures: int, bound: float, alpha: float) -> int:
    """The fewest requests of which ``failures`` failed that prove a share of at most ``bound``; 0: never.

    0.5 % at 95 % needs 598 requests without a failure: 0.995^598 = 0.0499.
    """
    if bound <= 0:
        return 0
    low, high = failures, max(1, failures)
    while binomial_cdf(failures, high, bound) > alpha:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if binomial_cdf(failures, middle, bound) > alpha else (low, middle)
    return high


def quantile_interval(values: npt.ArrayLike, q: float, n: float, z: float) -> Interval:
    """Interval of a quantile: the values at the ranks that the Wilson interval of q with n draws allows.

    ``n`` is how many independent draws the values are worth: 40 questions that are asked 18 times are 40.
    """
    low, high = quantile(values, list(wilson(q * n, n, z)))
    return float(low), float(high)


def mean_upper(values: npt.ArrayLike, alpha: float, low: float = 0.0, high: float = 1.0) -> float:
    """The highest mean that the values in low..high do not refute at ``alpha``; ``high`` of no values."""
    return high - _mean_lower_unit((high - np.asarray(values, dtype=np.float64)) / (high - low), alpha) * (high - low)


def mean_lower(values: npt.ArrayLike, alpha: float, low: float = 0.0, high: float = 1.0) -> float:
    """The lowest mean that the values in low..high do not refute at ``alpha``; ``low`` of no values."""
    return low + _mean_lower_unit((np.asarray(values, dtype=np.float64) - low) / (high - low), alpha) * (high - low)


def mean_interval(values: npt.ArrayLike, confidence: float, low: float = 0.0, high: float = 1.0) -> Interval:
    """Both bounds, each at half of what ``confidence`` leaves."""
    alpha = (1 - confidence) / 2
    return mean_lower(values, alpha, low, high), mean_upper(values, alpha, low, high)


def _mean_lower_unit(x: Floats, alpha: float) -> float:
    """Lowest mean m in 0..1 that is not refuted: the wealth of bets on "the mean is above m" stays below 1/alpha.

    One bet a value: wealth is multiplied by 1 + b (x - m) / m, with b the share at stake. Under a mean of m
    or less it is not expected to grow, so it reaches 1/alpha with probability alpha at most.
    """

    if not len(x) or not math.isfinite(float(x.sum())):
        return 0.0
    m, staked = 1e-12, np.outer(BETS, x)
    for _ in range(100):
        # Log wealth falls with log m and is convex: Newton's steps from the left never go beyond the root.
        kept = (1 - BETS[:, None]) * m
        wealth = np.log((kept + staked) / m).sum(axis=1)
        peak = float(wealth.max())
        weights = np.exp(wealth - peak)
        excess = peak + math.log(float(weights.mean() * alpha))
        fall = float(weights @ (staked / (kept + staked)).sum(axis=1)) / float(weights.sum())
        if excess <= 1e-13 * fall:
            break
        m *= math.exp(excess / fall)
    return m if m > 1e-12 else 0.0


def _root(decreasing: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Where a decreasing function crosses zero between low and high, to 1e-12 of the way."""
    while high - low > 1e-12 * max(high, 1e-6):
        middle = (low + high) / 2
        if decreasing(middle) > 0:
            low = middle
        else:
            high = middle
    return high

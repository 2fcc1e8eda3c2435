"""Intervals against scipy where the definitions coincide, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import brentq
from scipy.stats import binom, binomtest, norm
from scipy.stats.mstats import mquantiles

from switchover.judge.intervals import (
    binomial_cdf,
    binomial_lower,
    binomial_upper,
    mean_interval,
    mean_lower,
    mean_upper,
    quantile_interval,
    requests_needed,
    wilson,
    z_of,
)

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_is_scipys(count: tuple[int, int]) -> None:
    k, n = count
    theirs = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n, z_of(0.95)) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(counts, st.sampled_from([0.01, 0.05]))
def test_exact_bounds_are_scipys(count: tuple[int, int], alpha: float) -> None:
    k, n = count
    theirs = binomtest(k, n).proportion_ci(1 - 2 * alpha, method="exact")
    assert (binomial_lower(k, n, alpha), binomial_upper(k, n, alpha)) == pytest.approx(
        (theirs.low, theirs.high), abs=1e-9
    )


@given(counts, st.floats(1e-6, 1 - 1e-6))
def test_binomial_tail_is_scipys(count: tuple[int, int], p: float) -> None:
    k, n = count
    assert binomial_cdf(k, n, p) == pytest.approx(binom.cdf(k, n, p), abs=1e-9)


def test_z() -> None:
    assert z_of(0.95) == pytest.approx(norm.ppf(0.975), abs=1e-9)


def test_of_nothing() -> None:
    assert wilson(0, 0, 1.96) == (0.0, 1.0)
    assert (binomial_lower(0, 0, 0.05), binomial_upper(0, 0, 0.05)) == (0.0, 1.0)
    assert mean_interval([], 0.95) == (0.0, 1.0)
    assert all(math.isnan(end) for end in quantile_interval(np.array([]), 0.95, 0, 1.96))


@pytest.mark.parametrize(
    ("failures", "bound", "requests"),
    [
        (0, 0.005, 598),  # 0.995^597 = 0.0502, 0.995^598 = 0.0499
        (0, 0.01, 299),  # 0.99^298 = 0.0500317, 0.99^299 = 0.0495
        (1, 0.005, 947),
        (0, 0.5, 5),  # 0.5^5 = 0.031, 0.5^4 = 0.0625
        (0, 0.0, 0),  # nothing proves a share of 0
    ],
)
def test_requests_needed(failures: int, bound: float, requests: int) -> None:
    assert requests_needed(failures, bound, 0.05) == requests
    if requests:
        assert binom.cdf(failures, requests, bound) <= 0.05 < binom.cdf(failures, requests - 1, bound)


def test_quantile_interval_by_hand() -> None:
    # 101 values 0..100, median, z = 2: Wilson of 50.5/101 is 0.5 ± 2/(1 + 4/101) · sqrt(0.25/101 + 4/(4 · 101²))
    half = 2 / (1 + 4 / 101) * math.sqrt(0.25 / 101 + 1 / 101**2)
    assert quantile_interval(np.arange(101.0), 0.5, 101, 2.0) == pytest.approx((50 - 100 * half, 50 + 100 * half))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_a_quantile_interval_is_scipys_quantile_at_scipys_wilson(values: list[float], q: float) -> None:
    n = len(values)
    z = norm.ppf(0.975)
    # Wilson's interval solves (share - p)² = z² p (1 - p) / n.
    ends = np.sort(np.roots([1 + z * z / n, -(2 * q + z * z / n), q * q]))
    theirs = mquantiles(values, ends, alphap=1, betap=1)
    assert quantile_interval(values, q, n, z_of(0.95)) == pytest.approx(theirs, abs=1e-9)


def test_a_mean_bound_by_hand() -> None:
    # Ten ones: the wealth of bet b on "above m" is (1 + b (1 - m) / m)^10. At the bound their mean is 1/alpha.
    low = mean_lower(np.ones(10), 0.05)
    bets = [0.2, 0.6, 0.95]
    assert np.mean([(1 + b * (1 - low) / low) ** 10 for b in bets]) == pytest.approx(20.0)
    assert mean_upper(np.ones(10), 0.05) == 1.0
    assert mean_upper(-np.ones(10), 0.05, -1, 1) == pytest.approx(1 - 2 * low)  # the mirror image


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), st.sampled_from([0.001, 0.025, 0.5]))
def test_a_mean_bound_is_the_root_that_scipy_finds(values: np.ndarray, alpha: float) -> None:
    def wealth(m: float) -> float:
        return float(np.mean([np.prod(1 + b * (values - m) / m) for b in (0.2, 0.6, 0.95)])) - 1 / alpha

    low = 1e-6  # where bounds begin that are worth the name
    theirs = brentq(wealth, low, 1.0, xtol=1e-14) if wealth(low) > 0 else 0.0
    assert mean_lower(values, alpha) == pytest.approx(theirs, abs=1e-9 if theirs else low)
    assert mean_upper(1 - values, alpha) == pytest.approx(1 - theirs, abs=1e-9 if theirs else low)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_mean_of_what_is_no_number_is_not_bounded(bad: float) -> None:
    assert mean_interval([0.5, bad], 0.95) == (0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.data())
def test_a_worse_value_can_only_move_the_bounds_the_worse_way(values: list[float], data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(values) - 1))
    worse = [*values]
    worse[where] = data.draw(st.floats(0, values[where]))
    before, after = mean_interval(values, 0.95), mean_interval(worse, 0.95)
    assert after[0] <= before[0] + 1e-12 and after[1] <= before[1] + 1e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_mean_lies_within_its_bounds(values: list[float]) -> None:
    low, high = mean_interval(values, 0.95)
    assert 0 <= low <= np.mean(values) + 1e-9 and np.mean(values) - 1e-9 <= high <= 1


def test_the_bound_keeps_its_promise_for_a_skewed_figure() -> None:
    # Mean 0.1, mostly 0 and sometimes 1: where a t interval of 40 values is wrong in 8 % of the cases.
    rng = np.random.default_rng(7)
    missed = sum(mean_upper(rng.random(40) < 0.1, 0.05) < 0.1 for _ in range(2000))
    assert missed <= 0.05 * 2000

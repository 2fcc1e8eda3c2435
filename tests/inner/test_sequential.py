"""The e-process behind a stop: by hand, and its promise under the worst acceptable Green."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from switchover.judge.sequential import (
    AT_THE_FLIP,
    LOG_ODDS,
    SHARES,
    bets,
    burst,
    growth_of_counts,
    growth_of_shares,
    highest,
    log_evidence,
)


def test_the_stake_is_one() -> None:
    assert SHARES.sum() == pytest.approx(1.0)
    assert 0 < AT_THE_FLIP < 1


def test_bets_by_hand() -> None:
    # Level 0.2, odds 0.25; the middle bet looks at odds 0.25 e^1.05 = 0.7144, that is a share of 0.4167.
    # It multiplies the wealth by 0.4167 / 0.2 for a harmful one and by 0.5833 / 0.8 for a good one.
    middle = bets(0.2)[1]
    assert 1 + middle * 0.8 == pytest.approx(0.41672 / 0.2, rel=1e-4)
    assert 1 - middle * 0.2 == pytest.approx(0.58328 / 0.8, rel=1e-4)


@pytest.mark.parametrize("level", [0.0, 1e-9, 0.005, 0.3, 0.999, 1.0])
def test_every_bet_is_fair_and_cannot_go_broke(level: float) -> None:
    inside = min(max(level, 1e-6), 1 - 1e-6)
    win, lose = 1 + bets(level) * (1 - inside), 1 - bets(level) * inside
    assert (win > 1).all() and (lose > 0).all()
    assert inside * win + (1 - inside) * lose == pytest.approx(np.ones(len(LOG_ODDS)))


def test_counts_and_shares_agree() -> None:
    by_count = growth_of_counts([1, 0, 2], [3, 0, 2], 0.3)
    assert growth_of_shares([1, 0, 0, 1, 1], [3, 0, 2], 0.3) == pytest.approx(by_count)
    assert not growth_of_shares([], [0, 0], 0.3).any()


@given(st.lists(st.lists(st.floats(0, 1), max_size=300), max_size=4), st.sampled_from([1e-9, 0.005, 0.3, 0.999]))
def test_the_wealth_is_the_product_of_what_every_bet_returns(ticks: list[list[float]], level: float) -> None:
    inside = min(max(level, 1e-6), 1 - 1e-6)
    grown = growth_of_shares([x for tick in ticks for x in tick], [len(tick) for tick in ticks], level)
    for tick, found in zip(ticks, grown, strict=True):
        one_by_one = [sum(math.log1p(bet * (x - inside)) for x in tick) for bet in bets(level)]
        assert found == pytest.approx(one_by_one, abs=1e-9, rel=1e-9)


def test_many_harms_neither_overflow_nor_vanish() -> None:
    grown = growth_of_shares(np.r_[np.ones(100_000), np.zeros(100_000)], [100_000, 100_000], 1e-6)
    assert np.isfinite(grown).all() and (grown[0] > 10_000).all() and (grown[1] < 0).all()


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal lengths: harm 2, counts of 3"):
        growth_of_shares([0.1, 0.2], [1, 2], 0.3)


@given(st.integers(0, 60), st.sampled_from([60, 435, 1305]), st.sampled_from([0.001, 0.0045, 0.05]))
def test_a_burst_is_scipys_tail_times_the_looks(harmful: int, n: int, level: float) -> None:
    theirs = -math.log(binom.sf(harmful - 1, n, level) * 120)
    found = burst(harmful, n, level, 120)
    assert min(found, 20.0) == pytest.approx(min(theirs, 20.0), abs=1e-3)  # beyond 20 nobody asks how much


def test_a_burst_of_nothing_is_no_evidence() -> None:
    assert burst(0, 0, 0.005, 120) == pytest.approx(-math.log(120))
    assert burst(0, 400, 0.005, 120) == pytest.approx(-math.log(120))


def test_bursts_in_a_hold_of_the_worst_acceptable_green_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(13)
    n, ticks, holds, alpha = 435, 80, 4000, 0.05
    newest = np.apply_along_axis(np.convolve, 1, rng.binomial(n, 0.005, (holds, ticks)), np.ones(3), "valid")
    fewest = next(k for k in range(100) if burst(k, 3 * n, 0.005, 120) >= -math.log(alpha))
    assert 0 < np.mean((newest >= fewest).any(axis=1)) <= alpha


def test_a_level_may_differ_from_tick_to_tick() -> None:
    both = growth_of_counts([3, 3], [10, 10], np.array([0.1, 0.2]))
    assert both[1] == pytest.approx(growth_of_counts([3], [10], 0.2)[0])


def test_evidence_by_hand() -> None:
    # One bet of each kind that doubles at each tick, horizon 3: half the stake at the flip, a quarter each at 1, 2.
    doubled = np.full((3, len(SHARES)), math.log(2))
    # tick 0: 0.5 · 2 + 0.5 waiting = 1.5; tick 1: (1 + 0.25) · 2 + 0.25 = 2.75; tick 2: (2.5 + 0.25) · 2 = 5.5
    assert np.exp(log_evidence(doubled, 3)) == pytest.approx([1.5, 2.75, 5.5])
    assert highest(log_evidence(doubled, 3)) == pytest.approx(math.log(5.5))


def test_after_the_horizon_nothing_new_is_put_down() -> None:
    doubled = np.full((3, len(SHARES)), math.log(2))
    # horizon 2: half at the flip, half at tick 1: 0.5 · 2 + 0.5 = 1.5; (1 + 0.5) · 2 = 3; then 6
    assert np.exp(log_evidence(doubled, 2)) == pytest.approx([1.5, 3.0, 6.0])


def test_no_ticks_are_no_evidence() -> None:
    assert highest(log_evidence(np.zeros((0, len(SHARES))), 120)) == 0.0
    assert log_evidence(np.full((2, len(SHARES)), -50.0), 120)[-1] < 0  # losing bets are less than the stake


def test_huge_evidence_does_not_overflow() -> None:
    assert math.isfinite(highest(log_evidence(np.full((100, len(SHARES)), 400.0), 120)))


@pytest.mark.parametrize("level", [0.005, 0.2])
def test_the_worst_acceptable_green_is_stopped_no_more_often_than_promised(level: float) -> None:
    rng = np.random.default_rng(11)
    n, ticks, holds, alpha = 420, 80, 1500, 0.05
    crossed = 0
    for _ in range(holds):
        growth = growth_of_counts(rng.binomial(n, level, ticks), np.full(ticks, n), level)
        crossed += highest(log_evidence(growth, 120)) >= -math.log(alpha)
    assert crossed <= alpha * holds


def test_questions_of_unequal_difficulty_keep_the_promise() -> None:
    # Mean harm 0.2, but half the questions never do harm and half in 40 % of the ticks.
    rng = np.random.default_rng(12)
    alpha, holds = 0.05, 1000
    crossed = 0
    for _ in range(holds):
        harm = (rng.random((40, 40)) < np.repeat([0.0, 0.4], 20)).astype(float)
        growth = growth_of_shares(harm.ravel(), [40] * 40, 0.2)
        crossed += highest(log_evidence(growth, 120)) >= -math.log(alpha)
    assert crossed <= alpha * holds

"""Blue against Green, question by question, by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from switchover.judge.intervals import mean_interval
from switchover.judge.paired import compare

NAN = float("nan")
NAMES = ["a", "b", "c", "d", "e"]


def test_effect_wins_and_what_moved_by_hand() -> None:
    found = compare([1.0, 0.5, 0.2, 0.9, 0.4], [0.8, 0.5, 0.9, 1.0, 0.4], questions=NAMES, higher_is_better=True)
    # differences 0.2, 0, -0.7, -0.1, 0: sum -0.6, mean -0.12
    assert found.effect == pytest.approx(-0.12)
    assert (found.wins, found.ties, found.losses, found.n) == (1, 2, 2, 5)
    assert [m.question for m in found.moved] == ["c", "d", "a"]  # worst first, then what got better
    assert found.moved[0].change == pytest.approx(-0.7)
    assert found.interval == mean_interval([0.2, 0, -0.7, -0.1, 0], 0.95, -1, 1)
    assert "wins 1, ties 2, losses 2; worse: c (0.9 -> 0.2), d (1 -> 0.9)" in found.summary


def test_lower_is_better_turns_it_round() -> None:
    found = compare([1, 0, 0], [0, 0, 1], questions=NAMES[:3], higher_is_better=False)
    assert (found.effect, found.wins, found.losses) == (0.0, 1, 1)
    assert [m.question for m in found.moved] == ["a", "c"]


def test_pairs_without_both_figures_are_left_out() -> None:
    found = compare([1.0, NAN, 0.5], [1.0, 1.0, NAN], questions=NAMES[:3], higher_is_better=True)
    assert (found.n, found.effect, found.ties) == (1, 0.0, 1)
    nothing = compare([NAN], [1.0], questions=["a"], higher_is_better=True)
    assert nothing.n == 0 and math.isnan(nothing.effect) and nothing.interval == (-1.0, 1.0)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal lengths: green 1, blue 2, questions 2"):
        compare([1.0], [1.0, 1.0], questions=NAMES[:2], higher_is_better=True)


def test_how_many_questions_would_decide() -> None:
    d = np.array([-0.2, 0.1] * 20)  # mean -0.05, spread 0.15
    found = compare(d, np.zeros(40), questions=[str(i) for i in range(40)], higher_is_better=True)
    # 2 ln 40 · 0.15² / 0.03² = 184.4
    assert found.questions_to_decide(-0.02) == 185
    assert found.questions_to_decide(-0.05) is None  # on the bound no number of questions decides


def test_it_survives_json() -> None:
    body = compare([1.0, 0.0], [0.0, 0.0], questions=NAMES[:2], higher_is_better=True).to_json()
    assert json.loads(json.dumps(body, allow_nan=False))["moved"] == [
        {"question": "a", "blue": 0.0, "green": 1.0, "change": 1.0}
    ]


def test_the_median_and_its_interval_by_hand() -> None:
    # Six differences: all on one side of the median has chance 2 / 64 = 3 %, so smallest to largest is a 95 %
    # interval. Five: 2 / 32 = 6 %, so nothing bounds it.
    found = compare(
        [3.0, 1.0, 9.0, 2.0, 5.0, 4.0], np.zeros(6), questions=list("abcdef"), higher_is_better=False, centre="median"
    )
    assert (found.effect, found.interval) == (3.5, (1.0, 9.0))
    five = compare(np.arange(5), np.zeros(5), questions=NAMES, higher_is_better=False, centre="median")
    assert (five.effect, five.interval) == (2.0, (-math.inf, math.inf))
    none = compare([NAN], [1.0], questions=["a"], higher_is_better=False, centre="median")
    assert math.isnan(none.effect) and none.interval == (-math.inf, math.inf)


@pytest.mark.parametrize("n", [6, 17, 40, 101])
def test_the_median_interval_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    found = compare(values, np.zeros(n), questions=[""] * n, higher_is_better=False, centre="median")
    low, high = stats.quantile_test(values, q=0, p=0.5).confidence_interval(confidence_level=0.95)
    assert found.interval == (low, high)


def test_an_endless_request_is_a_loss_and_null_in_json() -> None:
    found = compare([math.inf, 2.0, 2.0], [1.0, 1.0, 1.0], questions=NAMES[:3], higher_is_better=False, centre="median")
    assert (found.effect, found.losses, found.moved[0].question) == (1.0, 3, "a")
    body = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (body["moved"][0]["green"], body["interval"]) == (None, [None, None])

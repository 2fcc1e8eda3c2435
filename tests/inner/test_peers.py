"""The ways of others in the benchmark of peers, on series made by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from peer_methods import METHODS, Method, Series, failures_in_a_row, failures_in_all, mann_whitney, paired_t, threshold

NOISE = np.random.default_rng(1).normal(0, 0.1, (2, 40))
STEP = np.where(np.arange(40) >= 10, 5.0, 0.0)


def series(green: Any, blue: Any = None, bound: float = 1.0) -> list[Series]:
    values = np.asarray(green, dtype=np.float64)
    by_window = {
        window: np.array([values[max(0, at + 1 - window) : at + 1].mean() for at in range(len(values))])
        for window in (1, 3, 20)
    }
    other = np.zeros(len(values)) if blue is None else np.asarray(blue, dtype=np.float64)
    return [Series(green=values, blue=other, by_window=by_window, bound=bound)]


@pytest.mark.parametrize(
    ("method", "green", "stops"),
    [
        (threshold(1), [0, 0, 2, 0], 2),
        (threshold(1), [0, 1, 1, 0], None),  # on the bound is not beyond it
        (threshold(3), [0, 0, 2, 2, 0], 3),
        (threshold(20), [0, 0, 2, 0], None),
        (failures_in_all(3), [2, 0, 2, 0, 0, 2], 5),
        (failures_in_all(3), [2, 0, 2, 0, 0, 0], None),
        (failures_in_a_row(3), [2, 2, 0, 2, 2, 2], 5),
        (failures_in_a_row(3), [2, 2, 0, 2, 2, 0], None),
        (failures_in_a_row(3), [2, 2, 2], 2),
    ],
)
def test_counts_and_thresholds(method: Method, green: list[float], stops: int | None) -> None:
    assert method(series(green)) == stops


def test_failures_are_counted_figure_by_figure() -> None:
    assert failures_in_all(2)([*series([2, 0, 0, 0]), *series([0, 2, 0, 2])]) == 3


@pytest.mark.parametrize("name", METHODS)
def test_two_arms_without_a_difference_are_not_stopped(name: str) -> None:
    assert METHODS[name](series(np.full(40, 0.5), np.full(40, 0.5))) is None


@pytest.mark.parametrize("name", METHODS)
def test_harm_that_is_seen_by_the_eye_is_stopped(name: str) -> None:
    stopped = METHODS[name](series(STEP + NOISE[0], NOISE[1]))
    assert stopped is not None and stopped >= (2 if name.startswith("paired") else 10)


def test_the_shift_must_be_above_the_tolerance_with_98_percent() -> None:
    up, down = 3 + NOISE[0], -3 + NOISE[0]
    assert mann_whitney(None)(series(up, NOISE[1])) == 4  # fewer looks than five cannot reach 98 %
    assert mann_whitney(None)(series(down, NOISE[1])) is None
    assert mann_whitney(None, at_the_end=True)(series(up, NOISE[1])) == 39
    late = np.where(np.arange(40) >= 24, 3.0, 0.0) + NOISE[0]
    assert (mann_whitney(20)(series(late, NOISE[1])) or 0) >= 24


def test_the_paired_test_is_scipys() -> None:
    from scipy import stats

    green, blue = 0.03 + NOISE[0], NOISE[1]
    p = [stats.ttest_rel(green[:n], blue[:n], alternative="greater").pvalue for n in range(3, 41)]
    first = next((at + 2 for at, value in enumerate(p) if value < 0.05), None)
    assert paired_t(series(green, blue)) == first

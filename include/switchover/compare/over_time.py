"""How both arms went over the ticks of one phase, and where they ended: figures for plots, no verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from switchover.judge.analysis import Analysis
from switchover.judge.evidence import BLUE, GREEN, Bools, Evidence, Floats
from switchover.judge.figures import Side, States, mean_of
from switchover.judge.groups import Ints
from switchover.judge.intervals import z_of
from switchover.judge.measure import STAGES
from switchover.judge.rules import Rules

POINTS = 80  # ticks that are shown at most; more would not be seen


@dataclass(frozen=True, kw_only=True)
class OverTime:
    """Figures at some ticks (t,), each over the window of ticks that the stop rules read.

    ``drift`` is the ΔS quantile's Green - Blue with its interval; ``coverage_*`` are means; NaN without a figure.
    """

    ticks: Ints
    drift: Floats
    low: Floats
    high: Floats
    coverage_blue: Floats
    coverage_green: Floats


@dataclass(frozen=True, kw_only=True)
class Overall:
    """Figures of both arms over all of the evidence, Blue first.

    ``latency``: stage -> (p50, p95) in milliseconds for each arm, NaN without a figure. ``states``: λ state of
    each question that was asked. ``answered``: successful probes of the newest tick and all of them.
    """

    latency: dict[str, tuple[tuple[float, float], tuple[float, float]]]
    states: tuple[States, States]
    answered: tuple[tuple[int, int], tuple[int, int]]


def over_time(evidence: Evidence, *, rules: Rules) -> OverTime:
    """The figures over time, of ordered evidence."""
    evidence = evidence.in_order()
    ticks, bounds = evidence.ticks, evidence.bounds
    shown = np.unique(np.linspace(0, len(ticks) - 1, min(len(ticks), POINTS)).astype(np.int64))
    found = np.full((5, len(shown)), math.nan)
    for column, tick in enumerate(shown):
        first = bounds[max(0, tick + 1 - rules.statistics.window)]
        window = evidence.take(np.arange(first, bounds[tick + 1]))
        found[:, column] = _at(window, rules)
    drift, low, high, blue, green = found
    return OverTime(ticks=ticks[shown], drift=drift, low=low, high=high, coverage_blue=blue, coverage_green=green)


def _at(window: Evidence, rules: Rules) -> tuple[float, ...]:
    """Drift, its interval, and the coverages over some ticks."""
    figures = Analysis(window).plain
    covered = (mean_of(figures.blue["coverage"]), mean_of(figures.green["coverage"]))
    n = int(np.count_nonzero(figures.comparable))
    if not n or not figures.compared.n:
        return math.nan, math.nan, math.nan, *covered
    q, z = rules.ds_p95_drift.quantile, z_of(rules.statistics.confidence) / math.sqrt(2)
    green, blue = (side.interval("ds_question", q, n, z) for side in (figures.compared, figures.blue))
    return figures.drift(q), green[0] - blue[1], green[1] - blue[0], *covered


def overall(analysis: Analysis, *, newest_ticks: int | None = None) -> Overall:
    """Figures of both arms over all of the evidence; their λ states over the newest ticks, if those are asked for."""
    evidence, green, blue = analysis.evidence, analysis.plain.green, analysis.plain.blue
    recent = analysis if newest_ticks is None else analysis.over(evidence.newest(newest_ticks))
    recent_green, recent_blue = recent.plain.green, recent.plain.blue
    newest = evidence.tick == evidence.tick.max(initial=0)
    observed = evidence.observed & newest
    of_blue, of_green = (_answered(evidence, observed & (evidence.arm == arm)) for arm in (BLUE, GREEN))
    stages = [stage for stage in STAGES if any(np.isfinite(side[f"ms_{stage}"]).any() for side in (blue, green))]
    return Overall(
        latency={stage: (_latency(blue, stage), _latency(green, stage)) for stage in stages},
        states=(recent_blue.states[recent_blue.asked], recent_green.states[recent_green.asked]),
        answered=(of_blue, of_green),
    )


def _answered(evidence: Evidence, rows: Bools) -> tuple[int, int]:
    return int(np.count_nonzero(rows & ~evidence.failed)), int(np.count_nonzero(rows))


def _latency(side: Side, stage: str) -> tuple[float, float]:
    return _finite(side.quantile(f"ms_{stage}", 0.5)), _finite(side.quantile(f"ms_{stage}", 0.95))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan

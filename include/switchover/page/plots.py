"""Which plots a review has: each with its legend, one sentence about it, and its figures as a table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from switchover.judge.measure import STATE_SYMBOLS
from switchover.page.charts import WIDE, Axis, Point, Series, chart, stacked
from switchover.page.plot import ARMS, Plot
from switchover.page.plots_over_time import coverage, drift, traffic
from switchover.page.words import number, signed
from switchover.report.review import Compared, Review

DRAWING_S = 5.0  # for all plots of a page; each draws at most some hundred points, in milliseconds
MOST_ROWS = 500
MOST_PAIRS = 300  # three points each, of the thousand that a chart draws
STATE_KINDS = (
    ("convergent", "→ convergent"),
    ("split", "<> split"),
    ("divergent", "← divergent"),
    ("chaotic", "× chaotic"),
)


def plots_of(review: Review, *, seconds: float = DRAWING_S) -> tuple[list[Plot], list[str]]:
    """The plots that there are figures for, and a line for each that was left out.

    A plot is left out when it cannot be drawn, and when ``seconds`` are over: nobody waits for a picture.
    """
    over = time.monotonic() + seconds
    plots: list[Plot] = []
    left_out: list[str] = []
    for name, draw in DRAWN.items():
        if time.monotonic() >= over:
            left_out.append(f"plot of {name}: not drawn, the {seconds:g} s for pictures are over; its figures are kept")
            continue
        try:
            plot = draw(review)
        except Exception as error:  # noqa: BLE001  (a picture must not take the page with it)
            left_out.append(f"plot of {name}: cannot be drawn from these records ({type(error).__name__})")
            continue
        if plot is not None and plot.svg:
            plots.append(replace(plot, rows=_some(plot.rows)))
    return plots, left_out


def _some(rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """All rows of a table, or the first and the last ones of a long one."""
    half = MOST_ROWS // 2
    if len(rows) <= MOST_ROWS:
        return rows
    between = ("…", f"{len(rows) - MOST_ROWS} more", *[""] * (len(rows[0]) - 2))
    return [*rows[:half], between, *rows[-half:]]


def _paired(review: Review, compared: Compared) -> Plot | None:
    measure = next(each for each in compared.arms.measures if each.name == "ds_question")
    there = np.flatnonzero(np.isfinite(measure.blue) & np.isfinite(measure.green))
    if not len(there):
        return None
    order = there[np.argsort(measure.green[there] - measure.blue[there], kind="stable")]
    blue, green = measure.blue[order], measure.green[order]
    worse, better = int(np.sum(green > blue + 1e-9)), int(np.sum(green < blue - 1e-9))
    rank = np.unique(np.linspace(1, len(order), min(len(order), MOST_PAIRS)).round().astype(int))
    blue, green, names = blue[rank - 1], green[rank - 1], [compared.names[i] for i in order[rank - 1]]
    some = f" {len(rank)} of {len(order)} questions are drawn." if len(rank) < len(order) else ""
    lines: list[Point] = []
    for x, b, g in zip(rank, blue, green, strict=True):
        lines += [(float(x), float(b)), (float(x), float(g)), (None, None)]
    effect = measure.against_blue
    told = (
        f"Each line is one question, from Blue to Green; lower is nearer. Green is worse on {worse}, better on"
        f" {better}, equal on {len(order) - worse - better}; on average {signed(effect.effect)}"
        f" ({number(effect.interval[0])} to {number(effect.interval[1])}).{some}"
    )
    top = max(0.6, math.ceil(10 * min(2.0, float(max(blue.max(), green.max())))) / 10)
    return Plot(
        name="paired",
        title="ΔS of each question, Blue to Green",
        told=told,
        svg=chart(
            "ΔS of each question, Blue to Green",
            told,
            [
                Series(kind="pair", points=lines),
                *(
                    Series(
                        kind=kind,
                        points=[(float(x), float(v)) for x, v in zip(rank, values, strict=True)],
                        labels=[f"{n}: {label} {number(float(v))}" for n, v in zip(names, values, strict=True)],
                        line=False,
                        dots=True,
                    )
                    for (kind, label), values in zip(ARMS, (blue, green), strict=True)
                ),
            ],
            x=Axis(
                title="questions, most improved first",
                low=0,
                high=len(order) + 1,
                ticks=[(1, "1"), (len(order), str(len(order)))],
            ),
            y=Axis(title="ΔS", low=0, high=top),
            height=290,
            width=WIDE,
        ),
        legend=[("blue", "Blue"), ("green", "Green")],
        head=("question", "Blue", "Green", "change"),
        rows=[
            (n, number(float(b)), number(float(g)), signed(float(g - b)))
            for n, b, g in zip(names, blue, green, strict=True)
        ],
        wide=True,
    )


def _states(review: Review, compared: Compared) -> Plot | None:
    counts = [np.bincount(states, minlength=len(STATE_SYMBOLS)) for states in compared.overall.states]
    if not all(count.sum() for count in counts):
        return None
    when = "in the newest looks" if compared.phase == "hold" else "in all rounds"
    told = f"How alike the citations are, however a question is put, {when}. " + "; ".join(
        f"{label}: " + ", ".join(f"{n} {words}" for n, (_, words) in zip(count, STATE_KINDS, strict=True) if n)
        for (_, label), count in zip(ARMS, counts, strict=True)
    )
    return Plot(
        name="states",
        title="λ states",
        told=f"{told}.",
        svg=stacked(
            "λ states",
            told,
            ["Green", "Blue"],
            [(kind, [float(counts[1][i]), float(counts[0][i])]) for i, (kind, _) in enumerate(STATE_KINDS)],
        ),
        legend=STATE_KINDS,
        head=("state", "Blue", "Green"),
        rows=[(words, str(counts[0][i]), str(counts[1][i])) for i, (_, words) in enumerate(STATE_KINDS)],
    )


def _latency(review: Review, compared: Compared) -> Plot | None:
    stages = [each for each in compared.overall.latency.items() if any(math.isfinite(p95) for _, p95 in each[1])]
    if not stages:
        return None
    series: list[Series] = []
    for arm, (kind, label) in enumerate(ARMS):
        ranges: list[Point] = []
        dots: list[Point] = []
        texts: list[str] = []
        for row, (stage, pairs) in enumerate(reversed(stages)):
            (p50, p95), y = pairs[arm], row + 1 + (0.14 if arm == 0 else -0.14)
            if math.isfinite(p50) and math.isfinite(p95):
                ranges += [(p50, y), (p95, y), (None, None)]
                dots += [(p50, y), (p95, y)]
                texts += [f"{label}, {stage}, p50: {number(p50)} ms", f"{label}, {stage}, p95: {number(p95)} ms"]
        series += [
            Series(kind=f"{kind} range", points=ranges),
            Series(kind=kind, points=dots, labels=texts, line=False, dots=True),
        ]
    highest = max(p95 for _, pairs in stages for _, p95 in pairs if math.isfinite(p95))
    blue, green = stages[-1][1]
    told = (
        f"From p50 to p95 of each stage, both arms asked in the same minutes. p95 of {stages[-1][0]}:"
        f" {number(blue[1])} ms on Blue, {number(green[1])} ms on Green."
    )
    return Plot(
        name="latency",
        title="Latency by stage",
        told=told,
        svg=chart(
            "Latency by stage",
            told,
            series,
            x=Axis(title="milliseconds", low=0, high=highest * 1.05),
            y=Axis(
                title="",
                low=0.4,
                high=len(stages) + 0.6,
                ticks=[(row + 1, stage) for row, (stage, _) in enumerate(reversed(stages))],
            ),
            height=60 + 52 * len(stages),
        ),
        legend=ARMS,
        head=("stage", "Blue p50", "Blue p95", "Green p50", "Green p95"),
        rows=[(stage, *(number(ms) for pair in pairs for ms in pair)) for stage, pairs in stages],
    )


def _compared(draw: Callable[[Review, Compared], Plot | None]) -> Callable[[Review], Plot | None]:
    return lambda review: draw(review, review.compared) if review.compared is not None else None


DRAWN: dict[str, Callable[[Review], Plot | None]] = {
    "ΔS of each question": _compared(_paired),
    "ΔS drift": _compared(drift),
    "coverage": _compared(coverage),
    "λ states": _compared(_states),
    "latency": _compared(_latency),
    "live traffic": traffic,
}

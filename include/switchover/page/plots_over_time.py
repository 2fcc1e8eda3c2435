"""Plots over the time of a run: drift, coverage, live traffic."""

from __future__ import annotations

import math
from collections.abc import Sequence

from switchover.judge.evidence import Floats
from switchover.page.charts import Axis, Point, Series, chart
from switchover.page.plot import ARMS, Plot
from switchover.page.words import number, seconds, signed
from switchover.report.review import Compared, Review


def drift(review: Review, compared: Compared) -> Plot | None:
    """ΔS drift with its interval, against what is accepted and what stops."""
    by_tick, rule, times = compared.over_time, review.rules.ds_p95_drift, compared.seconds
    known = [i for i, value in enumerate(by_tick.drift) if math.isfinite(value) and math.isfinite(times[i])]
    if len(known) < 2:
        return None
    x = [times[i] for i in known]
    band: list[Point] = [(times[i], _cut(by_tick.high[i])) for i in known]
    band += [(times[i], _cut(by_tick.low[i])) for i in reversed(known)]
    lines = [("accept", f"accepted: {number(rule.accept)}", rule.accept)]
    if rule.stop is not None:
        lines.append(("stop", f"stop: {number(rule.stop)}", rule.stop))
    last, confidence = known[-1], 100 * review.rules.statistics.confidence
    told = (
        f"p{100 * rule.quantile:g} of ΔS, Green − Blue, over the newest looks, with its {confidence:g} % interval."
        f" Now {signed(by_tick.drift[last])} ({number(by_tick.low[last])} to {number(by_tick.high[last])})."
    )
    top = max(rule.accept, rule.stop or 0, *(_cut(by_tick.high[i]) for i in known)) * 1.15
    return Plot(
        name="drift",
        title="ΔS drift",
        told=told,
        svg=chart(
            "ΔS drift",
            told,
            [
                Series(kind="band", points=band, area=True),
                *(Series(kind=kind, points=[(x[0], bound), (x[-1], bound)]) for kind, _, bound in lines),
                _line("green", "drift", x, [by_tick.drift[i] for i in known], dots=True),
            ],
            x=_time(x, compared),
            y=Axis(title="drift", low=min(0.0, *(_cut(by_tick.low[i]) for i in known)) * 1.15, high=top),
        ),
        legend=[("green", "drift"), ("band", "interval"), *((kind, text) for kind, text, _ in lines)],
        head=("at", "drift", "low", "high"),
        rows=[
            (seconds(times[i]), number(by_tick.drift[i]), number(by_tick.low[i]), number(by_tick.high[i]))
            for i in known
        ],
    )


def coverage(review: Review, compared: Compared) -> Plot | None:
    """Coverage of both arms."""
    by_tick, rule, times = compared.over_time, review.rules.coverage, compared.seconds
    known = [i for i, value in enumerate(by_tick.coverage_green) if math.isfinite(value) and math.isfinite(times[i])]
    if len(known) < 2:
        return None
    x = [times[i] for i in known]
    arms = {"blue": by_tick.coverage_blue, "green": by_tick.coverage_green}
    lines = [("accept", f"accepted: {number(rule.accept)}", rule.accept)]
    if rule.stop is not None:
        lines.append(("stop", f"stop: {number(rule.stop)}", rule.stop))
    told = (
        "Share of the gold spans that is retrieved, mean over the questions of the newest looks. Now "
        + " and ".join(f"{label} {number(float(arms[kind][known[-1]]))}" for kind, label in ARMS)
        + "."
    )
    return Plot(
        name="coverage",
        title="Coverage",
        told=told,
        svg=chart(
            "Coverage",
            told,
            [
                *(Series(kind=kind, points=[(x[0], bound), (x[-1], bound)]) for kind, _, bound in lines),
                *(_line(kind, label, x, [float(arms[kind][i]) for i in known], dots=True) for kind, label in ARMS),
            ],
            x=_time(x, compared),
            y=Axis(title="coverage", low=0, high=1),
        ),
        legend=[*ARMS, *((kind, text) for kind, text, _ in lines)],
        head=("at", "Blue", "Green"),
        rows=[(seconds(times[i]), number(float(arms["blue"][i])), number(float(arms["green"][i]))) for i in known],
    )


def traffic(review: Review) -> Plot | None:
    """Live requests and 5xx, with the flip marked."""
    parts = review.traffic
    if not parts:
        return None
    total, bad = sum(part.requests for part in parts), sum(part.errors_5xx for part in parts)
    end = parts[-1].seconds
    before = -0.06 * end
    rates = [part.requests / part.span_s if part.span_s else 0.0 for part in parts]
    failed = [part.errors_5xx / part.span_s if part.span_s else 0.0 for part in parts]
    flip = Series(kind="flip", points=[(0.0, 0.0), (0.0, max(rates) * 1.2)])
    told = (
        f"Live traffic on Green from the flip on: {total:,} requests, {bad:,} of them 5xx. The line at 0 is the flip;"
        " before it Green had no live traffic."
    )
    return Plot(
        name="traffic",
        title="Live requests and 5xx",
        told=told,
        svg=chart(
            "Live requests and 5xx",
            told,
            [
                flip,
                _line("green", "requests a second", [p.seconds for p in parts], rates, dots=True),
                _line("stop", "5xx a second", [p.seconds for p in parts], failed, dots=True),
            ],
            x=Axis(title="seconds since the flip", low=before, high=end * 1.02),
            y=Axis(title="per second", low=0, high=max(1.0, max(rates) * 1.2)),
        ),
        legend=[("green", "requests a second"), ("stop", "5xx a second"), ("flip", "flip")],
        head=("until", "requests", "5xx", "failures"),
        rows=[(seconds(p.seconds), str(p.requests), str(p.errors_5xx), str(p.failures)) for p in parts],
    )


def _line(kind: str, label: str, x: Sequence[float], y: Sequence[float] | Floats, *, dots: bool) -> Series:
    points: list[Point] = [(a, float(b) if math.isfinite(b) else None) for a, b in zip(x, y, strict=True)]
    labels = [f"{label} {number(float(b))} at {seconds(a)}" for a, b in zip(x, y, strict=True)]
    return Series(kind=kind, points=points, labels=labels, dots=dots and len(points) <= 40)


def _time(x: Sequence[float], compared: Compared) -> Axis:
    since = "the flip" if compared.phase == "hold" else "the first probe"
    return Axis(title=f"seconds since {since}", low=x[0], high=x[-1] if x[-1] > x[0] else x[0] + 1)


def _cut(value: float) -> float:
    """A band's edge that can be drawn."""
    return min(1.0, max(-1.0, float(value)))

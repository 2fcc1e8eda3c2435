"""The rules of reading: what a store's answer must be before it is a figure. Pure; every kind reads by them.

- Nothing there is *absent*, never 0; what may be absent (no 5xx yet) is said by whoever asks.
- A sample has a time of its own: one that is too old is stale, one of the future is refused.
- More than one series where one is asked for, a warning, NaN and the infinities are no value.
- A count is the sum over series of what each grew by between two instants, from raw values: a fall is a restart
  (the counter began again at 0), a series that began after the first instant began at 0. Nothing is extrapolated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

FUTURE_S = 5.0  # clocks of two machines may differ by this much

Point = tuple[float, float]  # seconds since 1970, value


class NoValue(ValueError):
    """An answer that is no figure. The text says why, in a few words."""


class Absent(NoValue):
    """The store has nothing of the kind."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series of a store: who it is, and its points, oldest first."""

    labels: Mapping[str, str]
    points: Sequence[Point]

    @property
    def name(self) -> str:
        """Its labels, for people."""
        return "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(self.labels.items())) + "}"


@dataclass(frozen=True, kw_only=True)
class Count:
    """What counters grew by: ``first`` is when the first growth was seen, ``newest`` the newest sample's time."""

    value: float
    newest: float
    first: float | None = None
    note: str = ""


def stamp(at: datetime) -> float:
    """Seconds since 1970 of an aware time."""
    return at.timestamp()


def moment(seconds: float) -> datetime:
    """The time (UTC) of seconds since 1970. ``NoValue`` for what is no time."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise NoValue(f"{seconds!r} is no time") from None


def grown(series: Sequence[Series], *, since: float, until: float, from_zero: bool = True) -> Count:
    """What counters grew by from ``since`` to ``until``, all series together.

    The base of a series is its last sample up to ``since``; without one it began later, at 0. ``from_zero`` false
    takes the first sample after ``since`` as the base instead: for what must not be counted too high.

    Raises
        Absent   no series, or none with a sample up to ``until``
        NoValue  a value that no counter has, or a sample of the future
    """
    total, resets, firsts, newest = 0.0, 0, list[float](), -math.inf
    for each in series:
        points = _clean(each, until=until)
        if not points:
            continue
        newest = max(newest, points[-1][0])
        before = [value for at, value in points if at <= since]
        after = [(at, value) for at, value in points if at > since]
        base = before[-1] if before else 0.0 if from_zero else after[0][1]
        for at, value in after:
            fell = value < base
            step = value if fell else value - base
            resets += fell
            if step > 0:
                firsts.append(at)
            total, base = total + step, value
    if newest == -math.inf:
        raise Absent("no samples")
    note = f"{resets} restart{'s' if resets > 1 else ''}" if resets else ""
    return Count(value=total, newest=newest, first=min(firsts, default=None), note=note)


def summed(series: Sequence[Series], *, since: float, until: float, step: float) -> Count:
    """The sum of counts by period: whole, finished periods within [since, until). A point's time is its beginning.

    A period that began before ``since``, or ends after ``until``, is left out: a part of it is not known.
    """
    total, firsts, newest = 0.0, list[float](), -math.inf
    for each in series:
        for at, value in _clean(each, until=until + FUTURE_S):
            if at + step > until:
                continue
            newest = max(newest, at + step)
            if at >= since:
                total += value
                firsts += [at] if value > 0 else []
    if newest == -math.inf:
        raise Absent("no finished period")
    return Count(value=total, newest=newest, first=min(firsts, default=None))


def only(series: Sequence[Series]) -> Point:
    """The newest point of the one series. ``Absent``, or ``NoValue`` when there are several or it is no number."""
    found = [each for each in series if each.points]
    if not found:
        raise Absent("no samples")
    if len(found) > 1:
        raise NoValue(f"{len(found)} series where one is allowed: {found[0].name}, {found[1].name}, …")
    at, value = found[0].points[-1]
    return at, number(value)


def fresh(newest: float, *, now: float, stale_s: float) -> None:
    """``NoValue`` unless the newest sample is neither stale nor of the future."""
    age = now - newest
    if age > stale_s:
        raise NoValue(f"stale: the newest sample is {age:.0f} s old; allowed: up to {stale_s:g} s")
    if age < -FUTURE_S:
        raise NoValue(f"the newest sample is dated {-age:.0f} s ahead: whose clock is wrong?")


def number(value: float) -> float:
    """The value, which must be a finite number."""
    if not math.isfinite(value):
        raise NoValue(f"the value is {value}")
    return value


def quantile(buckets: Mapping[float, float], q: float) -> tuple[float, float, float]:
    """Quantile ``q`` of a histogram: an estimate, and the edges of the bucket in which it lies.

    ``buckets``: upper edge -> how many are up to it, with one for +Inf. Between the edges nothing is known; the
    estimate is linear, as Prometheus's is, and infinite above the last edge.
    """
    edges = sorted(buckets)
    if not edges or not math.isinf(edges[-1]):
        raise NoValue("a histogram without a bucket for +Inf")
    counts = [number(buckets[edge]) for edge in edges]
    if any(later < earlier for earlier, later in itertools.pairwise(counts)):
        raise NoValue("a histogram whose buckets do not grow")
    if counts[-1] <= 0:
        raise Absent("a histogram without observations")
    rank = q * counts[-1]
    at = next(index for index, count in enumerate(counts) if count >= rank)
    low, high = edges[at - 1] if at else 0.0, edges[at]
    if math.isinf(high):
        return math.inf, low, math.inf
    below = counts[at - 1] if at else 0.0
    inside = counts[at] - below
    return low + (high - low) * ((rank - below) / inside if inside else 1.0), low, high


def whole(value: float, figure: str) -> int:
    """A count: a whole number that is not negative, give or take the rounding of a sum."""
    count = number(value)
    if count < 0 or abs(count - round(count)) > 1e-6 * max(1.0, count):
        raise NoValue(f"{figure} is {value:g}, which is no count")
    return round(count)


def span(start: datetime, end: datetime) -> timedelta:
    """The time between, never negative."""
    return max(end - start, timedelta())


def _clean(series: Series, *, until: float) -> list[Point]:
    """The points up to ``until``, in their order. A counter is a finite number that is not negative."""
    for at, value in series.points:
        if not math.isfinite(value) or value < 0:
            raise NoValue(f"{series.name} is {value}, which no counter is")
        if at > until + FUTURE_S:
            raise NoValue(f"{series.name} has a sample dated {at - until:.0f} s ahead: whose clock is wrong?")
    return sorted(point for point in series.points if point[0] <= until)

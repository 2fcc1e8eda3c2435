"""The rules of reading a metrics store: by hand, and as properties of counters."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchover.signals.reading import (
    Absent,
    NoValue,
    Series,
    fresh,
    grown,
    moment,
    number,
    only,
    quantile,
    span,
    summed,
    whole,
)


def one(*points: tuple[float, float], **labels: str) -> Series:
    return Series(labels=labels, points=points)


def test_a_counter_grows_from_its_last_sample_before_the_flip() -> None:
    series = [one((0, 100.0), (10, 103.0), (20, 110.0), (30, 140.0))]
    found = grown(series, since=12, until=25)
    assert (found.value, found.newest, found.first, found.note) == (7.0, 20, 20, "")


def test_a_fall_is_a_restart_and_nothing_is_lost_by_it() -> None:
    found = grown([one((0, 100.0), (10, 120.0), (20, 5.0), (30, 9.0))], since=0, until=30)
    assert (found.value, found.note) == (29.0, "1 restart")


def test_a_series_that_begins_later_began_at_zero_or_is_not_counted_too_high() -> None:
    series = [one((0, 50.0), (30, 60.0), pod="old"), one((20, 7.0), (30, 9.0), pod="new")]
    assert grown(series, since=10, until=30).value == 19.0
    assert grown(series, since=10, until=30, from_zero=False).value == 12.0


def test_a_series_that_ended_keeps_what_it_counted() -> None:
    series = [one((0, 0.0), (10, 4.0), pod="gone"), one((0, 0.0), (30, 1.0), pod="here")]
    found = grown(series, since=0, until=30)
    assert (found.value, found.newest) == (5.0, 30)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_no_counter_has_such_a_value(value: float) -> None:
    with pytest.raises(NoValue, match="which no counter is"):
        grown([one((0, 1.0), (10, value))], since=0, until=10)


def test_nothing_is_absent_and_a_sample_of_the_future_is_refused() -> None:
    with pytest.raises(Absent):
        grown([], since=0, until=10)
    with pytest.raises(Absent):
        grown([one((12, 1.0))], since=0, until=10)
    with pytest.raises(NoValue, match="dated 20 s ahead"):
        grown([one((0, 1.0), (30, 2.0))], since=0, until=10)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_two_looks_see_what_one_sees(steps: list[tuple[int, bool]], cut: int, flip: int) -> None:
    """A counter with restarts: what is counted up to a look and after it is what is counted at once."""
    points, value = [], 0
    for at, (more, restart) in enumerate(steps):
        value = more if restart else value + more
        points.append((float(at), float(value)))
    series, end = [one(*points)], float(len(steps))
    since, middle = float(min(flip, cut)), float(max(flip, cut))
    first = grown(series, since=since, until=middle).value
    second = grown(series, since=middle, until=end).value if middle < end else 0.0
    assert first + second == grown(series, since=since, until=max(middle, end)).value
    assert first >= 0


def test_only_whole_finished_periods_are_added() -> None:
    minutes = [one((0, 5.0), (60, 6.0), (120, 7.0), (180, 8.0))]
    found = summed(minutes, since=60, until=200, step=60)
    assert (found.value, found.newest, found.first) == (13.0, 180, 60)
    with pytest.raises(Absent, match="no finished period"):
        summed([one((180, 8.0))], since=60, until=200, step=60)


def test_one_series_is_one_value() -> None:
    assert only([one((0, 1.0), (5, 2.0))]) == (5, 2.0)
    with pytest.raises(NoValue, match="2 series where one is allowed"):
        only([one((0, 1.0), a="b"), one((0, 1.0), a="c")])
    with pytest.raises(NoValue, match="nan"):
        only([one((0, math.nan))])
    with pytest.raises(Absent):
        only([one()])


def test_stale_and_future_are_told_apart() -> None:
    fresh(100, now=130, stale_s=30)
    fresh(100, now=95, stale_s=30)
    with pytest.raises(NoValue, match="stale: the newest sample is 31 s old; allowed: up to 30 s"):
        fresh(100, now=131, stale_s=30)
    with pytest.raises(NoValue, match="dated 10 s ahead"):
        fresh(100, now=90, stale_s=30)


def test_a_quantile_lies_in_its_bucket() -> None:
    buckets = {0.1: 80.0, 0.25: 96.0, 0.5: 99.0, math.inf: 100.0}
    estimate, low, high = quantile(buckets, 0.95)
    assert (low, high) == (0.1, 0.25)
    assert estimate == pytest.approx(0.1 + 0.15 * 15 / 16)
    assert quantile({0.1: 1.0, math.inf: 100.0}, 0.95) == (math.inf, 0.1, math.inf)
    for wrong in ({0.1: 5.0}, {0.1: 5.0, math.inf: 4.0}, {0.1: math.nan, math.inf: 4.0}):
        with pytest.raises(NoValue):
            quantile(wrong, 0.95)
    with pytest.raises(Absent):
        quantile({0.1: 0.0, math.inf: 0.0}, 0.95)


def test_a_count_is_a_whole_number() -> None:
    assert whole(3.0000000001, "requests") == 3
    for wrong in (-1.0, 2.5, math.nan):
        with pytest.raises(NoValue):
            whole(wrong, "requests")
    assert number(1.5) == 1.5


def test_times() -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert moment(at.timestamp()) == at
    with pytest.raises(NoValue):
        moment(math.inf)
    assert span(at, at - timedelta(seconds=5)) == timedelta()

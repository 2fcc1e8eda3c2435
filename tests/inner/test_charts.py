"""What is drawn ends, whatever the figures: every chart and every plot, each in a bounded time."""

from __future__ import annotations

import contextlib
import math
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchover.judge.rules import Rules
from switchover.page.charts import MOST, Axis, Scale, Series, chart, sparkline, stacked
from switchover.page.plots import MOST_ROWS, plots_of
from switchover.page.words import FILTERS
from switchover.report.review import Traffic

LAST_BIT = [0.904437248420645, 0.904437248420645, 0.9044372484206449]
HARD = [
    LAST_BIT,
    [1.0, math.nextafter(1.0, 2.0)],
    [-1e300, math.nextafter(-1e300, 0.0)],
    [5e-324, 0.0],
    [5e-324, 1e-323, 1.5e-323],
    [1.7976931348623157e308, -1.7976931348623157e308],
    [math.nan, math.nan],
    [math.inf, -math.inf, 1.0, 2.0],
    [0.0, -0.0],
    [1e16, 1e16 + 2, 1e16 + 4],
    [7.0],
    [],
]
FLOATS = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
LISTS = st.one_of(
    st.sampled_from(HARD),
    st.lists(FLOATS, max_size=12),
    st.tuples(FLOATS, st.integers(1, 8)).map(lambda at: [_next(at[0], step) for step in range(at[1])]),
)
BOUND_S = 5


def _next(value: float, steps: int) -> float:
    for _ in range(steps):
        value = math.nextafter(value, math.inf)
    return value


@contextlib.contextmanager
def ends(seconds: int = BOUND_S) -> Iterator[None]:
    """Fails what has used so much processor time and has not ended, also a loop that never would."""

    def over(*_: Any) -> None:
        raise AssertionError(f"still drawing after {seconds} s")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def drawn(xs: list[float], ys: list[float]) -> str:
    points = list(zip(xs, ys, strict=False))
    series = [
        Series(kind="green", points=points, dots=True, labels=[f"{y}" for _, y in points]),
        Series(kind="band", points=[*points, *reversed(points)], area=True),
        Series(kind="pair", points=[(None, None), *points]),
    ]
    return str(chart("title", "told", series, x=Axis(title="x"), y=Axis(title="y")))


@pytest.mark.parametrize("values", HARD, ids=repr)
def test_hard_values_are_drawn_or_left_out(values: list[float]) -> None:
    with ends():
        for picture in (sparkline(values), drawn(list(range(len(values))), values), drawn(values, values)):
            assert "nan" not in picture
            assert "inf" not in picture
            assert picture == "" or picture.startswith("<svg")


@given(xs=LISTS, ys=LISTS, low=st.none() | FLOATS, high=st.none() | FLOATS)
def test_any_chart_ends(xs: list[float], ys: list[float], low: float | None, high: float | None) -> None:
    axis = Axis(title="t", low=low, high=high)
    with ends():
        picture = chart("c", "", [Series(kind="k", points=list(zip(xs, ys, strict=False)))], x=axis, y=axis)
        told = stacked("s", "", ["one"], [(f"k{i}", [abs(y)]) for i, y in enumerate(ys)])
        trend = sparkline([*ys, None])
    assert "nan" not in picture + told + trend


@given(values=LISTS, low=st.none() | FLOATS, high=st.none() | FLOATS)
def test_a_scale_has_few_marks_in_order_and_places_between_its_ends(
    values: list[float], low: float | None, high: float | None
) -> None:
    scale = Scale.over([v for v in values if math.isfinite(v) and abs(v) < 1e300], low, high)
    at = [value for value, _ in scale.ticks()]
    assert 1 <= len(at) <= 7
    assert at == sorted(at)
    assert all(0.0 <= place <= 1.0 for value in values if (place := scale.place(value)) is not None)


def test_what_differs_in_its_last_bit_is_a_flat_line_and_what_differs_is_not() -> None:
    flat, steep = Scale.over(LAST_BIT), Scale.over([0.90, 0.91])
    assert {flat.place(value) for value in LAST_BIT} == {0.5}
    assert (steep.place(0.90), steep.place(0.91)) == (0.0, 1.0)


def test_a_million_points_are_thinned_and_their_extremes_stay() -> None:
    ys = np.zeros(1_000_000)
    ys[123_456], ys[765_432] = 7.0, -3.0
    points = [(float(x), float(y)) for x, y in enumerate(ys)]
    with ends(30):
        picture = chart("c", "", [Series(kind="k", points=points, dots=True)], x=Axis(title=""), y=Axis(title=""))
        trend = sparkline(list(ys))
    assert picture.count('class="dot ') <= MOST
    assert len(trend) < 100_000
    tops = {round(float(text.split('"')[0])) for text in picture.split('cy="')[1:]}
    assert len(tops) == 3, "the zeros, the highest and the lowest"


def test_no_text_can_break_a_chart() -> None:
    evil = "a\x00\x1b[31m\u202e\ud800\ufffe<b>&\"'"
    series = [Series(kind="k", points=[(0.0, 1.0), (1.0, 2.0)], labels=[evil, evil], dots=True)]
    axis = Axis(title=evil, ticks=[(0.0, evil), (1.0, evil)])
    picture = chart(evil, evil, series, x=axis, y=axis) + stacked(evil, evil, [evil], [("k", [1.0])])
    assert "<b>" not in picture
    assert not set("\x00\x1b\u202e\ud800\ufffe") & set(picture)
    picture.encode()


def review_of(values: list[float], questions: int = 3) -> Any:
    """As much of a review as plots read, with the same hard values everywhere."""
    of = np.array((values or [math.nan]) * 3)[:80]
    path = SimpleNamespace(drift=of, low=of, high=of, coverage_blue=of, coverage_green=of)
    each = np.resize(of, questions)
    effect = SimpleNamespace(effect=of[0], interval=(of[0], of[-1]))
    measure = SimpleNamespace(name="ds_question", blue=each, green=np.roll(each, 1), against_blue=effect)
    pair = (float(of[0]), float(of[-1]))
    overall = SimpleNamespace(latency={"total": (pair, pair)}, states=(np.array([0, 1]), np.array([2, 3])))
    names = [f"q{i}" for i in range(questions)]
    arms = SimpleNamespace(measures=[measure])
    compared = SimpleNamespace(
        phase="hold", arms=arms, over_time=path, seconds=[float(v) for v in of], overall=overall, names=names
    )
    parts = [Traffic(seconds=float(v), requests=i, errors_5xx=0, failures=0, span_s=float(v)) for i, v in enumerate(of)]
    return SimpleNamespace(compared=compared, rules=Rules(), traffic=parts)


@given(values=LISTS)
def test_every_plot_ends_and_one_that_cannot_be_drawn_is_named(values: list[float]) -> None:
    with ends():
        plots, left_out = plots_of(review_of(values))
    assert all("nan" not in plot.svg for plot in plots)
    assert "λ states" in {plot.title for plot in plots}
    assert all(line.startswith("plot of ") for line in left_out)


def test_a_review_of_very_many_questions_is_drawn_in_part_and_says_so() -> None:
    review = review_of([0.1, 0.5, 0.9, 0.3], questions=100_000)
    with ends(30):
        plots, left_out = plots_of(review)
    paired = next(plot for plot in plots if plot.name == "paired")
    assert "of 100000 questions are drawn" in paired.told
    assert paired.svg.count('class="dot ') <= 2 * MOST
    assert all(len(plot.rows) <= MOST_ROWS + 1 for plot in plots)
    assert left_out == []


def test_pictures_are_left_out_when_their_time_is_over() -> None:
    plots, left_out = plots_of(review_of([0.1, 0.5]), seconds=0.0)
    assert plots == []
    assert len(left_out) == 6
    assert "not drawn" in left_out[0]


def test_a_plot_that_breaks_takes_no_other_with_it() -> None:
    review = review_of([0.1, 0.5])
    review.compared.overall.latency = {"total": None}
    plots, left_out = plots_of(review)
    assert [line.split(":")[0] for line in left_out] == ["plot of latency"]
    assert {"drift", "coverage", "states", "paired"} <= {plot.name for plot in plots}


@pytest.mark.parametrize("name", sorted(FILTERS))
@given(value=FLOATS | st.integers() | st.none() | st.text(max_size=5) | st.lists(FLOATS, max_size=3))
def test_any_value_has_words(name: str, value: Any) -> None:
    if isinstance(value, (int, float)) or name != "clock":
        assert isinstance(FILTERS[name](value), str)

"""Rows become columns, and every gap and every oddity becomes the worst it can be."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from judge_cases import FLIP, QUESTIONS, evidence, failed, on_green, probes, row, sample

from switchover.errors import BadInput
from switchover.judge.evidence import BLUE, BLUE_FAILED, COLUMNS, GREEN, Evidence, SignalSample, increments

NAN, INF = float("nan"), float("inf")


def only(**changes: object) -> Evidence:
    """The first row of evidence of one question that is asked once of each arm and paraphrase."""
    rows = [
        row(0, p, arm=arm, **(changes if (arm, p) == ("green", 0) else {}))
        for arm in ("green", "blue")
        for p in range(3)
    ]
    found = evidence(rows, 1)
    assert len(found) == 6
    return found.take(np.array([0]))


def test_a_row_keeps_its_figures() -> None:
    found = only(ds_question=0.31, coverage=0.25, ms_total=12.5, cited="s")
    assert (found.ds_question[0], found.coverage[0], found.ms_total[0]) == (0.31, 0.25, 12.5)
    assert found.sections[found.cited[0]] == "s"
    assert not found.failed[0] and found.observed[0]


@pytest.mark.parametrize("value", [NAN, INF, -0.1, 1.1])
def test_a_figure_that_cannot_be_is_the_worst(value: float) -> None:
    assert only(ds_question=value).ds_question[0] == 1.0
    assert only(ds_anchor=value).ds_anchor[0] == 1.0
    assert only(coverage=value).coverage[0] == 0.0


def test_a_rounding_is_not_an_error() -> None:
    assert only(coverage=1.0 + 1e-12).coverage[0] == 1.0
    assert only(ds_question=-1e-12).ds_question[0] == 0.0


@pytest.mark.parametrize(
    "changes",
    [{"status": 500}, {"status": 0}, {"status": 302}, {"ms_total": None}, {"ms_total": NAN}, {"error": "no JSON"}],
)
def test_a_probe_without_success_has_no_good_figure_left(changes: dict[str, object]) -> None:
    found = only(**changes)
    assert found.failed[0]
    assert (found.ds_question[0], found.coverage[0], found.cited[0], found.ms_total[0]) == (1.0, 0.0, -1, INF)


def test_a_time_below_zero_is_no_time() -> None:
    assert only(ms_retrieve=-1.0).ms_retrieve[0] == INF


def test_what_is_missing_stands_in_as_a_failed_probe() -> None:
    everything = probes(ticks=1, seeds=lambda tick: (0,), questions=2)
    rows = [r for r in everything if not (r["arm"] == "green" and r["question"] == "q1" and r["paraphrase"] == 2)]
    found = evidence(rows, 2)
    assert (len(rows), len(found)) == (11, 12)
    gap = found.take(~found.observed)
    assert (gap.arm[0], gap.question[0], gap.paraphrase[0]) == (GREEN, 1, 2)
    assert (gap.ds_question[0], gap.ds_anchor[0], gap.coverage[0], gap.cited[0]) == (1.0, 1.0, 0.0, -1)
    assert gap.failed[0] and gap.ms_total[0] == INF


def test_no_rows_at_all_are_one_failed_probe_for_each_combination() -> None:
    found = evidence([], 2)
    assert len(found) == 2 * 2 * 3
    assert found.failed.all() and not found.observed.any()


def test_complete_fills_up_to_the_runs_that_were_due() -> None:
    found = evidence(probes(ticks=2, seeds=lambda tick: (0,), questions=1), 1)
    assert len(found) == 2 * 2 * 3
    whole = found.complete(3)
    assert np.count_nonzero(~whole.observed) == 2 * 3  # one more run of each of 2 arms × 3 paraphrases
    assert set(whole.tick[~whole.observed]) == {1}
    assert found.complete(2) is found


def test_an_unanswerable_question_has_no_coverage_and_rightly_cites_nothing() -> None:
    rows = probes(
        ticks=1, questions=2, spoil=lambda r: {**r, "coverage": None, "cited": None} if r["question"] == "q1" else r
    )
    rows[-1] = {**failed(rows[-1]), "coverage": None}
    found = evidence(rows, 2)
    open_end = found.question == 1
    assert np.isnan(found.coverage[open_end]).all() and not np.isnan(found.coverage[~open_end]).any()
    assert (found.cited[open_end & ~found.failed] >= 0).all()  # to cite nothing is a citation of its own here
    assert found.cited[open_end & found.failed] == [-1]


def test_a_question_is_not_unanswerable_because_one_arm_says_so() -> None:
    found = evidence(probes(ticks=1, questions=1, spoil=on_green(lambda r: {**r, "coverage": None})), 1)
    assert (found.coverage[found.arm == GREEN] == 0.0).all()
    assert (found.coverage[found.arm == BLUE] == 1.0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": "q99"}, "question 'q99' is not in the gold set"),
        ({"arm": "red"}, "arm 'red'; allowed: blue, green"),
        ({"paraphrase": 3}, "paraphrase outside 0..2"),
        ({"paraphrase": -1}, "paraphrase outside 0..2"),
    ],
)
def test_a_row_that_belongs_nowhere_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        evidence([row(0) | changes])


def test_a_question_that_is_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="given twice"):
        Evidence.from_rows([], ["q1", "q1"])


def test_columns_of_unequal_lengths_are_refused() -> None:
    good = evidence(probes(ticks=1, questions=1), 1)
    columns = {name: getattr(good, name) for name in COLUMNS}
    with pytest.raises(ValueError, match="unequal lengths"):
        Evidence(questions=("q0",), sections=good.sections, **{**columns, "seed": columns["seed"][:-1]})


def test_the_newest_ticks_are_those_that_have_rows() -> None:
    found = evidence([r for r in probes(ticks=6, seeds=lambda tick: (tick % 2,)) if r["tick"] not in (3, 4)])
    assert set(found.newest(3).tick) == {1, 2, 5}
    assert found.newest(4) is found
    assert found.newest(3).questions == tuple(QUESTIONS)


def test_rows_are_put_in_the_order_of_their_ticks() -> None:
    rows = probes(ticks=3, questions=1)
    found = evidence([*rows[24:], *rows[:24]], 1)
    with pytest.raises(ValueError, match="not stand in the order of their ticks"):
        _ = found.bounds
    ordered = found.in_order()
    assert list(ordered.tick) == [0] * 12 + [1] * 12 + [2] * 12
    assert list(ordered.bounds) == [0, 12, 24, 36]
    assert ordered.in_order() is ordered


def test_sides_and_cells_are_counted() -> None:
    rows = probes(ticks=1, questions=2, seeds=lambda tick: (0,))
    rows = [failed(r) if r["arm"] == "blue" and r["question"] == "q1" and r["paraphrase"] == 2 else r for r in rows[1:]]
    found = evidence(rows, 2)  # without Blue's first paraphrase of q0
    assert found.counts[BLUE].tolist() == [[0, 1, 1], [1, 1, 0]]
    assert found.counts[BLUE_FAILED].tolist() == [[1, 0, 0], [0, 0, 1]]  # the stand-in failed, too
    assert found.counts[GREEN].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert found.seen[BLUE_FAILED].tolist() == [[0, 0, 0], [0, 0, 1]]
    assert found.covered.tolist() == [[2.0, 2.0], [3.0, 3.0], [0.0, 0.0]]


def test_a_sample_survives_json() -> None:
    one = sample(100, 3, loops=1)
    assert SignalSample.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"errors_5xx": 101}, "errors_5xx 101 of 100 requests"),
        ({"requests": -1}, "requests is -1"),
        ({"until": FLIP - timedelta(seconds=1)}, "until is before since"),
        ({}, None),
    ],
)
def test_a_sample_that_cannot_be_says_so(changes: dict[str, object], problem: str | None) -> None:
    assert SignalSample(**{**sample(100).__dict__, **changes}).problem == problem


def test_samples_that_grow_from_the_flip_on_are_cut_into_steps() -> None:
    steps = increments([sample(100, 1, end=15), None, sample(350, 4, end=45)])
    assert [(s.requests, s.errors_5xx, (s.until - s.since).seconds) for s in steps] == [(100, 1, 15), (250, 3, 30)]


def test_samples_that_follow_each_other_stay_as_they_are() -> None:
    steps = increments([sample(100, 1, start=0, end=15), sample(90, 0, start=15, end=30)])
    assert [(s.requests, s.errors_5xx) for s in steps] == [(100, 1), (90, 0)]

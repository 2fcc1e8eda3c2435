"""Absolute bars where Blue itself does not reach them: Green is held against Blue, and it is said."""

from __future__ import annotations

import pytest
from judge_cases import Row, by_rule, evidence, hold_rows, number, on_green, probes, sample, warm

from switchover.judge.gates import Outcome, judge_stop
from switchover.judge.rules import Rules


def low(of: Row) -> Row:
    """A gold set on which nobody reaches the bars: coverage 0.25, ΔS about 0.5, every fourth question flips."""
    flips = number(of) % 4 == 0 and of["paraphrase"] == 2
    return {
        **of,
        "coverage": 1.0 if number(of) % 4 == 0 else 0.0,
        "ds_question": of["ds_question"] + 0.2,
        "cited": "elsewhere" if flips else of["cited"],
    }


BARS = ("ds_question", "coverage", "flip_rate")


def test_an_identical_green_passes_where_blue_does_not_reach_the_bar() -> None:
    verdicts = warm(probes(spoil=low))
    for rule in BARS:
        assert verdicts[rule].outcome is Outcome.PASS, verdicts[rule].detail
        assert "Blue itself has" in verdicts[rule].detail and "held against Blue" in verdicts[rule].detail
    assert verdicts["coverage"].bound == pytest.approx(0.23) and verdicts["flip_rate"].bound == pytest.approx(0.27)


def test_a_worse_green_fails_there_too() -> None:
    worse = on_green(lambda r: {**r, "coverage": 0.0, "ds_question": 0.95, "cited": f"x{r['paraphrase']}"})
    verdicts = warm(probes(spoil=lambda r: worse(low(r))))
    assert [verdicts[rule].outcome for rule in BARS] == [Outcome.FAIL] * 3


def test_a_plan_may_hold_the_bar_literally() -> None:
    rules = Rules.model_validate({rule: {"margin": None} for rule in BARS})
    verdicts = warm(probes(spoil=low), rules=rules)
    assert [verdicts[rule].outcome for rule in BARS] == [Outcome.FAIL] * 3


def test_where_blue_reaches_the_bar_nothing_changes() -> None:
    verdicts = warm(probes(spoil=on_green(low)))
    assert [verdicts[rule].outcome for rule in BARS] == [Outcome.FAIL] * 3
    assert not any("held against Blue" in verdicts[rule].detail for rule in BARS)


def test_a_hold_does_not_stop_for_what_blue_does_too_and_stops_for_more() -> None:
    def stops(rows: list[Row]) -> Outcome:
        return by_rule(judge_stop(evidence(rows), rules=Rules(), signals=[sample(900)] * 12))["coverage"].outcome

    same = [low(r) for r in hold_rows(12)]
    assert stops(same) is Outcome.PASS
    worse = on_green(lambda r: {**r, "coverage": 0.0})
    assert stops([worse(r) for r in same]) is Outcome.FAIL


def test_questions_that_may_be_chaotic_are_the_plans_word() -> None:
    chaos = on_green(lambda r: {**r, "cited": f"s{r['paraphrase']}"}, lambda r: number(r) == 7)
    assert warm(probes(spoil=chaos))["flip_rate"].outcome is Outcome.FAIL
    allowed = Rules.model_validate({"flip_rate": {"chaotic": 1}})
    assert warm(probes(spoil=chaos), rules=allowed)["flip_rate"].outcome is Outcome.PASS


@pytest.mark.parametrize(("more", "outcome"), [(4.9, Outcome.PASS), (6.0, Outcome.FAIL)])
def test_some_milliseconds_are_no_regression(more: float, outcome: Outcome) -> None:
    rows = probes(spoil=on_green(lambda r: {**r, "ms_total": r["ms_total"] + more}))
    verdict = warm(rows)["latency_p95"]
    assert verdict.outcome is outcome, verdict.detail
    assert verdict.bound == pytest.approx(5 / 10.9, rel=0.01)

"""What must hold for any evidence: order and names mean nothing, and no gap or failure ever helps Green."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge_cases import FLIP, Row, failed, row, sample, typed

from switchover.judge.evidence import Evidence, Expected
from switchover.judge.gates import Outcome, Verdict, judge_acceptance, judge_stop
from switchover.judge.rules import Rules

QUESTIONS, TICKS = 8, 3
IDS = [f"q{i}" for i in range(QUESTIONS)]
# Small evidence, so that the rules' minima are small too; every other threshold is the default.
RULES = Rules.model_validate(
    {
        **{
            name: {"minimum": 2}
            for name in ("ds_question", "ds_p95_drift", "coverage", "coverage_vs_blue", "flips_vs_blue", "latency_p95")
        },
        "flip_rate": {"minimum": 2, "seeds": 1},
        "error_rate": {"accept": 0.1},
        "http_5xx": {"accept": 0.1, "stop": 0.2},
    }
)
BETTER_TO_WORSE = {Outcome.PASS: 0, Outcome.INCONCLUSIVE: 1, Outcome.ERROR: 1, Outcome.FAIL: 2}
SLOW = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@st.composite
def runs(draw: st.DrawFn) -> list[Row]:
    """A whole run over few questions in which anything may be bad, often the same thing on one arm."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    bad = {arm: rng.choice([0.0, 0.0, 0.02, 0.2, 0.6]) for arm in ("blue", "green")}
    kind = rng.choice(["coverage", "cited", "ds_question", "failed", "slow", "all"])
    made: list[Row] = []
    for tick in range(TICKS):
        for arm in ("blue", "green"):
            for question in range(QUESTIONS):
                for paraphrase in range(3):
                    probe = row(question, paraphrase, 0, arm, tick, ds_question=rng.uniform(0.2, 0.5))
                    if rng.random() < bad[arm]:
                        probe = _spoil(
                            probe, kind if kind != "all" else rng.choice(["coverage", "cited", "failed"]), rng
                        )
                    made.append(probe)
    return made


def _spoil(probe: Row, kind: str, rng: random.Random) -> Row:
    if kind == "failed":
        return {**failed(probe), "status": rng.choice([0, 500])}
    return {
        **probe,
        **{
            "coverage": {"coverage": 0.0},
            "cited": {"cited": f"x{rng.randrange(3)}"},
            "ds_question": {"ds_question": 0.9},
            "slow": {"ms_total": 100.0},
        }[kind],
    }


def acceptance(rows: list[Row], **options: Any) -> dict[str, Verdict]:
    given_ = {"rules": RULES, "expected": Expected(runs=TICKS), "rehearsal_ttr_s": 1.0, "traffic": False, **options}
    return {v.rule: v for v in judge_acceptance(Evidence.from_rows(typed(rows), IDS), **given_)}


def stop(rows: list[Row], **options: Any) -> dict[str, Verdict]:
    given_ = {"rules": RULES, "signals": [sample(50)], "expected": Expected(runs=TICKS), **options}
    return {v.rule: v for v in judge_stop(Evidence.from_rows(typed(rows), IDS), **given_)}


def hold_end(rows: list[Row], **options: Any) -> dict[str, Verdict]:
    return acceptance(rows, **{"traffic": True, "signals": [sample(50)], **options})


GATES = pytest.mark.parametrize("gate", [acceptance, hold_end, stop])
Gate = Callable[[list[Row]], dict[str, Verdict]]


def same(left: dict[str, Verdict], right: dict[str, Verdict]) -> None:
    """Equal verdicts; figures that are sums may differ by a rounding."""
    assert {name: v.outcome for name, v in left.items()} == {name: v.outcome for name, v in right.items()}
    for name, verdict in left.items():
        assert verdict.value == pytest.approx(right[name].value, abs=1e-9, nan_ok=True)


@GATES
@SLOW
@given(rows=runs(), seed=st.integers(0, 2**32))
def test_the_order_of_rows_means_nothing(gate: Gate, rows: list[Row], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    same(gate(rows), gate(shuffled))


@GATES
@SLOW
@given(rows=runs())
def test_the_names_of_sections_mean_nothing(gate: Gate, rows: list[Row]) -> None:
    renamed = [{**r, "cited": r["cited"] and f"§{r['cited'][::-1]}"} for r in rows]
    same(gate(rows), gate(renamed))


@SLOW
@given(rows=runs(), seed=st.integers(0, 2**32))
def test_splitting_ticks_means_nothing(rows: list[Row], seed: int) -> None:
    rng = random.Random(seed)
    same(acceptance(rows), acceptance([{**r, "tick": 2 * r["tick"] + rng.randrange(2)} for r in rows]))


HOLES = (
    lambda r, extra: False,
    lambda r, extra: r["question"] == extra["question"] and r["arm"] == extra["arm"],
    lambda r, extra: (
        (r["question"], r["paraphrase"], r["arm"]) == (extra["question"], extra["paraphrase"], extra["arm"])
    ),
    lambda r, extra: (r["question"], r["tick"], r["arm"]) == (extra["question"], extra["tick"], extra["arm"]),
)


@GATES
@SLOW
@given(rows=runs(), step=st.integers(2, 5))
def test_the_numbers_of_ticks_mean_nothing_but_their_order(gate: Gate, rows: list[Row], step: int) -> None:
    same(gate(rows), gate([{**r, "tick": step * r["tick"] + 7} for r in rows]))


def no_better(before: dict[str, Verdict], after: dict[str, Verdict]) -> None:
    """No verdict of ``after`` may be better than the one of ``before``."""
    better = {
        name: (before[name].detail, verdict.detail)
        for name, verdict in after.items()
        if BETTER_TO_WORSE[verdict.outcome] < BETTER_TO_WORSE[before[name].outcome]
    }
    assert better == {}


@GATES
@SLOW
@given(rows=runs(), data=st.data())
def test_a_failed_probe_more_never_improves_a_verdict(gate: Gate, rows: list[Row], data: st.DataObject) -> None:
    extra = {**failed(data.draw(st.sampled_from(rows))), "status": data.draw(st.sampled_from([0, 404, 500]))}
    there = [r for r in rows if not data.draw(st.sampled_from(HOLES))(r, extra)]  # it may be the first of its kind
    before, after = gate(there), gate([*there, extra])
    # A request that failed made no tool calls: where nothing was asked before, that is now known. It is counted as
    # a failure by the error rules.
    no_better({**before, "tool_loops": after["tool_loops"]}, after)


@SLOW
@given(rows=runs(), data=st.data())
def test_a_probe_that_fails_instead_never_turns_fail_or_doubt_into_pass(rows: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.sampled_from([i for i, r in enumerate(rows) if r["status"] == 200]))
    spoilt = [*rows[:at], failed(rows[at]), *rows[at + 1 :]]
    for gate in (acceptance, hold_end, stop):
        before, after = gate(rows), gate(spoilt)
        passing = {name for name, v in after.items() if v.outcome is Outcome.PASS}
        assert passing <= {name for name, v in before.items() if v.outcome is Outcome.PASS}


@GATES
@SLOW
@given(rows=runs(), data=st.data())
def test_removing_evidence_never_turns_fail_into_pass(gate: Gate, rows: list[Row], data: st.DataObject) -> None:
    keep = data.draw(
        st.one_of(
            st.sampled_from(
                [
                    lambda r: r["coverage"] > 0,
                    lambda r: r["status"] == 200,
                    lambda r: r["arm"] == "blue" or not r["cited"] or "x" not in r["cited"],
                    lambda r: r["ds_question"] < 0.4,
                    lambda r: r["ms_total"] is not None and r["ms_total"] < 50,
                    lambda r: r["arm"] == "green",
                    lambda r: r["arm"] == "blue",
                    lambda r: r["question"] != "q0",
                    lambda r: r["tick"] == 0,
                ]
            ),
            st.sets(st.integers(0, len(rows) - 1)).map(lambda gone: lambda r: rows.index(r) not in gone),
        )
    )
    before, after = gate(rows), gate([r for r in rows if keep(r)])
    turned = [name for name, v in before.items() if v.outcome is Outcome.FAIL and after[name].outcome is Outcome.PASS]
    assert turned == []


@SLOW
@given(errors=st.lists(st.integers(0, 40), min_size=1, max_size=6), data=st.data())
def test_removing_samples_never_turns_fail_into_pass(errors: list[int], data: st.DataObject) -> None:
    rows = [
        row(q, p, 0, arm, t)
        for t in range(TICKS)
        for arm in ("blue", "green")
        for q in range(QUESTIONS)
        for p in range(3)
    ]
    whole = [sample(100, bad, start=15 * t, end=15 * t + 15) for t, bad in enumerate(errors)]
    gone = data.draw(st.sets(st.integers(0, len(whole) - 1)))
    cut = [None if t in gone else one for t, one in enumerate(whole)]
    before = acceptance(rows, traffic=True, signals=whole)
    after = acceptance(rows, traffic=True, signals=cut)
    for name in ("error_rate", "http_5xx"):
        assert not (before[name].outcome is Outcome.FAIL and after[name].outcome is Outcome.PASS)
    assert whole[0].since == FLIP

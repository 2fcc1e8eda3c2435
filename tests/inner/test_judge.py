"""The acceptance gates: a good Green passes everything, and no gap, failure or oddity ever helps it."""

from __future__ import annotations

import json
import math

import pytest
from judge_cases import (
    failed,
    hold_end,
    hold_rows,
    not_passing,
    number,
    on_green,
    probes,
    row,
    sample,
    warm,
)

from switchover.judge.evidence import Expected
from switchover.judge.gates import Outcome, Verdict, decisive, worst
from switchover.judge.rules import RULE_KINDS


def test_a_good_green_passes_every_rule_at_the_warm_gate() -> None:
    verdicts = warm(probes(ticks=3))
    assert not_passing(verdicts) == {}
    not_asked = {
        "http_5xx",
        "live_traffic",
        "cache_poison",
        "count_ratio",
        "gold_present",
    }  # no traffic, nothing counted
    assert set(verdicts) == set(RULE_KINDS) - not_asked


def test_a_good_green_passes_every_rule_at_the_end_of_the_hold() -> None:
    verdicts = hold_end(hold_rows(12), [sample(1200)])  # 60 s at 20 requests a second
    assert not_passing(verdicts) == {}
    assert set(verdicts) == set(RULE_KINDS) - {"cache_poison", "count_ratio", "gold_present"}


def test_every_verdict_says_value_bound_margin_and_sample_size() -> None:
    for verdict in hold_end(hold_rows(), [sample(1200)]).values():
        body = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
        assert None not in (body["value"], body["bound"], body["margin"])
        assert body["margin"] >= 0 and body["n"] > 0 and f"n = {body['n']}" in body["detail"]


# ---- each rule at its bound, and just beyond -------------------------------------------------------------


def spoilt(questions: int, **changes: object) -> list[dict[str, object]]:
    """Warm rows in which the first ``questions`` questions look like this on Green."""
    return probes(spoil=on_green(lambda r: {**r, **changes}, lambda r: number(r) < questions))


def test_ds_question_is_judged_on_the_worst_paraphrase_set() -> None:
    second = on_green(lambda r: {**r, "ds_question": 0.45}, lambda r: r["paraphrase"] == 1)
    verdict = warm(probes(spoil=second))["ds_question"]
    assert (verdict.value, verdict.outcome) == (0.45, Outcome.PASS)  # equality passes
    third = on_green(lambda r: {**r, "ds_question": 0.46}, lambda r: r["paraphrase"] == 2)
    verdict = warm(probes(spoil=third))["ds_question"]
    assert (verdict.value, verdict.outcome) == (0.46, Outcome.FAIL)
    assert verdict.margin == pytest.approx(-0.01)


@pytest.mark.parametrize(("shift", "outcome"), [(0.10, Outcome.PASS), (0.101, Outcome.FAIL), (-0.2, Outcome.PASS)])
def test_ds_p95_drift(shift: float, outcome: Outcome) -> None:
    rows = probes(spoil=on_green(lambda r: {**r, "ds_question": r["ds_question"] + shift}))
    verdict = warm(rows)["ds_p95_drift"]
    assert verdict.value == pytest.approx(shift)  # every figure moved alike, and so did the quantile
    assert verdict.outcome is outcome


@pytest.mark.parametrize(("uncovered", "outcome"), [(12, Outcome.PASS), (13, Outcome.FAIL)])
def test_coverage(uncovered: int, outcome: Outcome) -> None:
    rows = probes(spoil=on_green(lambda r: {**r, "coverage": 0.0}, lambda r: number(r) < uncovered))
    verdict = warm(rows)["coverage"]
    assert verdict.value == pytest.approx((40 - uncovered) / 40)  # 28/40 = 0.70 passes, 27/40 = 0.675 does not
    assert verdict.outcome is outcome


def test_coverage_is_the_mean_over_questions_not_over_probes() -> None:
    rows = probes(questions=40) + [row(0, 0, 0, "green", t, coverage=0.0) for t in range(3, 43)]
    rows += [row(0, 0, 0, "blue", t) for t in range(3, 43)]
    # q0 on Green: 18 probes with 1 and 40 with 0 = 18/58; the other 39 have 1: (18/58 + 39) / 40
    verdict = warm(rows, expected=Expected(runs=6))["coverage"]
    assert verdict.value == pytest.approx((18 / 58 + 39) / 40)


@pytest.mark.parametrize(
    ("questions", "coverage", "effect", "outcome"),
    [
        (0, 1.0, 0.0, Outcome.PASS),
        (4, 0.8, -0.02, Outcome.PASS),  # 4 · -0.2 / 40, equality passes
        (4, 0.5, -0.05, Outcome.INCONCLUSIVE),  # beyond the margin, but 4 questions are too few to be sure
        (30, 0.2, -0.6, Outcome.FAIL),
    ],
)
def test_coverage_vs_blue(questions: int, coverage: float, effect: float, outcome: Outcome) -> None:
    verdict = warm(spoilt(questions, coverage=coverage))["coverage_vs_blue"]
    assert verdict.value == pytest.approx(effect)
    assert verdict.outcome is outcome
    assert f"losses {questions}" in verdict.detail
    if outcome is Outcome.INCONCLUSIVE:
        assert "needs about" in verdict.needs and verdict.interval[0] < -0.02 < verdict.interval[1]


@pytest.mark.parametrize(("flips", "outcome"), [(8, Outcome.PASS), (9, Outcome.FAIL)])
def test_flip_rate(flips: int, outcome: Outcome) -> None:
    # Paraphrase 2 of the first questions cites something else: m = 2/3, split.
    flips_so = on_green(lambda r: {**r, "cited": "elsewhere"}, lambda r: number(r) < flips and r["paraphrase"] == 2)
    rows = probes(spoil=flips_so)
    verdict = warm(rows)["flip_rate"]
    assert verdict.value == pytest.approx(flips / 40)  # 8/40 = 0.20 passes, 9/40 = 0.225 does not
    assert verdict.outcome is outcome
    assert "1 of 2 seeds inert" in verdict.detail


def test_one_chaotic_question_fails_whatever_the_rate() -> None:
    rows = probes(spoil=on_green(lambda r: {**r, "cited": f"s{r['paraphrase']}"}, lambda r: number(r) == 7))
    verdict = warm(rows)["flip_rate"]
    assert verdict.value == pytest.approx(1 / 40)
    assert verdict.outcome is Outcome.FAIL
    assert "1 × (q7)" in verdict.detail


def test_the_warm_gate_wants_two_seeds() -> None:
    verdict = warm(probes(ticks=6, seeds=lambda tick: (0,)))["flip_rate"]
    assert (verdict.outcome, verdict.needs) == (Outcome.INCONCLUSIVE, "needs 2 seeds; 1 so far")


def test_flips_vs_blue_passes_when_both_flip_alike_and_counts_each_question() -> None:
    def flip(r: dict[str, object]) -> dict[str, object]:
        return {**r, "cited": "elsewhere"} if r["paraphrase"] == 2 else r

    alike = warm(probes(spoil=lambda r: flip(r) if number(r) < 5 else r))["flips_vs_blue"]
    assert (alike.value, alike.outcome) == (0.0, Outcome.PASS)
    swapped = warm(probes(spoil=lambda r: flip(r) if number(r) == (3 if r["arm"] == "blue" else 4) else r))[
        "flips_vs_blue"
    ]
    assert (swapped.value, swapped.outcome) == (0.0, Outcome.PASS)
    assert "wins 1, ties 38, losses 1" in swapped.detail
    one_more = warm(probes(spoil=on_green(flip, lambda r: number(r) == 4)))["flips_vs_blue"]
    assert one_more.value == pytest.approx(1 / 40)
    assert one_more.outcome is Outcome.INCONCLUSIVE
    many = warm(probes(spoil=on_green(flip, lambda r: number(r) < 20)))["flips_vs_blue"]
    assert (many.value, many.outcome) == (0.5, Outcome.FAIL)


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.0, Outcome.PASS), (1.15, Outcome.PASS), (1.5, Outcome.FAIL), (0.5, Outcome.PASS)]
)
def test_latency_p95(factor: float, outcome: Outcome) -> None:
    verdict = warm(probes(spoil=on_green(lambda r: {**r, "ms_total": r["ms_total"] * factor})))["latency_p95"]
    assert verdict.value == pytest.approx(factor - 1)
    assert verdict.outcome is outcome


def test_a_noisy_p95_just_beyond_its_bound_is_open_not_failed() -> None:
    # One probe in 20 takes 40 ms on Blue and 48 ms on Green: +20 %, but the p95 hangs on a handful of probes.
    def slow(r: dict[str, object]) -> dict[str, object]:
        tail = {"blue": 40.0, "green": 48.0}[r["arm"]]
        return {**r, "ms_total": tail if (number(r) * 3 + r["paraphrase"]) % 18 == 0 else 10.0 + number(r) / 40}

    verdict = warm(probes(spoil=slow))["latency_p95"]
    assert verdict.value == pytest.approx(0.2)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "requests per arm" in verdict.needs


def test_latency_needs_200_requests() -> None:
    verdict = warm(probes(ticks=1, seeds=lambda tick: (0,)))["latency_p95"]
    assert (verdict.outcome, verdict.needs) == (Outcome.INCONCLUSIVE, "needs 200 requests per arm; 120 so far")


# 0.995^n <= 0.05 from n = 598 on: ln 0.05 / ln 0.995 = 597.6. 40 · 3 · 5 = 600 probes, 40 · 3 · 4 = 480.
@pytest.mark.parametrize(("ticks", "outcome"), [(5, Outcome.PASS), (4, Outcome.INCONCLUSIVE)])
def test_the_error_rate_must_be_proven(ticks: int, outcome: Outcome) -> None:
    verdict = warm(probes(ticks=ticks, seeds=lambda tick: (0,)))["error_rate"]
    assert (verdict.value, verdict.outcome) == (0.0, outcome)
    if outcome is Outcome.INCONCLUSIVE:
        assert verdict.needs == "0.5 % at 95 % needs 598 clean requests; 480 so far"


def test_a_share_of_errors_that_cannot_be_chance_fails() -> None:
    bad = on_green(failed, lambda r: number(r) < 4 and r["paraphrase"] == 0)  # 4 · 6 = 24 of 720 = 3.3 %
    verdict = warm(probes(spoil=bad))["error_rate"]
    assert verdict.outcome is Outcome.FAIL and verdict.value == pytest.approx(24 / 720)
    few = on_green(failed, lambda r: number(r) == 0 and r["paraphrase"] == 0 and r["tick"] == 0 and r["seed"] == 0)
    verdict = warm(probes(spoil=few))["error_rate"]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "needs 947 requests with these 1 failures and no more; 720 so far" in verdict.needs


def test_errors_of_blue_are_not_greens() -> None:
    rows = probes(spoil=lambda r: failed(r) if r["arm"] == "blue" and number(r) < 4 else r)
    assert warm(rows)["error_rate"].outcome is Outcome.PASS


def test_failed_probes_of_blue_might_have_found_all_that_is_relevant() -> None:
    some = {"coverage": 0.9, "ndcg": 0.9, "reciprocal_rank": 0.9}
    rows = probes(spoil=lambda r: failed(r) if r["arm"] == "blue" and r["tick"] == 0 else {**r, **some})
    verdicts = warm(rows)
    for name in ("recall_at_k", "ndcg_at_k", "mrr"):  # Blue had 0.9, and at best 0.93
        assert verdicts[name].value == pytest.approx(0.0)
        assert verdicts[name].outcome is Outcome.INCONCLUSIVE and "probes of Blue failed" in verdicts[name].needs


def test_one_tool_loop_fails() -> None:
    one = on_green(
        lambda r: {**r, "tool_loop": True}, lambda r: (number(r), r["tick"], r["seed"], r["paraphrase"]) == (3, 0, 0, 0)
    )
    assert warm(probes(spoil=one))["tool_loops"].outcome is Outcome.FAIL
    assert hold_end(hold_rows(), [sample(1200, loops=1)])["tool_loops"].outcome is Outcome.FAIL
    on_blue = probes(spoil=lambda r: {**r, "tool_loop": r["arm"] == "blue"})
    assert warm(on_blue)["tool_loops"].outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [
        (120.0, Outcome.PASS),
        (120.1, Outcome.FAIL),
        (None, Outcome.INCONCLUSIVE),
        (math.nan, Outcome.ERROR),
        (math.inf, Outcome.ERROR),
        (-1.0, Outcome.ERROR),
    ],
)
def test_rollback_path(seconds: float | None, outcome: Outcome) -> None:
    assert warm(probes(), rehearsal_ttr_s=seconds)["rollback_path"].outcome is outcome


# ---- live traffic ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signals", "outcome", "words"),
    [
        (None, Outcome.ERROR, "did not answer"),
        ([], Outcome.ERROR, "did not answer"),
        ([sample(1200), None], Outcome.ERROR, "did not answer"),
        ([None, sample(600, end=30), sample(1200, end=60)], Outcome.PASS, ""),  # they grow from the flip on
        ([None, sample(600, start=30), sample(600, start=60, end=90)], Outcome.INCONCLUSIVE, "the first looks"),
        ([sample(0)], Outcome.INCONCLUSIVE, "needs live requests"),
        ([sample(5, 6)], Outcome.ERROR, "contradict"),
        ([sample(600, end=30), sample(600, start=45, end=60)], Outcome.INCONCLUSIVE, "15 s of the hold were not seen"),
        ([sample(600, end=30), sample(600, start=30, end=60)], Outcome.PASS, ""),
        ([sample(600, end=30), sample(1200, end=60)], Outcome.PASS, ""),
    ],
)
@pytest.mark.parametrize("rule", ["error_rate", "http_5xx", "tool_loops"])
def test_signals(signals: object, outcome: Outcome, words: str, rule: str) -> None:
    verdict = hold_end(hold_rows(), signals)[rule]
    assert verdict.outcome is outcome
    assert words in verdict.detail


def test_live_errors_are_not_thinned_out_by_clean_probes_nor_the_other_way_round() -> None:
    live = hold_end(hold_rows(12), [sample(200, 8)])["http_5xx"]  # 4 % of the live requests, 0.5 % of all
    assert live.value == pytest.approx(8 / 1640)
    assert live.outcome is Outcome.FAIL
    bad = on_green(failed, lambda r: number(r) == 0)  # 36 of 1440 probes, 2.5 %
    rows = probes(ticks=12, seeds=lambda tick: (tick % 2,), spoil=bad)
    assert hold_end(rows, [sample(100_000)])["error_rate"].outcome is Outcome.FAIL


def test_probes_without_an_answer_do_not_thin_out_the_5xx() -> None:
    spoil = on_green(lambda r: {**failed(r), "status": 500 if number(r) == 0 else 0}, lambda r: number(r) < 20)
    verdicts = hold_end(probes(ticks=12, seeds=lambda tick: (tick % 2,), spoil=spoil), [sample(1200)])
    assert verdicts["http_5xx"].value == pytest.approx(36 / (1200 + 1440 - 684))  # 36 of q0; 684 of q1 to q19
    assert verdicts["error_rate"].value == pytest.approx(720 / 2640)


def test_a_live_failure_that_is_no_5xx_is_an_error() -> None:
    verdicts = hold_end(hold_rows(), [sample(1200, 0, failures=60)])
    assert verdicts["error_rate"].outcome is Outcome.FAIL
    assert verdicts["http_5xx"].outcome is Outcome.PASS


# ---- worst wins ------------------------------------------------------------------------------------------


def verdict(outcome: Outcome) -> Verdict:
    return Verdict(rule="r", outcome=outcome, value=0.0, bound=0.0)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], Outcome.INCONCLUSIVE),
        ([Outcome.PASS], Outcome.PASS),
        ([Outcome.PASS, Outcome.INCONCLUSIVE], Outcome.INCONCLUSIVE),
        ([Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS], Outcome.ERROR),
        ([Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE], Outcome.FAIL),
    ],
)
def test_worst_wins_and_nothing_is_not_pass(outcomes: list[Outcome], expected: Outcome) -> None:
    assert worst([verdict(outcome) for outcome in outcomes]) is expected


def test_a_reason_names_what_failed_and_what_could_not_be_told_only_if_nothing_failed() -> None:
    told = {"coverage": "PASS", "cache_poison": "INCONCLUSIVE", "http_5xx": "ERROR", "flip_rate": "FAIL"}
    assert decisive(list(told), told.__getitem__) == ["flip_rate"]
    told["flip_rate"] = "PASS"
    assert decisive(list(told), told.__getitem__) == ["http_5xx", "cache_poison"], "the worst first"
    assert decisive(["coverage"], told.__getitem__) == []
    assert decisive(["half"], lambda _: "half-written") == ["half"], "what nobody can read is no pass"

"""Gaps: no evidence, half of it, or failures in it never make a Green pass."""

from __future__ import annotations

import pytest
from judge_cases import (
    RULES,
    by_rule,
    evidence,
    failed,
    hold_end,
    not_passing,
    number,
    probes,
    sample,
    warm,
)

from switchover.judge.evidence import Expected
from switchover.judge.gates import Outcome, judge_acceptance
from switchover.judge.rules import RULE_KINDS

PROBE_RULES = [name for name, kind in RULE_KINDS.items() if kind.from_probes and name != "http_5xx"]

ANSWERS = {"ds_anchor", "cited_right", "cited_retrieved", "no_citation", "answer_match"}
BY_IDS = {"recall_at_k", "ndcg_at_k", "mrr"}
RELATIVE = {"ds_p95_drift", "coverage_vs_blue", "flips_vs_blue", "latency_p95", *ANSWERS, *BY_IDS}


def test_no_evidence_is_an_error_for_every_rule() -> None:
    verdicts = hold_end([], [sample(1200)])
    of_probes = {name for name, kind in RULE_KINDS.items() if kind.from_probes} - BY_IDS  # asked of rows that have ids
    assert {name: verdicts[name].outcome for name in of_probes} == dict.fromkeys(of_probes, Outcome.ERROR)


def test_without_blue_there_is_nothing_to_compare_with() -> None:
    verdicts = warm([r for r in probes() if r["arm"] == "green"])
    assert not_passing(verdicts) == dict.fromkeys(RELATIVE, "ERROR")
    dead = warm(probes(spoil=lambda r: failed(r) if r["arm"] == "blue" else r))
    assert not_passing(dead) == dict.fromkeys(RELATIVE, "ERROR")


@pytest.mark.parametrize("arm", ["blue", "green"])
def test_a_question_that_was_never_answered_forbids_pass(arm: str) -> None:
    verdicts = warm([r for r in probes() if not (r["arm"] == arm and number(r) == 5 and r["paraphrase"] == 1)])
    rules = set(PROBE_RULES) if arm == "green" else RELATIVE
    assert set(not_passing(verdicts)) == rules
    assert "never answered 1 of 120 paraphrases" in verdicts["latency_p95"].detail


def test_a_missing_question_counts_as_nothing_covered() -> None:
    verdicts = warm([r for r in probes() if not (r["arm"] == "green" and number(r) < 13)])
    assert verdicts["coverage"].value == pytest.approx(27 / 40)
    assert verdicts["coverage"].outcome is Outcome.FAIL


def test_a_run_that_was_cut_short_cannot_pass_by_it() -> None:
    # 2 · 3 · 2 = 12 of 720 probes are missing; if they all had failed, the rate would be 1.7 %.
    verdict = warm([r for r in probes() if not (r["tick"] == 2 and r["arm"] == "green" and number(r) < 2)])[
        "error_rate"
    ]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    verdicts = warm(probes(ticks=1), expected=Expected(runs=6))
    assert verdicts["coverage"].outcome is Outcome.INCONCLUSIVE  # 2 of 6 runs: the rest might cover nothing
    assert "480 probes of Green are missing" in verdicts["coverage"].needs


def test_failures_of_blue_cannot_make_green_pass() -> None:
    def worse(r: dict[str, object]) -> dict[str, object]:
        if r["arm"] == "green":
            return {**r, "coverage": 0.9}
        return failed(r) if number(r) < 8 and r["tick"] else r

    verdict = warm(probes(spoil=worse))["coverage_vs_blue"]
    assert verdict.value == pytest.approx(-0.1)  # Blue's failed probes are left out, not counted as 0
    assert verdict.outcome is not Outcome.PASS
    even = warm(probes(spoil=lambda r: {**r, "coverage": 0.8} if r["arm"] == "green" or not r["tick"] else failed(r)))
    assert even["coverage_vs_blue"].value == pytest.approx(0.0)
    assert even["coverage_vs_blue"].outcome is Outcome.INCONCLUSIVE
    assert "480 probes of Blue failed" in even["coverage_vs_blue"].needs


@pytest.mark.parametrize(("failures", "outcome"), [(1, Outcome.PASS), (2, Outcome.PASS), (3, Outcome.INCONCLUSIVE)])
def test_failed_probes_of_blue_hide_that_it_flips_only_if_they_could(failures: int, outcome: Outcome) -> None:
    # q0 flips on both arms: of 18 probes 12 cite one section, 6 another. If f of the 6 failed on Blue, and would
    # have cited the one, m = (12 + f) / 18: 0.72 with 1, 0.78 with 2, 0.83 with 3.
    def spoil(r: dict[str, object]) -> dict[str, object]:
        return {**r, "cited": "elsewhere"} if number(r) == 0 and r["paraphrase"] == 2 else r

    rows = probes(spoil=spoil)
    mine = [i for i, r in enumerate(rows) if r["arm"] == "blue" and number(r) == 0 and r["paraphrase"] == 2]
    for i in mine[:failures]:
        rows[i] = failed(rows[i])
    assert warm(rows)["flips_vs_blue"].outcome is outcome


@pytest.mark.parametrize("questions", [1, 19, 20])
def test_few_questions_are_too_few(questions: int) -> None:
    rows = probes(ticks=40 * 6 // questions // 2, questions=questions)
    found = by_rule(judge_acceptance(evidence(rows, questions), rules=RULES, rehearsal_ttr_s=1.0, traffic=False))
    open_rules = {name for name, v in found.items() if v.outcome is Outcome.INCONCLUSIVE}
    counted_in_questions = {"ds_question", "coverage", "flip_rate", *RELATIVE} - {"latency_p95"}
    assert open_rules == (counted_in_questions if questions < 20 else set())
    if questions == 19:
        assert found["coverage"].needs == "needs 20 answerable questions; 19 so far"


def test_ties_everywhere_are_no_difference() -> None:
    flat = warm(probes(spoil=lambda r: {**r, "ds_question": 0.3, "ms_total": 10.0, "coverage": 0.8}))
    assert not_passing(flat) == {}


def test_unanswerable_questions_are_left_out_and_counted() -> None:
    rows = probes(spoil=lambda r: {**r, "coverage": None, "cited": None} if number(r) < 5 else r)
    verdicts = warm(rows)
    assert not_passing(verdicts) == {}
    assert verdicts["coverage"].n == 35
    assert "5 unanswerable left out" in verdicts["coverage"].detail

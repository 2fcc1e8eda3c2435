"""Rules that a service cannot feed: off by the plan's word and listed, or open; never passed, never failed by a gap."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from tests.inner.judge_cases import probes, typed

from switchover.judge.evidence import Evidence
from switchover.judge.gates import Outcome, Verdict, decisive, judge_acceptance, judge_stop, worst
from switchover.judge.outcome import ORDER
from switchover.judge.rules import RULE_KINDS, Rules
from switchover.ledger import Ledger
from switchover.report.headline import _rules as headline_rules

QUESTIONS = [f"q{number}" for number in range(24)]


def judged(rules: Rules, lacks: str | None = None, **fields: Any) -> dict[str, Verdict]:
    rows = probes(ticks=3, questions=len(QUESTIONS), spoil=lambda row: {**row, "lacks": lacks, **fields})
    evidence = Evidence.from_rows(typed(rows), QUESTIONS)
    found = judge_acceptance(evidence, rules=rules, rehearsal_ttr_s=1.0, traffic=False)
    return {verdict.rule: verdict for verdict in found}


def test_a_rule_that_is_off_is_listed_with_its_reason_and_decides_nothing() -> None:
    reason = "the service calls no tools"
    plain, off = judged(Rules()), judged(Rules(off={"tool_loops": reason}))
    assert list(plain) and set(off) == set(plain)
    assert (off["tool_loops"].outcome, off["tool_loops"].value) == (Outcome.OFF, None)
    assert off["tool_loops"].detail == f"off by the plan's word: {reason}"
    assert off["tool_loops"].to_json()["needs"] == reason
    everything = list(off.values())
    assert worst(everything) is worst([verdict for verdict in everything if verdict.outcome is not Outcome.OFF])
    assert "tool_loops" not in [each.rule for each in decisive(everything, lambda verdict: verdict.outcome.value)]


def test_a_rule_that_is_off_cannot_stop_a_hold() -> None:
    rows = probes(ticks=3, questions=len(QUESTIONS), spoil=lambda row: {**row, "tool_loop": True})
    evidence = Evidence.from_rows(typed(rows), QUESTIONS)
    stopping = {v.rule: v.outcome for v in judge_stop(evidence, rules=Rules(), signals=None)}
    assert stopping["tool_loops"] is Outcome.FAIL
    off = Rules(off={"tool_loops": "counted elsewhere"})
    found = {v.rule: v.outcome for v in judge_stop(evidence, rules=off, signals=None)}
    assert found["tool_loops"] is Outcome.OFF


def test_nothing_but_rules_that_are_off_is_no_pass() -> None:
    off = Verdict(rule="x", outcome=Outcome.OFF, value=None, bound=None, needs="no")
    assert worst([off]) is Outcome.INCONCLUSIVE
    assert Outcome.OFF not in ORDER


@pytest.mark.parametrize(
    ("off", "told"),
    [
        ({"rollback_path": "no"}, "'rollback_path' cannot be turned off"),
        ({"tool_lops": "no"}, "'tool_lops' cannot be turned off; allowed: "),
        ({"tool_loops": ""}, "at least 1 character"),
    ],
)
def test_what_cannot_be_turned_off_and_a_reason_that_is_none_are_refused(off: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Rules(off=off)


@pytest.mark.parametrize(
    ("lacks", "fields", "rules"),
    [
        ("tool_loop", {"tool_loop": False}, ["tool_loops"]),
        ("ds", {"ds_question": 1.0}, ["ds_question"]),
        ("coverage", {"coverage": 0.0}, ["coverage", "coverage_vs_blue"]),
    ],
)
def test_what_answers_do_not_say_makes_its_rules_inconclusive_never_good_or_bad(
    lacks: str, fields: dict[str, Any], rules: list[str]
) -> None:
    found = judged(Rules(), lacks, **fields)
    for rule in rules:
        assert found[rule].outcome is Outcome.INCONCLUSIVE, found[rule]
        assert "`asking.answer`" in found[rule].needs and "`rules.off`" in found[rule].needs
        assert found[rule].value is None
    fed = [rule for rule in RULE_KINDS if rule in found and RULE_KINDS[rule].fed_by != lacks]
    assert len(fed) > 3 and all("`asking.answer`" not in found[rule].needs for rule in fed)
    off = judged(Rules(off=dict.fromkeys(rules, "not said")), lacks, **fields)
    assert {off[rule].outcome for rule in rules} == {Outcome.OFF}


def test_what_answers_do_not_say_is_kept_by_the_ledger_and_read_back_the_quick_way(ledger: Ledger) -> None:
    rows = probes(
        ticks=1, questions=3, spoil=lambda row: {**row, "lacks": "ds tool_loop" if row["seed"] else "coverage"}
    )
    failed = probes(ticks=1, questions=3, spoil=lambda row: {**row, "lacks": "cited", "error": "no", "tick": 7})
    ledger.evidence.add("docs:1", typed([*rows, *failed]))
    plain = Evidence.from_rows(ledger.evidence.rows("docs:1", phase=rows[0]["phase"]), ["q0", "q1", "q2"])
    quick = ledger.evidence.load("docs:1", phase=rows[0]["phase"], questions=["q0", "q1", "q2"]).evidence
    assert plain.unfed == quick.unfed == {"ds", "tool_loop", "coverage"}, "what a failed probe lacks says nothing"


def test_the_headline_counts_what_is_off_apart() -> None:
    gate = [{"gate": "stop", "rule": "a", "outcome": "PASS"}, {"gate": "stop", "rule": "b", "outcome": "OFF"}]
    assert headline_rules(gate).startswith("all 1 stop rules pass (1 off by the plan's word")

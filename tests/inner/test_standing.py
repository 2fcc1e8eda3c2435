"""Each look of the hold: would Green be accepted now, and can it still be accepted at all?"""

from __future__ import annotations

import pytest
from tests.inner.judge_cases import RULES, Row, by_rule, evidence, hold_rows, on_green, probes, sample

from switchover.judge.analysis import Analysis
from switchover.judge.gates import Outcome, Verdict, judge_acceptance, judge_stop
from switchover.judge.standing import beyond_hope, standing

LIVE = [sample(300, start=15 * tick, end=15 * tick + 15) for tick in range(12)]
BETWEEN = on_green(lambda r: {**r, "coverage": 0.65, "ms_total": 1.6 * r["ms_total"]})


def acceptance(rows: list[Row]) -> tuple[list[Verdict], Analysis]:
    analysis = Analysis(evidence(rows))
    return judge_acceptance(analysis, rules=RULES, signals=LIVE, rehearsal_ttr_s=1.0, traffic=True), analysis


def test_between_both_bounds_each_look_says_that_green_would_not_be_accepted_and_why() -> None:
    rows = [BETWEEN(r) for r in hold_rows()]
    stops = judge_stop(evidence(rows), rules=RULES, signals=LIVE)
    assert {verdict.outcome for verdict in stops} == {Outcome.PASS}, "no stop rule sees it"
    line = standing([verdict.to_json() for verdict in acceptance(rows)[0]])
    assert line.startswith("would be accepted now: no, because coverage FAIL (0.65, not >= 0.7")
    assert "latency_p95 FAIL (0.6, not <= 0.4587" in line  # 5 ms are more than 15 % there


def test_a_good_green_would_be_accepted_and_one_of_which_too_little_is_known_not_yet() -> None:
    good, _ = acceptance(hold_rows())
    assert standing([verdict.to_json() for verdict in good]) == "would be accepted now: yes"
    early, _ = acceptance(probes(ticks=1, questions=8, seeds=lambda tick: (0,)))
    line = standing([verdict.to_json() for verdict in early])
    assert line.startswith("would be accepted now: no, because ") and "not shown yet: " in line
    assert standing([]) == ""


@pytest.mark.parametrize(
    ("spoil", "made", "left", "lost"),
    [
        ({"coverage": 0.2}, 12, 4, ["coverage", "coverage_vs_blue"]),  # (0.2 · 12 + 4) ÷ 16 = 0.4
        ({"coverage": 0.2}, 12, 36, ["coverage_vs_blue"]),  # 0.8: not below the absolute bar, but below Blue
        ({"coverage": 0.2}, 1, 0, ["coverage", "coverage_vs_blue"]),
        ({"cited_right": 0.0}, 12, 12, ["cited_right"]),
        ({"uncited": 1.0}, 12, 12, ["no_citation"]),
        ({"ms_total": 900.0}, 12, 0, []),  # a quantile is no mean: the end decides
        ({}, 12, 0, []),
    ],
)
def test_what_cannot_be_accepted_any_more_is_known_before_the_end(
    spoil: Row, made: int, left: float, lost: list[str]
) -> None:
    verdicts, analysis = acceptance([on_green(lambda r: {**r, **spoil})(r) for r in hold_rows()])
    found = beyond_hope(verdicts, rules=RULES, plain=analysis.plain, made=made, left=left)
    assert [each.split()[0] for each in found] == lost


def test_a_few_bad_looks_leave_hope_where_blue_leaves_room() -> None:
    """Blue covers 0.8: a Green that is perfect from now on makes up for what it lost."""
    rows = [{**r, "coverage": 0.8 if r["arm"] == "blue" else 0.4} for r in hold_rows()]
    verdicts, analysis = acceptance(rows)
    assert by_rule(verdicts)["coverage_vs_blue"].outcome is Outcome.FAIL
    assert beyond_hope(verdicts, rules=RULES, plain=analysis.plain, made=4, left=20) == []
    told = beyond_hope(verdicts, rules=RULES, plain=analysis.plain, made=20, left=4)
    assert told[-1] == "coverage_vs_blue is -0.4 and will be -0.3 at best, not >= -0.02"

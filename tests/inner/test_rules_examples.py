"""The worked example of each rule's page, worked by the code: the page must state what the code finds."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judge_cases import Row, by_rule, evidence, number, on_green, probes, sample
from scipy.stats import binom

from switchover.arms.probe import is_tool_loop
from switchover.judge import measure, ranking
from switchover.judge.canaries import Canary
from switchover.judge.gates import Outcome, Verdict, judge_acceptance, judge_stop
from switchover.judge.holdings import Holdings
from switchover.judge.outcome import figure
from switchover.judge.rules import RULE_KINDS, Rules
from switchover.judge.rules.cache_poison import CachePoisonRule
from switchover.judge.rules.http_5xx import BURST, PROVABLE

PAGES = Path(__file__).parents[2] / "docs" / "rules"
# The examples have few questions, so that they can be done by hand.
FEW = {name: {"minimum": 1} for name in ("ds_question", "ds_p95_drift", "coverage", "coverage_vs_blue", "flip_rate")}
KEYS = re.compile(r"^\| `(\w+)` \| `?([^|`]+)`? \|", re.MULTILINE)


def example(rule: str) -> str:
    text = (PAGES / f"{rule}.md").read_text(encoding="utf-8")
    return text.split("## Worked example")[1].split("\n## ")[0]


def states(rule: str, *words: str) -> None:
    """The page's example has these words, and the numbers in them are those that were found."""
    text = example(rule)
    assert [word for word in words if word not in text] == []


def judged(rows: list[Row], questions: int, rules: dict[str, object] | None = None) -> dict[str, Verdict]:
    given = Rules.model_validate({**FEW, **(rules or {})})
    return by_rule(judge_acceptance(evidence(rows, questions), rules=given, rehearsal_ttr_s=0.4, traffic=False))


def test_ds_question() -> None:
    sets = ((0.30, 0.42, 0.50), (0.31, 0.38, 0.44), (0.40, 0.47, 0.60))  # the page names the first and the medians
    spoil = on_green(lambda r: {**r, "ds_question": sets[r["paraphrase"]][number(r)]})
    rows = probes(ticks=1, questions=3, spoil=spoil)
    verdict = judged(rows, 3)["ds_question"]
    assert (verdict.value, verdict.outcome) == (0.47, Outcome.FAIL)
    states("ds_question", "0.30, 0.42 and 0.50", "median 0.42", "0.38 and 0.47", "= 0.47: not ≤ 0.45, FAIL")


def test_ds_p95_drift() -> None:
    arms = {"blue": (0.30, 0.40, 0.50), "green": (0.30, 0.45, 0.60)}
    blue, green = (float(measure.quantile(arms[arm], 0.95)) for arm in ("blue", "green"))
    drift = green - blue
    assert (blue, green, drift) == pytest.approx((0.49, 0.585, 0.095))
    states("ds_p95_drift", "0.30, 0.40, 0.50", f"= {figure(blue)}.", "0.30, 0.45, 0.60", f"= {figure(green)}.")
    states("ds_p95_drift", f"Drift {figure(drift)} ≤ 0.10: PASS")


def test_coverage() -> None:
    tokens = [(0, 0, start, start + 1) for start in range(1, 11)]  # ten tokens of one character: 1 to 10
    hits = [(0, 0, 1, 7), (0, 0, 4, 9)]  # tokens 1 to 6 and 4 to 8
    found = measure.coverage(*np.array(tokens).T, *np.array(hits).T, [0], 1)
    assert list(found) == [0.8]
    shares = (0.8, 1.0, 0.3)
    verdict = judged(probes(ticks=1, questions=3, spoil=lambda r: {**r, "coverage": shares[number(r)]}), 3)["coverage"]
    assert verdict.value == pytest.approx(0.70)
    assert verdict.outcome is Outcome.PASS
    states("coverage", "covers 8, coverage 0.8", "(0.8 + 1.0 + 0.3) ÷ 3 = 0.70: equality passes")


def test_coverage_vs_blue() -> None:
    changes = (-0.10, 0.0, 0.0, 0.06)
    rows = probes(ticks=1, questions=4, spoil=lambda r: {**r, "coverage": 0.8})
    rows = [{**r, "coverage": 0.8 + changes[number(r)]} if r["arm"] == "green" else r for r in rows]
    verdict = judged(rows, 4)["coverage_vs_blue"]
    assert verdict.value == pytest.approx(-0.01)
    assert verdict.outcome is Outcome.PASS
    states("coverage_vs_blue", "−0.10, 0, 0, +0.06: effect −0.01", "−0.01 ≥ −0.02: PASS")


def of_answers(rule: str, questions: int, green: dict[str, float], spoiled: int | None = None) -> Verdict:
    """The rule's verdict when Green's first ``spoiled`` questions (all, when it is not said) have these figures."""
    among = questions if spoiled is None else spoiled
    rows = probes(ticks=1, questions=questions, spoil=on_green(lambda r: {**r, **green}, lambda r: number(r) < among))
    return judged(rows, questions, {rule: {"minimum": 1}})[rule]


def test_ds_anchor() -> None:
    changes = (0.10, 0.0, 0.0, -0.06)
    rows = probes(ticks=1, questions=4, spoil=on_green(lambda r: {**r, "ds_anchor": 0.2 + changes[number(r)]}))
    verdict = judged(rows, 4, {"ds_anchor": {"minimum": 1}})["ds_anchor"]
    assert verdict.value == pytest.approx(0.01)
    assert verdict.outcome is Outcome.PASS
    assert "median 0.2, Blue 0.2; p95 0.3, Blue 0.2" in verdict.detail
    states("ds_anchor", "0.10, 0, 0 and −0.06: effect 0.01", "0.01 ≤ 0.02: PASS")


def test_cited_right() -> None:
    one, all_wrong = (of_answers("cited_right", n, {"cited_right": 0.0}, k) for n, k in ((4, 1), (24, None)))
    assert (one.value, one.outcome) == (-0.25, Outcome.INCONCLUSIVE)
    assert (all_wrong.value, all_wrong.outcome) == (-1.0, Outcome.FAIL)
    states("cited_right", "effect −0.25, not ≥ −0.02", "four questions this is INCONCLUSIVE", "the effect is −1: FAIL")


def test_cited_retrieved() -> None:
    two, made_up = (of_answers("cited_retrieved", n, {"cited_retrieved": 0.0}, k) for n, k in ((4, 2), (24, None)))
    assert (two.value, two.outcome) == (-0.5, Outcome.INCONCLUSIVE)
    assert (made_up.value, made_up.outcome) == (-1.0, Outcome.FAIL)
    states("cited_retrieved", "two of them", "effect −0.5. With four questions INCONCLUSIVE", "made up −1: FAIL")


def test_no_citation() -> None:
    one, none = (of_answers("no_citation", n, {"uncited": 1.0}, k) for n, k in ((4, 1), (24, None)))
    assert (one.value, one.outcome) == (0.25, Outcome.INCONCLUSIVE)
    assert (none.value, none.outcome) == (1.0, Outcome.FAIL)
    states("no_citation", "effect 0.25, not ≤ 0.02. With four questions INCONCLUSIVE", "no citation at all 1: FAIL")


def test_answer_match() -> None:
    less = of_answers("answer_match", 4, {"answer_f1": 0.6, "answer_ds": 0.3})
    assert less.value == pytest.approx(-0.15)
    assert less.outcome is Outcome.INCONCLUSIVE
    nothing = of_answers("answer_match", 24, {"answer_f1": 0.0, "answer_ds": 1.0})
    assert nothing.value == pytest.approx(-0.8)
    assert nothing.outcome is Outcome.FAIL
    assert "token F1 0, Blue 0.8; ΔS 1, Blue 0.2" in nothing.detail
    states("answer_match", "match 0.65: effect −0.15. With four questions INCONCLUSIVE", "the effect is −0.8: FAIL")


def ranked(column: str, green: tuple[float, ...], blue: tuple[float, ...]) -> Verdict:
    shares = {"green": green, "blue": blue}
    rows = probes(ticks=1, questions=4, spoil=lambda r: {**r, column: shares[r["arm"]][number(r)]})
    rule = {"coverage": "recall_at_k", "ndcg": "ndcg_at_k", "reciprocal_rank": "mrr"}[column]
    return judged(rows, 4, {rule: {"minimum": 1}})[rule]


def test_recall_at_k() -> None:
    green = ranking.recall(["a", "x"], {"a": 1, "b": 1}), 1.0, 1.0, 1.0
    verdict = ranked("coverage", green, (1.0,) * 4)
    assert (verdict.value, verdict.outcome) == (-0.125, Outcome.INCONCLUSIVE)
    states("recall_at_k", "recall 0.5, 1, 1, 1. Effect −0.125, not ≥ −0.02", "INCONCLUSIVE")


def test_ndcg_at_k() -> None:
    relevant = {"a": 2, "b": 1}
    blue, green = (ranking.ndcg(found, relevant, k=5) for found in (["a", "b"], ["b", "x", "a"]))
    assert (blue, round(green, 2)) == (1.0, 0.76)
    verdict = ranked("ndcg", (green, 1.0, 1.0, 1.0), (1.0,) * 4)
    assert verdict.value == pytest.approx(-0.06, abs=0.001) and verdict.outcome is Outcome.INCONCLUSIVE
    states("ndcg_at_k", "nDCG 1.", "= 0.76", "the effect is −0.06: INCONCLUSIVE")


def test_mrr() -> None:
    second = ranking.reciprocal_rank(["x", "a"], {"a": 1})
    verdict = ranked("reciprocal_rank", (second, 1.0, 1.0, 1.0), (1.0,) * 4)
    assert (second, verdict.value, verdict.outcome) == (0.5, -0.125, Outcome.INCONCLUSIVE)
    states("mrr", "second for one of them: 0.5. Effect −0.125, not ≥ −0.02: INCONCLUSIVE")


def test_flip_rate() -> None:
    def cites(*sections: str) -> list[Row]:
        odd = on_green(lambda r: {**r, "cited": sections[r["paraphrase"]]}, lambda r: number(r) == 0)
        return probes(ticks=1, questions=5, spoil=odd)

    split = judged(cites("with", "with", "try"), 5)["flip_rate"]
    assert (split.value, split.outcome) == (0.2, Outcome.PASS)
    chaotic = judged(cites("with", "try", "for"), 5)["flip_rate"]
    assert chaotic.outcome is Outcome.FAIL
    states("flip_rate", "m = 2 ÷ 3 = 0.67, split", "1 ÷ 5 = 0.20: equality passes", "×, FAIL")


def test_flips_vs_blue() -> None:
    def flips(r: Row) -> Row:
        mine = range(3) if r["arm"] == "green" else range(3, 5)
        return {**r, "cited": "elsewhere"} if number(r) in mine and r["paraphrase"] == 2 else r

    rows = probes(ticks=1, spoil=flips)
    plain, wide = judged(rows, 40)["flips_vs_blue"], judged(rows, 40, {"flips_vs_blue": {"margin": 0.05}})
    assert plain.value == pytest.approx(0.025)
    assert plain.outcome is Outcome.INCONCLUSIVE
    assert wide["flips_vs_blue"].outcome is Outcome.PASS
    states(
        "flips_vs_blue", "3 flip on Green only and 2 on Blue only", "1 ÷ 40 = 0.025", "INCONCLUSIVE", "0.05 it passes"
    )


def test_latency_p95() -> None:
    rows = probes(ticks=2, spoil=lambda r: {**r, "ms_total": 45.0 if r["arm"] == "green" else 40.0})
    verdict = judged(rows, 40)["latency_p95"]
    assert (verdict.value, verdict.outcome) == (0.125, Outcome.PASS)
    states("latency_p95", "Blue 40 ms, of Green 45 ms", "= 0.125 ≤ 0.15: PASS")


def test_error_rate() -> None:
    assert math.ceil(math.log(0.05) / math.log(0.995)) == 598
    assert figure(math.log(0.05) / math.log(0.995)) == "597.6"
    few = evidence(probes(ticks=1, questions=4, seeds=lambda tick: (0,)), 4)  # 12 probes, and 200 live requests
    given = {"rules": Rules(), "signals": [sample(200)], "rehearsal_ttr_s": 1.0}
    verdict = by_rule(judge_acceptance(few, traffic=True, **given))["error_rate"]
    assert (verdict.outcome, verdict.n) == (Outcome.INCONCLUSIVE, 212)
    assert verdict.needs == "0.5 % at 95 % needs 598 clean requests; 212 so far"
    states("error_rate", "ln 0.05 ÷ ln 0.995 = 597.6, so 598", verdict.needs)


def test_http_5xx() -> None:
    def hold(errors: int) -> Verdict:
        late = (sample(300, bad, start=15 * t, end=15 * t + 15) for t, bad in ((37, 6), (38, 6), (39, errors)))
        live = [*(sample(300, 0, start=15 * t, end=15 * t + 15) for t in range(37)), *late]
        rows = probes(ticks=40, seeds=lambda tick: (tick % 2,))
        return by_rule(judge_stop(evidence(rows), rules=Rules(), signals=live))["http_5xx"]

    stopped, going_on = hold(7), hold(6)
    assert (stopped.outcome, going_on.outcome) == (Outcome.FAIL, Outcome.INCONCLUSIVE)
    assert (stopped.n, figure(stopped.value), figure(going_on.value)) == (1260, "0.01508", "0.01429")
    once = 1 / binom.sf(18, 1260, PROVABLE * Rules().http_5xx.accept), 1 / binom.sf(17, 1260, 0.0045)
    assert [round(looks, -int(math.log10(looks)) + 1) for looks in once] == [130_000, 38_000]
    statistics = Rules().statistics
    needed = statistics.horizon * statistics.window / (BURST * Rules().http_5xx.false_stops(statistics))
    assert round(needed, -3) == 70_000
    states("http_5xx", "1,260", "19 of them are 1.51 %", "130,000", "70,000", "18 (1.43 %)", "38,000", "INCONCLUSIVE")


def test_tool_loops() -> None:
    calls = [{"tool": "search", "arguments_digest": digest} for digest in "abaa"]
    assert is_tool_loop(calls, max_depth=4) and not is_tool_loop(calls[:3], max_depth=4)
    states("tool_loops", "(search, a), (search, b), (search, a), (search, a)", "came three times: one loop, FAIL")


def test_rollback_path() -> None:
    verdict = judged(probes(ticks=1), 40)["rollback_path"]
    assert (verdict.value, verdict.outcome) == (0.4, Outcome.PASS)
    states("rollback_path", "0.4 ≤ 120: PASS")


def held(rule: str, **found: Any) -> Verdict:
    """What a rule of the indexes' content says."""
    given = Holdings(**{"green": 1200, "blue": 1270, **found})
    seen = evidence(probes(ticks=1))
    return by_rule(judge_acceptance(seen, rules=Rules(), rehearsal_ttr_s=1, traffic=False, holdings=given))[rule]


def test_count_ratio() -> None:
    verdict = held("count_ratio")
    assert (figure(verdict.value), verdict.outcome) == ("0.9449", Outcome.PASS)
    assert held("count_ratio", green=640).outcome is Outcome.FAIL
    states("count_ratio", "1,200 rows", "1,270", "= 0.9449 ≥ 0.9: PASS", "640", "0.5039", "FAIL")
    assert figure(held("count_ratio", green=640).value) == "0.5039"
    assert held("count_ratio", green=0).outcome is Outcome.FAIL
    assert held("count_ratio", blue=0).outcome is Outcome.ERROR
    assert held("count_ratio", error="docs_db: did not answer").outcome is Outcome.ERROR
    assert [held("count_ratio", **{why: True}).outcome for why in ("one", "recut")] == [Outcome.OFF] * 2


def test_gold_present() -> None:
    blue = {f"doc{n}" for n in range(36)}
    found = {"asked": 40, "in_blue": blue, "in_green": blue - {"doc7", "doc30"}}
    verdict = held("gold_present", **found)
    assert (figure(verdict.value), verdict.n, verdict.outcome) == ("0.9444", 36, Outcome.FAIL)
    assert "not in Green: doc30, doc7" in verdict.note
    states("gold_present", "40 documents", "36 of them", "all but doc7 and doc30", "34 ÷ 36 = 0.9444", "FAIL")
    assert held("gold_present", asked=40, in_blue=blue, in_green=blue | {"doc39"}).outcome is Outcome.PASS
    assert held("gold_present", asked=40).outcome is Outcome.INCONCLUSIVE, "what could not fail is no pass"
    assert held("gold_present", asked=40, untold="the plan does not say").outcome is Outcome.OFF
    assert held("gold_present", error="docs_db: did not answer").outcome is Outcome.ERROR


def test_cache_poison() -> None:
    of_blue = Canary(seeded="blue", asked="green", cached=True, served=True)
    of_green = Canary(seeded="green", asked="blue", cached=True, served=False)
    verdict = CachePoisonRule().verdict("stop", [of_blue, of_green])
    assert (verdict.value, verdict.outcome) == (1.0, Outcome.FAIL)
    states("cache_poison", "asked of Blue twice: `miss`, `hit`", "Asked of Green: `hit`", "FAIL")


def test_live_traffic() -> None:
    def after(silent: int) -> Verdict:
        live = [sample(300 if t < 16 else 0, start=15 * t, end=15 * t + 15) for t in range(16 + silent)]
        return by_rule(judge_stop(evidence(probes(ticks=1)), rules=Rules(), signals=live))["live_traffic"]

    assert (after(3).outcome, after(9).outcome) == (Outcome.INCONCLUSIVE, Outcome.FAIL)
    assert "none in the last 45 s, 4,800 before" in after(3).needs
    states(
        "live_traffic", "20 requests a second for 4 minutes", "After 45 s: INCONCLUSIVE", "After 135 s 2,700", "FAIL"
    )


def test_every_rule_has_an_example_here() -> None:
    assert [rule for rule in RULE_KINDS if f"test_{rule}" not in globals()] == []


@pytest.mark.parametrize("rule", RULE_KINDS)
def test_every_key_of_a_rule_stands_in_its_page_with_its_default(rule: str) -> None:
    text = (PAGES / f"{rule}.md").read_text(encoding="utf-8")
    given = {key: value.strip() for key, value in KEYS.findall(text)}
    model = getattr(Rules(), rule)
    due = {key: getattr(model, key) for key in type(model).model_fields}
    assert given == {key: "null" if d is None else f"{d:g}" if not isinstance(d, str) else d for key, d in due.items()}

"""What every bar says of Blue against itself, how noisy each figure is, and the bars that follow. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from switchover.judge import measure
from switchover.judge.analysis import Analysis
from switchover.judge.outcome import Outcome, Verdict, figure
from switchover.judge.rules import Rules

LEAST = 0.02  # the margin that a bar gets below Blue, where the noise is less
FED = ("needs ", "rules.off")  # what an unmeasured rule says whose figure answers do not give


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one rule says of Blue against itself. ``noise``: how far Blue's own figure moves; ``None``: not known.

    ``proposed``: keys of the rule that should be set, or ``off`` with the reason; empty: the rule fits as it is.
    """

    rule: str
    outcome: str
    value: float | None
    bound: float | None
    noise: float | None
    proposed: Mapping[str, Any]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {**vars(self), "proposed": dict(self.proposed)}


def calibrate(verdicts: Sequence[Verdict], evidence: Analysis, rules: Rules) -> list[Said]:
    """What each rule says and should be set to, from verdicts and evidence of which both arms are Blue."""
    return [_said(verdict, evidence, rules) for verdict in verdicts]


def proposal(said: Sequence[Said]) -> dict[str, Any]:
    """The ``rules:`` block of a plan."""
    block: dict[str, Any] = {each.rule: dict(each.proposed) for each in said if each.proposed and each.rule != "off"}
    off = {rule: body["off"] for rule, body in block.items() if "off" in body}
    block = {rule: body for rule, body in block.items() if rule not in off}
    return {**block, **({"off": off} if off else {})}


def _said(verdict: Verdict, evidence: Analysis, rules: Rules) -> Said:
    noise = _noise(verdict.rule, evidence)
    proposed: Mapping[str, Any] = {}
    reason = "fits" if verdict.outcome is Outcome.PASS else verdict.needs or verdict.note
    if verdict.outcome is Outcome.OFF:
        reason = f"off: {verdict.needs}"
    elif verdict.value is None or math.isnan(verdict.value):
        if FED[1] in verdict.needs:
            proposed, reason = {"off": "answers do not give what it needs"}, verdict.needs
    elif verdict.rule in BARS:
        proposed, told = BARS[verdict.rule](verdict.value, max(LEAST, noise or 0.0), evidence, rules)
        reason = told or reason
    elif verdict.outcome is not Outcome.PASS and verdict.interval is not None and _compares(rules, verdict):
        key = "margin" if hasattr(getattr(rules, verdict.rule), "margin") else "accept"
        if verdict.n >= getattr(getattr(rules, verdict.rule), "minimum", 0):
            wide = _up(max(abs(end) for end in (verdict.value, *verdict.interval) if math.isfinite(end)))
            proposed, reason = (
                {key: min(wide, 0.99)},
                "Blue against itself differs so much; more questions make it less",
            )
    return Said(
        rule=verdict.rule,
        outcome=verdict.outcome.value,
        value=verdict.value,
        bound=verdict.bound,
        noise=noise,
        proposed=proposed,
        reason=reason,
    )


def _compares(rules: Rules, verdict: Verdict) -> bool:
    """Whether a rule compares with Blue; another bar, such as of errors, is none that noise may move."""
    return bool(getattr(rules, verdict.rule).compares_with_blue)


COLUMNS = {
    "coverage": "coverage",
    "coverage_vs_blue": "coverage",
    "recall_at_k": "coverage",
    "ds_question": "ds_question",
    "ndcg_at_k": "ndcg",
    "mrr": "reciprocal_rank",
}


def _noise(rule: str, evidence: Analysis) -> float | None:
    """Twice the standard error of the mean difference, Blue against Blue by question."""
    if rule not in COLUMNS:
        return None
    plain = evidence.plain
    moved = plain.green.means(COLUMNS[rule]) - plain.blue.means(COLUMNS[rule])
    moved = moved[~np.isnan(moved)]
    return float(2 * moved.std() / math.sqrt(len(moved))) if len(moved) else None


Bar = Callable[[float, float, Analysis, Rules], tuple[Mapping[str, Any], str]]


def _coverage(value: float, room: float, evidence: Analysis, rules: Rules) -> tuple[Mapping[str, Any], str]:
    rule = rules.coverage
    if value >= rule.accept + room - LEAST:
        return {}, ""
    accept = max(0.0, _down(value - room))
    gap = rule.accept - (rule.accept if rule.stop is None else rule.stop)
    stop = None if rule.stop is None else max(0.0, round(accept - gap, 2))
    return {"accept": accept, "stop": stop}, f"Blue itself has {figure(value)}: {figure(rule.accept)} says nothing here"


def _ds_question(value: float, room: float, evidence: Analysis, rules: Rules) -> tuple[Mapping[str, Any], str]:
    bound = rules.ds_question.accept
    if bound is None or value <= bound - room + LEAST:  # without a word of the plan the bound is the judge encoder's
        return {}, ""
    return {"accept": min(1.0, _up(value + room))}, f"Blue itself has {figure(value)}: {figure(bound)} does not fit"


def _flip_rate(value: float, room: float, evidence: Analysis, rules: Rules) -> tuple[Mapping[str, Any], str]:
    rule = rules.flip_rate
    chaotic = int(np.count_nonzero(evidence.plain.blue.states == measure.CHAOTIC))
    proposed: dict[str, Any] = {}
    if value > rule.accept - room + LEAST:
        accept = min(1.0, _up(value + room))
        proposed |= {"accept": accept, **({} if rule.stop is None else {"stop": max(rule.stop, accept)})}
    if chaotic > rule.chaotic:
        proposed["chaotic"] = chaotic
    return proposed, f"Blue itself flips {figure(value)}, with {chaotic} ×" if proposed else ""


BARS: Mapping[str, Bar] = {"coverage": _coverage, "ds_question": _ds_question, "flip_rate": _flip_rate}


def _up(value: float) -> float:
    return math.ceil(value * 100 - 1e-9) / 100


def _down(value: float) -> float:
    return math.floor(value * 100 + 1e-9) / 100

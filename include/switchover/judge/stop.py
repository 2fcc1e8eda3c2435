"""The hold's stop side: is Green doing harm now? One function a rule.

A hold stops when two things are true. The figure of the last ticks is beyond the stop bound, literally;
and the evidence rules out that Green is still acceptable (``sequential``). The first alone is reported as
INCONCLUSIVE. A tool loop needs no statistics: one is enough. Only what was observed can stop a hold; what
is missing can only keep a rule from passing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from switchover.judge import measure
from switchover.judge.evidence import BLUE, GREEN, Evidence, Floats
from switchover.judge.figures import Side, mean_of, sides, tick_flips
from switchover.judge.outcome import SLACK, Outcome, Verdict, figure, within
from switchover.judge.readings import Gaps, Readings
from switchover.judge.sequential import burst, growth_of_counts, growth_of_shares, highest, log_evidence
from switchover.judge.settings import Rules, RuleSpec
from switchover.judge.settle import unmeasured
from switchover.judge.traffic import Traffic

LITTLE = math.log(20)  # evidence below 20 : 1 says nothing yet
BURST = 0.65  # of the stake on 5xx: on the newest looks by themselves
PROVABLE = 0.9  # of the accepted share: the end of a hold at 20 requests a second can hardly prove more than this
# How the tolerated share of false stops is divided. Rare failures among few requests need the most.
ALPHA = {"http_5xx": 0.8, "flip_rate": 0.14, "ds_p95_drift": 0.02, "coverage": 0.02, "latency_p95": 0.02}


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A hold so far: all of its evidence, the ``gaps`` in it, and the ``recent`` ticks read both ways."""

    evidence: Evidence
    gaps: Gaps
    recent: Readings
    rules: Rules
    traffic: Traffic

    @cached_property
    def green(self) -> Side:
        """Green's probes."""
        return sides(self.evidence)[0]

    @cached_property
    def blue(self) -> Side:
        """Blue's probes that succeeded."""
        return sides(self.evidence)[1]

    def doubts(self) -> str:
        """What of Green was not seen in the whole hold, in words."""
        missing = self.gaps.lacking[GREEN]
        return " and ".join(filter(None, (f"{missing} probes are missing" if missing else "", self.traffic.unseen)))

    def log_wealth(self, growth: Floats) -> float:
        """The most that the evidence of harm ever was (log)."""
        return highest(log_evidence(growth, self.rules.statistics.horizon))


@dataclass(frozen=True, kw_only=True)
class Sign:
    """What a stop rule sees: the recent figure both ways, and the evidence (log) that Green is not acceptable."""

    value: float
    strict: float
    evidence: float
    n: int
    note: str = ""
    unseen: str = ""


def stop(watch: Watch, spec: RuleSpec) -> Verdict:
    """The verdict of one stop rule: FAIL means stop now."""
    if spec.name == "tool_loops":
        return _tool_loops(watch, spec)
    if not watch.green.n and spec.name != "http_5xx":
        return unmeasured(spec, "Green was not asked")
    if spec.name in ("ds_p95_drift", "latency_p95") and not watch.blue.n:
        return unmeasured(spec, "Blue did not answer: nothing to compare with")
    sign, alpha = sign_of(watch, spec.name), false_stops(watch.rules, spec.name)
    good, sure = within(sign.value, spec.comparison, spec.bound), sign.evidence >= -math.log(alpha)
    outcome, needs = Outcome.PASS, ""
    if math.isnan(sign.value):
        outcome, needs = Outcome.ERROR, "needs a figure that can be measured"
    elif not good and sure:
        outcome = Outcome.FAIL
    elif spec.name == "http_5xx" and watch.traffic.dead:
        outcome, needs = Outcome.ERROR, watch.traffic.dead
    elif not good:
        outcome = Outcome.INCONCLUSIVE
        needs = f"a stop needs evidence of {figure(1 / alpha)} : 1; {_odds(sign.evidence)} so far"
    elif not within(sign.strict, spec.comparison, spec.bound):
        outcome = Outcome.INCONCLUSIVE
        lacks = " and ".join(filter(None, (watch.recent.doubts(blue=True), sign.unseen)))
        needs = f"needs whole evidence: {lacks}; held against Green: {figure(sign.strict)}"
    proof = f"evidence of harm {_odds(sign.evidence)}" if outcome is Outcome.FAIL else ""
    return Verdict(
        rule=spec.name,
        outcome=outcome,
        value=sign.value,
        bound=spec.bound,
        comparison=spec.comparison,
        n=sign.n,
        n_of=spec.minimum_of,
        needs=needs,
        note="; ".join(filter(None, (proof, sign.note))),
    )


def sign_of(watch: Watch, rule: str) -> Sign:
    """What one stop rule other than tool_loops sees."""
    return _SIGNS[rule](watch)


def false_stops(rules: Rules, rule: str) -> float:
    """The share of holds of an acceptable Green that this rule may stop; all rules together keep the plan's."""
    return rules.statistics.false_stops * ALPHA[rule]


def _odds(log_evidence: float) -> str:
    """Evidence for people: ``250 : 1``."""
    return f"{figure(math.exp(log_evidence))} : 1" if log_evidence < 30 else "more than 10^13 : 1"


def _coverage(watch: Watch) -> Sign:
    """Harm: the share of a question's gold tokens that is not covered."""
    harm, counts = 1 - watch.green["coverage"], watch.green.per_tick()
    answerable = np.flatnonzero(~np.isnan(harm))
    if len(answerable) < len(harm):
        harm, counts = harm[answerable], np.diff(np.searchsorted(answerable, watch.green.bounds))
    growth = growth_of_shares(harm, counts, 1 - watch.rules.coverage.accept)
    plain, strict = watch.recent.plain, watch.recent.strict
    return Sign(
        value=mean_of(plain.green.coverage),
        strict=mean_of(strict.green.coverage),
        evidence=watch.log_wealth(growth),
        n=plain.answerable,
    )


def _ds_p95_drift(watch: Watch) -> Sign:
    """Harm: a ΔS above Blue's quantile of the same tick plus the accepted drift."""
    rule = watch.rules.ds_p95_drift
    growth = _beyond_blue(watch, "ds_question", rule.quantile, lambda edge: edge + rule.accept)
    plain, strict = watch.recent.plain, watch.recent.strict
    return Sign(
        value=plain.drift(rule.quantile),
        strict=strict.drift(rule.quantile),
        evidence=watch.log_wealth(growth),
        n=plain.answered,
    )


def _latency_p95(watch: Watch) -> Sign:
    """Harm: a request slower than Blue's p95 of the same tick plus the accepted rise."""
    rule = watch.rules.latency_p95
    growth = _beyond_blue(watch, f"ms_{rule.stage}", 0.95, lambda edge: edge * (1 + rule.accept))
    plain, strict = watch.recent.plain, watch.recent.strict
    return Sign(
        value=plain.rise(rule.stage),
        strict=strict.rise(rule.stage),
        evidence=watch.log_wealth(growth),
        n=plain.green.n,
    )


def _beyond_blue(watch: Watch, column: str, q: float, edge_of: Callable[[float], float]) -> Floats:
    """Log growth for "Green's quantile is above the edge that Blue's quantile of the same tick gives".

    If it is not, fewer than (1 - q) (n - 1) + 1 of Green's n values lie above that edge: their share, 1 - q + q / n,
    is the accepted level. It falls with n, so that further harm never thins the evidence out. Ticks without a
    figure of Blue's make nothing.
    """
    ticks = len(watch.evidence.ticks)
    green, blue = (np.split(side[column], side.bounds[1:-1]) for side in (watch.green, watch.blue))
    harmful, n, level = (np.zeros(ticks) for _ in range(3))
    for tick, (mine, theirs) in enumerate(zip(green, blue, strict=True)):
        if len(mine) and len(theirs):
            edge = edge_of(float(measure.quantile(theirs, q)))
            harmful[tick], n[tick] = np.count_nonzero(mine > edge + SLACK), len(mine)
            level[tick] = 1 - q + q / len(mine)
    return growth_of_counts(harmful, n, level)


def _flip_rate(watch: Watch) -> Sign:
    """Harm: a question that is not → in one tick.

    Where Blue was asked too, the evidence is the weaker of two: that Green flips more than accepted, and
    that it flips where Blue does not. Few runs a tick make any arm flip now and then; going back to one
    that flips as much mends nothing.
    """
    flips, asked = tick_flips(watch.evidence)
    green, blue = flips[:, GREEN], flips[:, BLUE]
    growth = growth_of_counts(green.sum(axis=1), asked[:, GREEN].sum(axis=1), watch.rules.flip_rate.accept)
    evidence, note = watch.log_wealth(growth), ""
    if watch.blue.n:
        both = asked[:, GREEN] & asked[:, BLUE]
        losses, wins = np.sum(green & ~blue & both, axis=1), np.sum(blue & ~green & both, axis=1)
        paired = watch.log_wealth(growth_of_counts(losses, losses + wins, 0.5))
        note = "Blue flips as much" if paired < evidence and paired < LITTLE else ""
        evidence = min(evidence, paired)
    plain, strict = watch.recent.plain, watch.recent.strict
    return Sign(
        value=measure.flip_rate(plain.green.states[plain.green.asked]),
        strict=measure.flip_rate(strict.green.states),
        evidence=evidence,
        n=plain.answered,
        note=note,
    )


def _http_5xx(watch: Watch) -> Sign:
    """Harm: a 5xx, of live traffic or of a probe."""
    ticks, parts = len(watch.evidence.ticks), watch.traffic.parts
    looks = max(ticks, len(parts))
    other = watch.evidence.failed & ~watch.evidence.errors_5xx  # a probe without an answer says nothing about 5xx
    bad, n = np.zeros(looks), np.zeros(looks)  # the newest look is the last, for probes and samples alike
    bad[looks - ticks :] += watch.green.per_tick(watch.evidence.errors_5xx)
    n[looks - ticks :] += watch.green.per_tick() - watch.green.per_tick(other)
    bad[looks - len(parts) :] += [part.errors_5xx for part in parts]
    n[looks - len(parts) :] += [part.requests for part in parts]
    window = watch.rules.statistics.window
    recent_bad, recent_n = float(bad[-window:].sum()), float(n[-window:].sum())
    value = recent_bad / recent_n if recent_n else math.nan
    steady = watch.log_wealth(growth_of_counts(bad, n, watch.rules.http_5xx.accept))
    lacking = watch.recent.lacking[GREEN]
    unseen = watch.traffic.unseen or watch.traffic.absent(window)
    strict = math.inf if unseen else (recent_bad + lacking) / max(recent_n + lacking, 1)
    return Sign(
        value=value,
        strict=strict,
        evidence=errors_evidence(steady, recent_bad, recent_n, looks, watch.rules),
        n=int(recent_n),
        unseen=unseen,
    )


def errors_evidence(steady: float, bad: float, n: float, looks: int, rules: Rules) -> float:
    """Evidence (log) of too many 5xx: that of all looks so far (``steady``), or of the newest alone if it is more."""
    horizon, level = rules.statistics.horizon, PROVABLE * rules.http_5xx.accept
    newest = burst(bad, n, level, horizon) + math.log(BURST) if looks <= horizon else -math.inf
    return max(steady + math.log(1 - BURST), newest)


_SIGNS: dict[str, Callable[[Watch], Sign]] = {
    "ds_p95_drift": _ds_p95_drift,
    "coverage": _coverage,
    "flip_rate": _flip_rate,
    "latency_p95": _latency_p95,
    "http_5xx": _http_5xx,
}


def _tool_loops(watch: Watch, spec: RuleSpec) -> Verdict:
    probes = watch.green.tool_loops
    live = watch.traffic.tool_loops
    n, found = watch.green.n + watch.traffic.requests, probes + live
    good = within(found, spec.comparison, spec.bound)
    if good and (watch.traffic.dead or not n):
        return unmeasured(spec, watch.traffic.dead or "Green was not asked")
    unseen = watch.doubts()
    open_end = good and not within(found + (1 if unseen else 0), spec.comparison, spec.bound)
    outcome = Outcome.INCONCLUSIVE if open_end else Outcome.PASS if good else Outcome.FAIL
    return Verdict(
        rule=spec.name,
        outcome=outcome,
        value=found,
        bound=spec.bound,
        n=n,
        n_of="requests",
        needs=f"needs whole evidence: {unseen}" if open_end else "",
        note=f"{probes} in probes, {live} in live traffic" if found else "",
    )

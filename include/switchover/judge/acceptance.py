"""Acceptance: may Green go live (warm gate), may it stay (end of the hold)? One function a rule.

Absolute rules are literal: the gold set is what was agreed on, so its figure decides and the interval is
printed beside it. Rules that compare with Blue pass when the difference is within its margin, fail when
the interval lies wholly beyond, and are open in between. Shares of failures pass only when the evidence
proves the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from switchover.judge import measure
from switchover.judge.evidence import GREEN
from switchover.judge.figures import mean_of, rise
from switchover.judge.intervals import (
    binomial_lower,
    binomial_upper,
    mean_interval,
    quantile_interval,
    requests_needed,
    wilson,
    z_of,
)
from switchover.judge.outcome import Outcome, Verdict, figure, percent
from switchover.judge.paired import compare
from switchover.judge.settings import RuleSpec
from switchover.judge.settle import Case, Finding, settle, unmeasured


def _ds_question(case: Case) -> Finding:
    plain = case.readings.plain
    medians = plain.green.medians
    worst = int(np.argmax(medians))
    return Finding(
        value=float(medians[worst]),
        strict=float(case.readings.strict.green.medians.max()),
        n=plain.answered,
        interval=quantile_interval(plain.green.paraphrase_sets[worst], 0.5, plain.answered, z_of(case.confidence)),
        note="medians " + ", ".join(figure(median) for median in medians),
    )


def _ds_p95_drift(case: Case) -> Finding:
    q, plain, z = case.rules.ds_p95_drift.quantile, case.readings.plain, z_of(case.confidence) / math.sqrt(2)
    n = int(np.count_nonzero(plain.comparable))
    sides = plain.compared, plain.blue
    g, b = (side.interval("ds_question", q, n, z) for side in sides)
    at_green, at_blue = (figure(side.quantile("ds_question", q)) for side in sides)
    return Finding(
        value=plain.drift(q),
        strict=case.readings.strict.drift(q),
        n=min(n, plain.answered),
        interval=(g[0] - b[1], g[1] - b[0]),
        relative=True,
        note=f"p{100 * q:g} {at_green}, Blue {at_blue}",
    )


def _coverage(case: Case) -> Finding:
    plain, strict = case.readings.plain.green.coverage, case.readings.strict.green.coverage
    answerable = plain[~np.isnan(plain)]
    left_out = len(plain) - len(answerable)
    return Finding(
        value=mean_of(plain),
        strict=mean_of(strict),
        n=case.readings.plain.answerable,
        interval=mean_interval(answerable, case.confidence),
        note=f"{left_out} unanswerable left out" if left_out else "",
    )


def _coverage_vs_blue(case: Case) -> Finding:
    plain, strict, margin = case.readings.plain, case.readings.strict, case.rules.coverage_vs_blue.margin
    result = compare(
        plain.green.coverage,
        plain.blue.coverage,
        questions=plain.questions,
        higher_is_better=True,
        confidence=case.confidence,
    )
    return Finding(
        value=result.effect,
        strict=mean_of(strict.green.coverage - strict.blue.coverage),
        n=result.n,
        interval=result.interval,
        beyond=result.interval[1] < -margin,
        relative=True,
        open_needs=_decides(result.questions_to_decide(-margin)),
        note=result.summary,
    )


def _flip_rate(case: Case) -> Finding:
    plain = case.readings.plain
    states = plain.green.states
    chaotic = [plain.questions[i] for i in np.flatnonzero(states == measure.CHAOTIC)]
    seeds, inert = plain.green.seeds()
    needed = case.rules.flip_rate.seeds if case.traffic is None else 1
    flips = int(np.count_nonzero(states != measure.CONVERGENT))
    value = measure.flip_rate(states)
    strict = case.readings.strict.green.states
    return Finding(
        value=value,
        strict=math.inf if np.any(strict == measure.CHAOTIC) else measure.flip_rate(strict),
        n=plain.answered,
        interval=wilson(flips, len(states), z_of(case.confidence)),
        blocked=f"needs {needed} seeds; {seeds} so far" if seeds < needed else "",
        note=f"{flips} flip" + (f"; {inert} of {seeds} seeds inert" if inert else ""),
        also_fails=f"{len(chaotic)} × ({', '.join(chaotic[:3])})" if chaotic else "",
    )


def _flips_vs_blue(case: Case) -> Finding:
    plain, margin = case.readings.plain, case.rules.flips_vs_blue.margin
    green, blue = plain.flips()
    result = compare(green, blue, questions=plain.questions, higher_is_better=False, confidence=case.confidence)
    green, blue = case.readings.strict.flips()
    return Finding(
        value=result.effect,
        strict=mean_of(green - blue),
        n=result.n,
        interval=result.interval,
        beyond=result.interval[0] > margin,
        relative=True,
        open_needs=_decides(result.questions_to_decide(margin)),
        note=result.summary,
    )


def _latency_p95(case: Case) -> Finding:
    rule, z = case.rules.latency_p95, z_of(case.confidence) / math.sqrt(2)
    plain = case.readings.plain
    sides = plain.compared, plain.blue
    g, b = (side.interval(f"ms_{rule.stage}", 0.95, side.n, z) for side in sides)
    value, interval = plain.rise(rule.stage), (rise(g[0], b[1]), rise(g[1], b[0]))
    n, off = min(side.n - side.failed for side in sides), abs(value - rule.accept)
    more = math.ceil(n * ((value - interval[0]) / off) ** 2) if 0 < off < math.inf else None
    p95_green, p95_blue = (figure(ms) for ms in plain.p95(rule.stage))
    others = ", ".join(f"{other} {percent(plain.rise(other))}" for other in measure.STAGES if other != rule.stage)
    return Finding(
        value=value,
        strict=case.readings.strict.rise(rule.stage),
        n=n,
        interval=interval,
        beyond=interval[0] > rule.accept,
        relative=True,
        open_needs=f"needs about {more} requests per arm; {n} so far" if more else "needs more requests",
        note=f"p95 of {rule.stage} {p95_green} ms, Blue {p95_blue} ms; others: {others}",
    )


def _failures(case: Case, bound: float, probes: tuple[int, int], live: int, left_out: int = 0) -> Finding:
    """A share of failures: those of probes (as seen; with missing ones too) and of live requests.

    Passes when the exact upper bound of both together is within the bound, fails when the lower bound of
    either alone, or of both, is beyond it. ``left_out`` probes say nothing about this kind of failure.
    """
    alpha = 1 - case.confidence
    n_probes, n_live = case.readings.plain.green.n - left_out, case.traffic.requests if case.traffic else 0
    n, bad, strict_bad = n_probes + n_live, probes[0] + live, probes[1] + live
    streams = {(probes[0], n_probes), (live, n_live), (bad, n)}
    upper, strict_n = binomial_upper(bad, n, alpha), n + strict_bad - bad
    need = requests_needed(strict_bad, bound, alpha)
    clean = "clean requests" if not strict_bad else f"requests with these {strict_bad} failures and no more"
    needs = f"{percent(bound)} at {percent(case.confidence)} needs {need or 'endless'} {clean}; {n} so far"
    return Finding(
        value=bad / n if n else math.nan,
        strict=upper if (strict_bad, strict_n) == (bad, n) else binomial_upper(strict_bad, strict_n, alpha),
        n=n,
        interval=(binomial_lower(bad, n, alpha), upper),
        beyond=any(few > of * bound and binomial_lower(few, of, alpha) > bound for few, of in streams),
        blocked=case.traffic.blocked(case.rules.statistics.window) if case.traffic else "",
        open_needs=needs,
        strict_needs=needs,
        note=f"{bad} of {n}" + (f", {live} of {n_live} live" if n_live else ""),
    )


def _error_rate(case: Case) -> Finding:
    probes = case.readings.plain.green.failed, case.readings.strict.green.failed
    return _failures(case, case.rules.error_rate.accept, probes, case.traffic.failures if case.traffic else 0)


def _http_5xx(case: Case) -> Finding:
    seen = case.readings.plain.green.errors_5xx
    strict = seen + case.readings.lacking[GREEN]
    live, other = case.traffic.errors_5xx if case.traffic else 0, case.readings.plain.green.failed - seen
    return _failures(case, case.rules.http_5xx.accept, (seen, strict), live, left_out=other)


def _tool_loops(case: Case) -> Finding:
    probes = case.readings.plain.green.tool_loops
    live = case.traffic.tool_loops if case.traffic else 0
    return Finding(
        value=probes + live,
        strict=probes + live + case.readings.lacking[GREEN],
        n=case.readings.observed[GREEN] + (case.traffic.requests if case.traffic else 0),
        blocked=case.traffic.blocked(case.rules.statistics.window) if case.traffic else "",
        note=f"{probes} in probes, {live} in live traffic" if probes + live else "",
    )


ASKED: dict[str, Callable[[Case], Finding]] = {
    "ds_question": _ds_question,
    "ds_p95_drift": _ds_p95_drift,
    "coverage": _coverage,
    "coverage_vs_blue": _coverage_vs_blue,
    "flip_rate": _flip_rate,
    "flips_vs_blue": _flips_vs_blue,
    "latency_p95": _latency_p95,
    "error_rate": _error_rate,
    "http_5xx": _http_5xx,
    "tool_loops": _tool_loops,
}
RELATIVE = frozenset({"ds_p95_drift", "coverage_vs_blue", "flips_vs_blue", "latency_p95"})
LIVE = frozenset({"error_rate", "http_5xx", "tool_loops"})


def accept(case: Case, spec: RuleSpec) -> Verdict:
    """The verdict of one acceptance rule."""
    if spec.name == "rollback_path":
        return _rollback_path(case, spec)
    if not case.readings.observed[GREEN]:
        return unmeasured(spec, "Green was not asked")
    if spec.name in RELATIVE and not case.readings.blue_answered:
        return unmeasured(spec, "Blue did not answer: nothing to compare with")
    verdict = settle(spec, ASKED[spec.name](case), case.readings)
    dead = case.traffic.dead if case.traffic and spec.name in LIVE else ""
    if dead and verdict.outcome is not Outcome.FAIL:
        return replace(verdict, outcome=Outcome.ERROR, needs=dead)
    return verdict


def _rollback_path(case: Case, spec: RuleSpec) -> Verdict:
    seconds = case.rehearsal_ttr_s
    if seconds is None:
        missing = unmeasured(spec, "needs a rehearsal of the way back")
        return replace(missing, outcome=Outcome.INCONCLUSIVE)
    if not (math.isfinite(seconds) and seconds >= 0):
        return unmeasured(spec, f"the rehearsal measured {seconds} s")
    return settle(spec, Finding(value=seconds, strict=seconds, n=1), None)


def _decides(questions: int | None) -> str:
    return f"needs about {questions} questions of this kind" if questions else "lies on the bound"

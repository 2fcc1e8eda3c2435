"""The judge: evidence and rules in, verdicts out. It reads nothing, writes nothing and moves nothing.

Three gates share it: the warm gate and the end of the hold (``judge_acceptance``), and every tick of the
hold (``judge_stop``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from switchover.judge.accept import Acceptance
from switchover.judge.analysis import Analysis, BothWays, ProbeCounts
from switchover.judge.calibration import Calibration
from switchover.judge.canaries import Canary
from switchover.judge.evidence import Evidence, Expected
from switchover.judge.holdings import Holdings
from switchover.judge.outcome import Outcome, Verdict, decisive, unmeasured, worst
from switchover.judge.rules import Rule, Rules
from switchover.judge.settings import RuleSpec
from switchover.judge.stop import HoldSoFar
from switchover.judge.traffic import Signals, Traffic

#: What a measure is made of, by the word of an evidence row's ``lacks``.
FEEDS = {"ds": "the hits' texts", "coverage": "the hits' places in the corpus", "tool_loop": "the tool calls"}
#: What else a plan may say where it cannot be had.
INSTEAD = {"coverage": " measure by what is there (`gold.grade: text` or `id`),"}

__all__ = ["Outcome", "Verdict", "decisive", "judge_acceptance", "judge_stop", "worst"]


def judge_acceptance(
    evidence: Evidence | Analysis,
    *,
    rules: Rules,
    signals: Signals = None,
    expected: Expected | None = None,
    rehearsal_ttr_s: float | None,
    traffic: bool,
    canaries: Sequence[Canary] | None = None,
    judge: Calibration | None = None,
    holdings: Holdings | None = None,
) -> list[Verdict]:
    """One verdict a rule: may Green go live, or stay?

    ``traffic`` is false at the warm gate: Green has no live requests yet, 5xx are judged from its probes
    as errors. It is true at the end of the hold; then dead ``signals`` are an ERROR. ``expected`` is what
    the run was to ask; without it, every question must have been asked as often as the one asked most.
    ``canaries`` are ``None`` when none are to be asked: then ``cache_poison`` has no verdict. ``judge``: the
    calibration of the judge encoder; without it a ΔS is held against the reference's bound. ``holdings``: what both
    indexes hold; without it the rules that count them have no verdict.
    """
    analysis = Analysis.of(evidence)
    seen = Acceptance(
        both_ways=BothWays(analysis, runs=expected.runs if expected else None),
        statistics=rules.statistics,
        traffic=Traffic.of(signals) if traffic else None,
        rehearsal_ttr_s=rehearsal_ttr_s,
        canaries=canaries,
        judge=judge,
        holdings=holdings,
    )
    asked = [rule for rule in rules.having("accept") if rule.asked(seen)]
    unfed = analysis.evidence.unfed
    said = [_fed(rule, rule.spec("accept"), unfed, partial(rule.judge_acceptance, seen)) for rule in asked]
    return [*said, *rules.turned_off("accept")]


def judge_stop(
    evidence: Evidence | Analysis,
    *,
    rules: Rules,
    signals: Signals,
    expected: Expected | None = None,
    canaries: Sequence[Canary] | None = None,
) -> list[Verdict]:
    """One verdict a stop rule over the hold so far: FAIL means stop now.

    ``evidence`` and ``signals`` (a sample a tick, oldest first, ``None`` where the store was dead) are those
    of the whole hold, ``canaries`` those of the newest look (``None``: none are to be asked). INCONCLUSIVE:
    beyond the stop bound but not proven, or too much is missing to tell. An :class:`Analysis` may be shared by both
    gates.
    """
    analysis = Analysis.of(evidence)
    given = analysis.evidence
    made = (given if given.whole else given.take(given.observed)).in_order()
    hold_so_far = analysis.over(made)
    window = rules.statistics.window
    ticks = len(made.ticks)
    runs = None if expected is None or not ticks else round(expected.runs * min(window, ticks) / ticks)
    hold = HoldSoFar(
        analysis=hold_so_far,
        probes=ProbeCounts.of(made, expected.runs if expected else None),
        recent=BothWays(hold_so_far.over(made.newest(window)), runs=runs),
        statistics=rules.statistics,
        traffic=Traffic.of(signals),
        canaries=canaries,
    )
    asked = [rule for rule in rules.having("stop") if rule.asked(hold)]
    said = [_fed(rule, rule.spec("stop"), given.unfed, partial(rule.judge_hold, hold)) for rule in asked]
    return [*said, *rules.turned_off("stop")]


def _fed(rule: Rule, spec: RuleSpec, unfed: Collection[str], judge: Callable[[], Verdict]) -> Verdict:
    """What a rule says. Without its figure in the answers it is INCONCLUSIVE, unless live traffic shows harm."""
    if rule.fed_by not in unfed:
        return judge()
    verdict = judge() if rule.from_traffic else None
    if verdict is not None and verdict.outcome is Outcome.FAIL:
        return verdict
    return unmeasured(
        spec,
        f"needs {FEEDS[rule.fed_by]} in every answer: say in `asking.answer` where it stands,"
        f"{INSTEAD.get(rule.fed_by, '')} or turn the rule off with its reason under `rules.off`",
        Outcome.INCONCLUSIVE,
    )

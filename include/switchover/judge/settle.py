"""From a figure to a verdict: the one place where PASS is said at the acceptance gates.

A figure passes when it is within its bound on both readings of the evidence (``readings``), there is enough
of it, and nothing blocks it. It fails when it is beyond the bound; a rule that needs proof for that says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from switchover.judge.intervals import Interval
from switchover.judge.outcome import Outcome, Verdict, figure, within
from switchover.judge.readings import Readings
from switchover.judge.settings import Rules, RuleSpec
from switchover.judge.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the rules are held against. ``traffic`` is ``None`` before Green has live traffic."""

    readings: Readings
    rules: Rules
    traffic: Traffic | None
    rehearsal_ttr_s: float | None

    @property
    def confidence(self) -> float:
        """Of the printed intervals."""
        return self.rules.statistics.confidence


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A figure before it is settled. ``strict`` is the same figure with all doubt against Green.

    ``beyond``: whether it fails (``None``: when the value is not within the bound). ``blocked``: why it
    may not pass whatever the figure. ``open_needs`` and ``strict_needs``: what would decide it when the
    value, or only the strict one, is not within the bound.
    """

    value: float
    strict: float
    n: int
    interval: Interval | None = None
    beyond: bool | None = None
    relative: bool = False
    blocked: str = ""
    open_needs: str = ""
    strict_needs: str = ""
    note: str = ""
    also_fails: str = ""


def settle(spec: RuleSpec, found: Finding, readings: Readings | None) -> Verdict:
    """From figure to verdict; see the head of this file. ``readings`` is ``None`` for a figure of no probe."""
    good = within(found.value, spec.comparison, spec.bound)
    beyond = (not good) if found.beyond is None else found.beyond
    blocked = found.blocked or (readings.gap(blue=found.relative) if readings else "")
    outcome, needs = Outcome.INCONCLUSIVE, ""
    if math.isnan(found.value):
        outcome, needs = Outcome.ERROR, "needs a figure that can be measured"
    elif found.n < spec.minimum:
        needs = f"needs {spec.minimum} {spec.minimum_of}; {found.n} so far"
    elif found.also_fails or beyond:
        outcome = Outcome.FAIL
    elif not good:
        needs = found.open_needs
    elif blocked:
        needs = blocked
    elif not within(found.strict, spec.comparison, spec.bound):
        doubts = readings.doubts(blue=found.relative) if readings else ""
        needs = found.strict_needs or f"needs whole evidence: {doubts}; held against Green: {figure(found.strict)}"
    else:
        outcome = Outcome.PASS
    return Verdict(
        rule=spec.name,
        outcome=outcome,
        value=found.value,
        bound=spec.bound,
        comparison=spec.comparison,
        interval=found.interval,
        n=found.n,
        n_of=spec.minimum_of,
        needs=needs,
        note="; ".join(filter(None, (found.also_fails, found.note))),
    )


def unmeasured(spec: RuleSpec, why: str) -> Verdict:
    """ERROR: there is nothing to measure."""
    return Verdict(
        rule=spec.name,
        outcome=Outcome.ERROR,
        value=None,
        bound=spec.bound,
        comparison=spec.comparison,
        n_of=spec.minimum_of,
        needs=why,
    )

"""Acceptance: may Green go live (warm gate), may it stay (end of the hold)? From what was measured to a verdict.

A figure passes when it is within its bound on both readings of the evidence (``analysis``), there is enough
of it, and nothing blocks it. It fails when it is beyond the bound; a rule that needs proof for that says so.

Absolute rules are literal: the gold set is what was agreed on, so its figure decides and the interval is
printed beside it. Rules that compare with Blue pass when the difference is within its margin, fail when
the interval lies wholly beyond, and are open in between. Shares of failures pass only when the evidence
proves the bound (``failures``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from switchover.judge.analysis import BothWays
from switchover.judge.calibration import Calibration
from switchover.judge.canaries import Canary
from switchover.judge.evidence import GREEN
from switchover.judge.holdings import Holdings
from switchover.judge.outcome import Measured, Verdict, conclude, figure, within
from switchover.judge.settings import RuleSpec, Statistics
from switchover.judge.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What the rules are held against. ``traffic`` is ``None`` before Green has live traffic.

    ``canaries`` is ``None`` when the plan asks none. ``judge``: what the judge encoder is worth on the gold set.
    ``holdings``: what both indexes hold, ``None`` where they were not counted.
    """

    both_ways: BothWays
    statistics: Statistics
    traffic: Traffic | None
    rehearsal_ttr_s: float | None
    canaries: Sequence[Canary] | None = None
    judge: Calibration | None = None
    holdings: Holdings | None = None

    @property
    def confidence(self) -> float:
        """Of the printed intervals."""
        return self.statistics.confidence


def lacking(seen: Acceptance, *, blue: bool) -> str:
    """Why nothing can be measured from the probes; empty when something can. ``blue``: Blue is needed too."""
    if not seen.both_ways.observed[GREEN]:
        return "Green was not asked"
    if blue and not seen.both_ways.blue_answered:
        return "Blue did not answer: nothing to compare with"
    return ""


def verdict_of(spec: RuleSpec, found: Measured, *, gap: str = "", missing: str = "", dead: str = "") -> Verdict:
    """From figure to verdict; see the head of this file.

    ``gap``: a question that was never answered. ``missing``: which probes are. ``dead``: live traffic has no
    figure now.
    """
    if found.instead is not None:
        spec = replace(spec, bound=found.instead)
    good = within(found.value, spec.comparison, spec.bound)
    beyond = (not good) if found.beyond is None else found.beyond
    unknown, few = math.isnan(found.value), found.n < spec.minimum
    whole = within(found.strict, spec.comparison, spec.bound)
    strict_needs = f"needs whole evidence: {missing}; held against Green: {figure(found.strict)}"
    outcome, needs = conclude(
        fails=not unknown and not few and (beyond or bool(found.also_fails)),
        error=dead or ("needs a figure that can be measured" if unknown else ""),
        doubts=(
            f"needs {spec.minimum} {spec.minimum_of}; {found.n} so far" if few else "",
            "" if good else found.open_needs or "needs more evidence",
            found.blocked or gap,
            "" if whole else found.strict_needs or strict_needs,
        ),
    )
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

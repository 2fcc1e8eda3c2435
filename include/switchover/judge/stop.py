"""The hold's stop side: is Green doing harm now? From the evidence of harm to a verdict.

A hold stops when two things are true. The figure of the last ticks is beyond the stop bound, literally;
and the evidence rules out that Green is still acceptable (``sequential``). The first alone is reported as
INCONCLUSIVE. A tool loop needs no statistics: one is enough. Only what was observed can stop a hold; what
is missing can only keep a rule from passing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from switchover.judge import measure
from switchover.judge.analysis import Analysis, BothWays, ProbeCounts
from switchover.judge.canaries import Canary
from switchover.judge.evidence import GREEN, Evidence, Floats
from switchover.judge.figures import Side
from switchover.judge.outcome import SLACK, Harm, Outcome, Verdict, conclude, figure, within
from switchover.judge.sequential import growth_of_counts, highest, log_evidence
from switchover.judge.settings import RuleSpec, Statistics
from switchover.judge.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class HoldSoFar:
    """A hold so far: all of its evidence, the ``probes`` counted in it, and the ``recent`` ticks read both ways.

    ``canaries`` are those of the newest look; ``None`` when the plan asks none.
    """

    analysis: Analysis
    probes: ProbeCounts
    recent: BothWays
    statistics: Statistics
    traffic: Traffic
    canaries: Sequence[Canary] | None = None

    @property
    def evidence(self) -> Evidence:
        """What was observed, in the order of its ticks."""
        return self.analysis.evidence

    @property
    def green(self) -> Side:
        """Green's probes."""
        return self.analysis.plain.green

    @property
    def blue(self) -> Side:
        """Blue's probes that succeeded."""
        return self.analysis.plain.blue

    def doubts(self) -> str:
        """What of Green was not seen in the whole hold, in words."""
        missing = self.probes.lacking[GREEN]
        return " and ".join(filter(None, (f"{missing} probes are missing" if missing else "", self.traffic.unseen)))

    def log_wealth(self, growth: Floats) -> float:
        """The most that the evidence of harm ever was (log)."""
        return highest(log_evidence(growth, self.statistics.horizon))

    def beyond_blue(self, column: str, q: float, edge_of: Callable[[float], float]) -> Floats:
        """Log growth for "Green's quantile is above the edge that Blue's quantile of the same tick gives".

        If it is not, fewer than (1 - q) (n - 1) + 1 of Green's n values lie above that edge: their share,
        1 - q + q / n, is the accepted level. It falls with n, so that further harm never thins the evidence
        out. Ticks without a figure of Blue's make nothing.
        """
        ticks = len(self.evidence.ticks)
        green, blue = (np.split(side[column], side.bounds[1:-1]) for side in (self.green, self.blue))
        harmful, n, level = (np.zeros(ticks) for _ in range(3))
        for tick, (mine, theirs) in enumerate(zip(green, blue, strict=True)):
            if len(mine) and len(theirs):
                edge = edge_of(float(measure.quantile(theirs, q)))
                harmful[tick], n[tick] = np.count_nonzero(mine > edge + SLACK), len(mine)
                level[tick] = 1 - q + q / len(mine)
        return growth_of_counts(harmful, n, level)


def lacking(hold: HoldSoFar, *, blue: bool) -> str:
    """Why nothing can be measured from the probes; empty when something can. ``blue``: Blue is needed too."""
    if not hold.green.n:
        return "Green was not asked"
    if blue and not hold.blue.n:
        return "Blue did not answer: nothing to compare with"
    return ""


def verdict_of(spec: RuleSpec, harm: Harm, *, false_stops: float, missing: str, dead: str = "") -> Verdict:
    """From harm to verdict; FAIL means stop now.

    ``false_stops``: the share of holds of an acceptable Green that the rule may stop. ``missing``: which probes
    are. ``dead``: live traffic has no figure now.
    """
    if harm.instead is not None:
        spec = replace(spec, bound=harm.instead)
    good, sure = within(harm.value, spec.comparison, spec.bound), harm.evidence >= -math.log(false_stops)
    unknown, whole = math.isnan(harm.value), within(harm.strict, spec.comparison, spec.bound)
    lacks = " and ".join(filter(None, (missing, harm.unseen)))
    proof = f"a stop needs evidence of {figure(1 / false_stops)} : 1; {odds(harm.evidence)} so far"
    outcome, needs = conclude(
        fails=not unknown and not good and sure,
        error=dead or ("needs a figure that can be measured" if unknown else ""),
        doubts=(
            "" if good else proof,
            "" if whole else f"needs whole evidence: {lacks}; held against Green: {figure(harm.strict)}",
        ),
    )
    shown = f"evidence of harm {odds(harm.evidence)}" if outcome is Outcome.FAIL else ""
    return Verdict(
        rule=spec.name,
        outcome=outcome,
        value=harm.value,
        bound=spec.bound,
        comparison=spec.comparison,
        n=harm.n,
        n_of=spec.minimum_of,
        needs=needs,
        note="; ".join(filter(None, (shown, harm.note))),
    )


def odds(log_evidence: float) -> str:
    """Evidence for people: ``250 : 1``."""
    return f"{figure(math.exp(log_evidence))} : 1" if log_evidence < 30 else "more than 10^13 : 1"

"""What the rules share whose figure is a ΔS: it is worth what the judge encoder is worth on this gold set."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from switchover.judge.outcome import Outcome, Verdict, unmeasured

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance
    from switchover.judge.calibration import Calibration
    from switchover.judge.rules.base import RuleList


class ByVectors:
    """Stands before ``Rule``: the judge encoder feeds it. A blind one makes it INCONCLUSIVE: never PASS, never FAIL."""

    def calibrated(self, judge: Calibration) -> tuple[Any, str]:
        """The rule with the bound that belongs to the judge encoder, and why there is none."""
        return self, ""

    def by_word(self) -> float | None:
        """A bound in place of the judge encoder's own, which the plan says."""
        return None

    def judge_acceptance(self: Any, seen: Acceptance) -> Verdict:
        """See :class:`Rule`. The verdict carries the judge encoder, its digest, its AUC and its bound."""
        above: Any = super()
        if seen.judge is None:
            plain: Verdict = above.judge_acceptance(seen)
            return plain
        rule, lacks = self.calibrated(seen.judge)
        why, line = seen.judge.blind or lacks, seen.judge.line(self.by_word())
        if why:
            return replace(unmeasured(self.spec("accept"), why, Outcome.INCONCLUSIVE), note=line)
        above = super(ByVectors, rule)
        verdict: Verdict = above.judge_acceptance(seen)
        return replace(verdict, note="; ".join(filter(None, (verdict.note, line))))


def worthless(rules: RuleList, judge: Calibration) -> str:
    """Why a rule that the judge encoder feeds could only be INCONCLUSIVE; empty when none is, or none could."""
    asked = [rule for rule in rules.having("accept") if isinstance(rule, ByVectors)]
    return next(filter(None, (judge.blind or rule.calibrated(judge)[1] for rule in asked)), "")

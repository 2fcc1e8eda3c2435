"""Bases of the rules that hold a figure of Green's against Blue's, question by question.

A subclass names its figure. It fails when the interval of the mean difference lies wholly beyond the margin.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from switchover.judge.outcome import Measured, Verdict, figure
from switchover.judge.power import Setup, Sufficiency, against_blue
from switchover.judge.rules.base import Rule, not_applicable
from switchover.judge.settings import Questions, Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import accept, figures, paired
    from switchover.judge.accept import Acceptance
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Figures, Side
    from switchover.judge.stop import HoldSoFar
else:
    np = lazy("numpy")
    accept = lazy("switchover.judge.accept")
    figures = lazy("switchover.judge.figures")
    paired = lazy("switchover.judge.paired")


class BesideBlue(Rule):
    """Base of these rules; each has the keys ``margin`` and ``minimum``."""

    name = "a base"
    short = measures = minimum_of = "a base"
    first_steps: ClassVar[tuple[str, ...]] = ("",)
    compares_with_blue = True

    margin: float
    minimum: int

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """So much worse is accepted; a comparison stops no hold."""
        worse = -self.margin if self.comparison == ">=" else self.margin
        return worse if side == "accept" else None

    def figure(self, side: Side) -> Floats:
        """The figure of each question (n_questions,) of one arm; NaN where there is none."""
        raise NotImplementedError(f"rule {self.name}: says no figure")

    def by_question(self, plain: Figures) -> tuple[Floats, Floats]:
        """See ``Rule``."""
        return self.figure(plain.green), self.figure(plain.blue)

    def measured(self, seen: Acceptance) -> Measured:
        """The mean difference; it fails when its interval lies wholly beyond the margin."""
        plain, strict = seen.both_ways.plain, seen.both_ways.strict
        higher, bound = self.comparison == ">=", self.bound("accept") or 0.0
        result = paired.compare(
            *self.by_question(plain),
            questions=plain.questions,
            higher_is_better=higher,
            confidence=seen.confidence,
        )
        return Measured(
            value=result.effect,
            strict=figures.mean_of(self.figure(strict.green) - self.figure(strict.blue)),
            n=result.n,
            interval=result.interval,
            beyond=result.interval[1] < bound if higher else result.interval[0] > bound,
            open_needs=result.decided_by(bound),
            note="; ".join(filter(None, (result.summary, self.beside(plain)))),
        )

    def beside(self, plain: Figures) -> str:
        """What else is told of both arms."""
        return ""

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How many questions must be lost."""
        return against_blue(self.name, setup.answerable, self.margin, statistics.confidence)


class AnswerRule(BesideBlue):
    """Base of the rules of answers and citations.

    A service that neither answers nor cites gives nothing to judge: such a rule is OFF and says why. It never passes
    where it could not have failed. ``otherwise``: why Blue may have no figure.
    """

    otherwise: ClassVar[str]

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """See ``Rule``; OFF where there is nothing to judge."""
        plain = seen.both_ways.plain
        why = self._beside_the_point(plain) if plain.green.n and plain.blue.n else ""
        if not why:
            return super().judge_acceptance(seen)
        return not_applicable(self, why)

    def _beside_the_point(self, plain: Figures) -> str:
        """Why nothing can be judged: Blue has no figure, or none that could get worse. Empty when something can."""
        blue = figures.mean_of(self.figure(plain.blue))
        if math.isnan(blue):
            return self.otherwise
        room = blue if self.comparison == ">=" else 1 - blue
        return f"Blue's own is {figure(blue)}, which cannot get worse" if room <= self.margin else ""

    def at_best(self, plain: Figures) -> float | None:
        """Green perfect, and Blue as it is."""
        blue = figures.mean_of(self.figure(plain.blue))
        return None if math.isnan(blue) else 1 - blue if self.comparison == ">=" else -blue


class IdRule(BesideBlue):
    """Base of the rules of gold sets that are judged by ids. ``column``: the figure, in an evidence row."""

    fed_by = "coverage"
    comparison = ">="
    minimum_of = "answerable questions"
    column: ClassVar[str]

    margin: Share = Field(default=0.02, description="How much less than Blue's is still accepted.")
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")

    def figure(self, side: Side) -> Floats:
        """The mean of the column over each question's probes."""
        found: Floats = side.means(self.column)
        return found

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """At the gates, of a gold set that is judged by ids: then answerable questions have an nDCG."""
        return isinstance(seen, accept.Acceptance) and bool(np.any(~np.isnan(seen.both_ways.evidence.ndcg)))

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How many questions must be lost."""
        return super().power_to_accept(setup, statistics) if setup.by_ids else None

"""Rule ``coverage_vs_blue``: does Green retrieve as much as Blue, question by question?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.outcome import Measured
from switchover.judge.power import Setup, Sufficiency, against_blue
from switchover.judge.rules.base import Rule
from switchover.judge.rules.coverage import graded
from switchover.judge.settings import Questions, Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import figures, paired
    from switchover.judge.accept import Acceptance
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Figures
else:
    figures = lazy("switchover.judge.figures")
    paired = lazy("switchover.judge.paired")


class CoverageVsBlueRule(Rule):
    """Does Green retrieve as much of the gold spans as Blue, question by question?"""

    name = "coverage_vs_blue"
    fed_by = "coverage"
    short = "Coverage, paired with Blue."
    measures = "mean of coverage(Green) - coverage(Blue) per question"
    comparison = ">="
    minimum_of = "answerable questions"
    compares_with_blue = True
    first_steps = (
        "The losses in the verdict's line, then both arms' hits for them in the report.",
        "All of one topic? A part of the corpus is missing.",
        "Spread evenly? Chunking or encoder.",
    )

    margin: Share = Field(default=0.02, description="How much less coverage than Blue's is still accepted.")
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """So much less is accepted; a comparison stops no hold."""
        return -self.margin if side == "accept" else None

    def by_question(self, plain: Figures) -> tuple[Floats, Floats]:
        """See ``Rule``."""
        return plain.green.coverage, plain.blue.coverage

    def measured(self, seen: Acceptance) -> Measured:
        """The mean difference; it fails when its interval lies wholly beyond the margin."""
        plain, strict, margin = seen.both_ways.plain, seen.both_ways.strict, self.margin
        result = paired.compare(
            *self.by_question(plain),
            questions=plain.questions,
            higher_is_better=True,
            confidence=seen.confidence,
        )
        return Measured(
            value=result.effect,
            strict=figures.mean_of(strict.green.coverage - strict.blue.coverage),
            n=result.n,
            interval=result.interval,
            beyond=result.interval[1] < -margin,
            open_needs=result.decided_by(-margin),
            note="; ".join(filter(None, (graded(seen), result.summary))),
        )

    def at_best(self, plain: Figures) -> float | None:
        """Everything covered on Green, and Blue as it is."""
        blue = figures.mean_of(plain.blue.coverage)
        return None if math.isnan(blue) else 1 - blue

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How many questions must be lost."""
        return against_blue(self.name, setup.answerable, self.margin, statistics.confidence)

"""Rule ``flips_vs_blue``: do no more questions flip on Green than on Blue?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.outcome import Measured
from switchover.judge.power import Setup, Sufficiency, against_blue
from switchover.judge.rules.base import Rule
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


class FlipsVsBlueRule(Rule):
    """Do not more questions flip on Green than on Blue, question by question?"""

    name = "flips_vs_blue"
    short = "Flips, paired with Blue."
    measures = "share of questions that flip on Green only - on Blue only"
    minimum_of = "questions"
    paraphrases = 3
    compares_with_blue = True
    first_steps = (
        "The questions named in the line.",
        "If the count is even with Blue's plus one, more questions or a margin decide it.",
        "If many: see `flip_rate`.",
    )

    margin: Share = Field(default=0.0, description="How many more flips, as a share of the questions, are accepted.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """So many more are accepted; a comparison stops no hold."""
        return self.margin if side == "accept" else None

    def by_question(self, plain: Figures) -> tuple[Floats, Floats]:
        """See ``Rule``."""
        return plain.flips()

    def measured(self, seen: Acceptance) -> Measured:
        """The mean difference; it fails when its interval lies wholly beyond the margin."""
        plain = seen.both_ways.plain
        green, blue = self.by_question(plain)
        result = paired.compare(
            green, blue, questions=plain.questions, higher_is_better=False, confidence=seen.confidence
        )
        green, blue = seen.both_ways.strict.flips()
        return Measured(
            value=result.effect,
            strict=figures.mean_of(green - blue),
            n=result.n,
            interval=result.interval,
            beyond=result.interval[0] > self.margin,
            open_needs=result.decided_by(self.margin),
            note=result.summary,
        )

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How many questions must be lost."""
        return against_blue(self.name, setup.questions, self.margin, statistics.confidence)

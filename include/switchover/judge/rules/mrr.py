"""Rule ``mrr``: does the first relevant document stand as high on Green as on Blue, question by question?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.outcome import Measured
from switchover.judge.power import Setup, Sufficiency, against_blue
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Questions, Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import ranked
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
else:
    ranked = lazy("switchover.judge.ranked")


class MrrRule(Rule):
    """Does the first relevant document stand as high as on Blue? Asked of gold sets that are judged by ids."""

    name = "mrr"
    fed_by = "coverage"
    short = "Rank of the first relevant id, paired with Blue."
    measures = "mean of 1 / rank of the first relevant(Green) - the same(Blue) per question"
    comparison = ">="
    minimum_of = "answerable questions"
    compares_with_blue = True
    first_steps = (
        "The losses in the verdict's line: which document stands first on Green instead?",
        "The same one for many questions? A long or repeated document wins them all.",
        "Else the reranker, or the score by which hits are ordered.",
    )

    margin: Share = Field(default=0.02, description="How much less than Blue's is still accepted.")
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """So much less is accepted; a comparison stops no hold."""
        return -self.margin if side == "accept" else None

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Only of a gold set that is judged by ids."""
        return ranked.is_judged_by_ids(seen)

    def measured(self, seen: Acceptance) -> Measured:
        """The mean difference; it fails when its interval lies wholly beyond the margin."""
        return ranked.against_blue(seen, "reciprocal_rank", margin=self.margin)

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How many questions must be lost."""
        return against_blue(self.name, setup.answerable, self.margin, statistics.confidence) if setup.by_ids else None

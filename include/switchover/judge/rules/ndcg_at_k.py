"""Rule ``ndcg_at_k``: does Green rank the relevant documents as well as Blue, question by question?"""

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


class NdcgAtKRule(Rule):
    """Does Green rank the relevant documents as well as Blue, by their grades?

    Asked of gold sets that are judged by ids.
    """

    name = "ndcg_at_k"
    fed_by = "coverage"
    short = "nDCG@k by id, paired with Blue."
    measures = "mean of nDCG@k(Green) - nDCG@k(Blue) per question"
    comparison = ">="
    minimum_of = "answerable questions"
    compares_with_blue = True
    first_steps = (
        "The losses in the verdict's line, with both arms' hits side by side in the report.",
        "Is `recall_at_k` as before? Then the same documents come in another order: reranker, score, ties.",
        "If recall fell too, see `recall_at_k`.",
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
        return ranked.against_blue(seen, "ndcg", margin=self.margin)

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How many questions must be lost."""
        return against_blue(self.name, setup.answerable, self.margin, statistics.confidence) if setup.by_ids else None

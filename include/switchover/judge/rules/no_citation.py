"""Rule ``no_citation``: does Green leave answers without a citation?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.rules.beside_blue import AnswerRule
from switchover.judge.settings import Questions, Share

if TYPE_CHECKING:
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Side


class NoCitationRule(AnswerRule):
    """Does Green leave more answers without a citation than Blue?"""

    name = "no_citation"
    short = "Missing citations, paired with Blue."
    measures = "mean of missing citations(Green) - missing citations(Blue) per question"
    comparison = "<="
    minimum_of = "answerable questions"
    first_steps = (
        "Does the answer say something and cite nothing, or does it refuse?",
        "Refuses: what is retrieved for it? With good hits it is the prompt.",
        "Cites in another form than `asking.answer.cited` reads?",
    )
    otherwise = "answers cite nothing"

    margin: Share = Field(default=0.02, description="How many more missing citations than Blue's are still accepted.")
    minimum: Questions = Field(default=20, description="Questions below which the verdict is INCONCLUSIVE.")

    def figure(self, side: Side) -> Floats:
        """Share of the answers to each answerable question that cite nothing."""
        return side.means("uncited")

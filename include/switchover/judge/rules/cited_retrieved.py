"""Rule ``cited_retrieved``: does Green cite what it has retrieved?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.rules.beside_blue import AnswerRule
from switchover.judge.settings import Questions, Share

if TYPE_CHECKING:
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Side


class CitedRetrievedRule(AnswerRule):
    """Is what Green cites among its hits, as often as on Blue?"""

    name = "cited_retrieved"
    short = "Citations among the hits, paired with Blue."
    measures = "mean of citations among the hits(Green) - the same(Blue) per question"
    comparison = ">="
    minimum_of = "questions"
    first_steps = (
        "A citation that no hit has: did the model make it up, or take it from the prompt's examples?",
        "Does the prompt number the hits another way than before?",
        "Are hits cut before they reach the prompt (a smaller k, a shorter context)?",
    )
    otherwise = "answers cite nothing"

    margin: Share = Field(
        default=0.02, description="How many fewer citations among the hits than on Blue are accepted."
    )
    minimum: Questions = Field(default=20, description="Questions below which the verdict is INCONCLUSIVE.")

    def figure(self, side: Side) -> Floats:
        """Share of the citations of each question that name a hit."""
        return side.means("cited_retrieved")

"""Rule ``cited_right``: does Green cite what answers the question, as often as Blue?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.rules.beside_blue import AnswerRule
from switchover.judge.settings import Questions, Share

if TYPE_CHECKING:
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Side


class CitedRightRule(AnswerRule):
    """Is what Green cites among what answers the question, as often as on Blue?"""

    name = "cited_right"
    short = "Right citations, paired with Blue."
    measures = "mean of right citations(Green) - right citations(Blue) per question"
    comparison = ">="
    minimum_of = "answerable questions"
    first_steps = (
        "The losses in the verdict's line: what does each arm cite for them (the report)?",
        "Is coverage as good as Blue's? Then the answer stage is at fault: prompt or model (PROMPT_VER, MODEL_VER).",
        "One section for many questions? The prompt names it, or the model copies an example.",
    )
    otherwise = "answers cite nothing, or the gold set names no place, document or id"

    margin: Share = Field(default=0.02, description="How many fewer right citations than Blue's are still accepted.")
    minimum: Questions = Field(default=20, description="Questions below which the verdict is INCONCLUSIVE.")

    def figure(self, side: Side) -> Floats:
        """Share of right citations of each question; a missing one is not right."""
        return side.means("cited_right")

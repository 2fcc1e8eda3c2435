"""Rule ``answer_match``: does Green say what the reference answers say?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import figure
from switchover.judge.rules.beside_blue import AnswerRule
from switchover.judge.settings import Questions, Share
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import figures
    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Figures, Side
else:
    figures = lazy("switchover.judge.figures")


class AnswerMatchRule(AnswerRule):
    """Does Green's answer match the reference answer, as well as Blue's?"""

    name = "answer_match"
    short = "Match with reference answers, paired with Blue."
    measures = "mean of match(Green) - match(Blue) per question"
    comparison = ">="
    minimum_of = "questions with a reference answer"
    first_steps = (
        "Read both arms' answers to the losses in the verdict's line.",
        "Shorter or longer, and right? Then the reference is narrower than the answer: a margin, by the plan's word.",
        "Wrong? Is `cited_right` worse too: then the hits; if not: prompt or model (PROMPT_VER, MODEL_VER).",
    )
    otherwise = "the gold set has no reference answers, or answers say no text"

    margin: Share = Field(default=0.02, description="How much less match than Blue's is still accepted.")
    minimum: Questions = Field(default=20, description="Questions below which the verdict is INCONCLUSIVE.")

    def figure(self, side: Side) -> Floats:
        """Match of each question: half its shared tokens (F1), half its nearness (1 - ΔS)."""
        return (side.means("answer_f1") + 1 - side.means("answer_ds")) / 2

    def beside(self, plain: Figures) -> str:
        """Both halves, of both arms."""
        sides = plain.green, plain.blue
        f1 = [figure(figures.mean_of(side.means("answer_f1"))) for side in sides]
        ds = [figure(figures.mean_of(side.means("answer_ds"))) for side in sides]
        return f"token F1 {f1[0]}, Blue {f1[1]}; ΔS {ds[0]}, Blue {ds[1]}"

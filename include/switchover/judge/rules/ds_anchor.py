"""Rule ``ds_anchor``: is what Green retrieves as near to the right passage as what Blue retrieves?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import figure
from switchover.judge.rules.beside_blue import AnswerRule
from switchover.judge.settings import Questions, Share
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge.evidence import Floats
    from switchover.judge.figures import Figures, Side
else:
    np = lazy("numpy")


class DsAnchorRule(AnswerRule):
    """Is what Green retrieves as near to the gold passage as what Blue retrieves?"""

    name = "ds_anchor"
    short = "ΔS to the gold passage, paired with Blue."
    measures = "mean of ΔS_anchor(Green) - ΔS_anchor(Blue) per question"
    comparison = "<="
    minimum_of = "answerable questions"
    fed_by = "ds"
    first_steps = (
        "The losses in the verdict's line, then both arms' hits for them in the report.",
        "Coverage as good as Blue's? Then the passage is there, among more that is beside the point: chunk size or k.",
        "Coverage worse too? Mend that first.",
    )
    otherwise = "no question has a gold passage"

    margin: Share = Field(default=0.02, description="How much farther from the gold passage than Blue is accepted.")
    minimum: Questions = Field(default=20, description="Questions below which the verdict is INCONCLUSIVE.")

    def figure(self, side: Side) -> Floats:
        """Mean ΔS_anchor of each answerable question."""
        return np.where(np.isnan(side.coverage), np.nan, side.means("ds_anchor"))

    def beside(self, plain: Figures) -> str:
        """Median and p95 of the probes of answerable questions, of both arms."""
        sides = [side.only(~np.isnan(side.coverage)) for side in (plain.green, plain.blue)]
        green, blue = ([figure(side.quantile("ds_anchor", q)) for q in (0.5, 0.95)] for side in sides)
        return f"median {green[0]}, Blue {blue[0]}; p95 {green[1]}, Blue {blue[1]}"

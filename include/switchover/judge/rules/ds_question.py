"""Rule ``ds_question``: does what Green retrieves lie near the question?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.by_vectors import ByVectors
from switchover.judge.outcome import Measured, figure
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Questions, Share
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import intervals, second_form
    from switchover.judge.accept import Acceptance
    from switchover.judge.calibration import Calibration
else:
    np = lazy("numpy")
    intervals = lazy("switchover.judge.intervals")
    second_form = lazy("switchover.judge.second_form")

REFERENCE = 0.45  # of the bundled English encoder on the reference gold set; what it stands for is in `calibration`


class DsQuestionRule(ByVectors, Rule):
    """Does what Green retrieves lie near the question? Median ΔS on each paraphrase set."""

    name = "ds_question"
    fed_by = "ds"
    short = "ΔS to the question."
    measures = "highest median ΔS_question of a paraphrase set"
    minimum_of = "questions"
    not_in_power = "its bound is held literally against the gold set as it is"
    first_steps = (
        "Which set is worst? If one alone, its wording changed.",
        "The questions with the largest ΔS in the report: are the right documents in Green at all (`coverage`)?",
        "Query encoder and index from one manifest? verify's encoder check says.",
    )

    accept: Share | None = Field(
        default=None,
        description="Highest accepted median ΔS_question, on each paraphrase set; null: the judge encoder's own bound.",
    )
    margin: Share | None = Field(
        default=0.02,
        description="Where Blue itself is beyond `accept`: how much worse than Blue is accepted; null: never the less.",
    )
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """See :class:`Rule`."""
        return None if side == "stop" else REFERENCE if self.accept is None else self.accept

    def by_word(self) -> float | None:
        """See :class:`ByVectors`."""
        return self.accept

    def calibrated(self, judge: Calibration) -> tuple[Rule, str]:
        """See :class:`ByVectors`."""
        if self.accept is not None:
            return self, ""
        return self.model_copy(update={"accept": judge.bound}), judge.unknown

    def measured(self, seen: Acceptance) -> Measured:
        """The worst median, with the interval of its set."""
        plain, strict = seen.both_ways.plain, seen.both_ways.strict
        medians = plain.green.medians
        worst = int(np.argmax(medians))
        found = Measured(
            value=float(medians[worst]),
            strict=float(strict.green.medians.max()),
            n=plain.answered,
            interval=intervals.quantile_interval(
                plain.green.paraphrase_sets[worst], 0.5, plain.answered, intervals.z_of(seen.confidence)
            ),
            note="medians " + ", ".join(figure(median) for median in medians),
        )
        blue = float(strict.blue.medians.max()) if plain.blue.n else 0.0
        if self.margin is None or not blue > self.spec("accept").bound:
            return found
        pairs = second_form.Pairs(
            green=plain.green.means("ds_question"),
            blue=plain.blue.means("ds_question"),
        )
        return second_form.second_form(
            found, seen=seen, spec=self.spec("accept"), blue=blue, margin=self.margin, pairs=pairs
        )

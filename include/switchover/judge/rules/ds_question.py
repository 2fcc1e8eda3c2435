"""Rule ``ds_question``: does what Green retrieves lie near the question?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import Measured, figure
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Questions, Share
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import intervals
    from switchover.judge.accept import Acceptance
else:
    np = lazy("numpy")
    intervals = lazy("switchover.judge.intervals")


class DsQuestionRule(Rule):
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

    accept: Share = Field(default=0.45, description="Highest accepted median ΔS_question, on each paraphrase set.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")

    def measured(self, seen: Acceptance) -> Measured:
        """The worst median, with the interval of its set."""
        plain = seen.both_ways.plain
        medians = plain.green.medians
        worst = int(np.argmax(medians))
        return Measured(
            value=float(medians[worst]),
            strict=float(seen.both_ways.strict.green.medians.max()),
            n=plain.answered,
            interval=intervals.quantile_interval(
                plain.green.paraphrase_sets[worst], 0.5, plain.answered, intervals.z_of(seen.confidence)
            ),
            note="medians " + ", ".join(figure(median) for median in medians),
        )

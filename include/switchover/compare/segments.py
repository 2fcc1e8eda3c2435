"""Did Green get worse for some kind of question? Coverage against Blue, tag by tag.

A mean over all questions can hide a language, a tenant or a topic that is lost. With many tags, though, one
of them looks bad by chance alone: each interval is therefore widened so that all of them hold together
(Bonferroni: what confidence leaves is divided by the number of segments). A view for people and reports; it
stops nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from switchover.judge.analysis import Analysis
from switchover.judge.figures import mean_of
from switchover.judge.outcome import Outcome, conclude, figure, within
from switchover.judge.paired import Comparison, compare
from switchover.judge.rules import Rules


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One tag's value: Green's coverage there, and Green against Blue.

    PASS: within the margin. FAIL: beyond it whatever the other segments say. INCONCLUSIVE: beyond it, but
    with so many segments and so few questions that may be chance. ERROR: no question has both arms.
    """

    tag: str
    value: str
    coverage: float
    against_blue: Comparison
    outcome: Outcome

    @property
    def detail(self) -> str:
        """One line for people."""
        low, high = self.against_blue.interval
        return (
            f"{self.tag} = {self.value}: coverage {figure(self.coverage)}, against Blue "
            f"{figure(self.against_blue.effect)} (interval {figure(low)} to {figure(high)}), "
            f"n = {self.against_blue.n} questions; {self.against_blue.summary}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        against = self.against_blue.to_json() if self.against_blue.n else None
        return {
            "tag": self.tag,
            "value": self.value,
            "outcome": self.outcome.value,
            "coverage": None if np.isnan(self.coverage) else self.coverage,
            "against_blue": against,
            "detail": self.detail,
        }


def judge_segments(analysis: Analysis, tags: Sequence[Mapping[str, str]], *, rules: Rules) -> list[Segment]:
    """Every segment, worst effect first. ``tags`` runs parallel to the evidence's questions."""
    questions = analysis.evidence.questions
    if len(tags) != len(questions):
        raise ValueError(f"unequal lengths: tags {len(tags)}, questions {len(questions)}")
    members: dict[tuple[str, str], list[int]] = {}
    for position, of_question in enumerate(tags):
        for tag, value in of_question.items():
            members.setdefault((tag, value), []).append(position)
    figures, margin = analysis.plain, rules.coverage_vs_blue.margin
    confidence = 1 - (1 - rules.statistics.confidence) / max(1, len(members))
    found = []
    for (tag, value), positions in members.items():
        green, blue = figures.green.coverage[positions], figures.blue.coverage[positions]
        against = compare(
            green,
            blue,
            questions=[questions[position] for position in positions],
            higher_is_better=True,
            confidence=confidence,
        )
        found.append(
            Segment(
                tag=tag, value=value, coverage=mean_of(green), against_blue=against, outcome=_outcome(against, margin)
            )
        )
    return sorted(found, key=lambda segment: (segment.against_blue.n == 0, segment.against_blue.effect))


def _outcome(against: Comparison, margin: float) -> Outcome:
    outcome, _ = conclude(
        fails=against.interval[1] < -margin,
        error="" if against.n else "no question has both arms",
        doubts=["" if within(against.effect, ">=", -margin) else "with so few questions that may be chance"],
    )
    return outcome

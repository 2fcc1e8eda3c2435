"""The evidence worked out once, read twice, and what is lacking in it.

Missing probes and a Blue that fails leave room for doubt, and doubt must never help Green. So the judge
reads the evidence as it stands (Blue's failed probes left out), and strictly, with all doubt against Green
(what is missing failed on Green, and was the best it could have been on Blue). A rule fails on the first
reading and passes only if it passes on both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from switchover.judge.evidence import BLUE, BLUE_FAILED, GREEN, Evidence
from switchover.judge.figures import Figures


@dataclass(frozen=True, kw_only=True)
class ProbeCounts:
    """What is there and what is lacking, counted, each as [Blue, Green].

    ``runs`` probes are due of each (arm, question, paraphrase): as given, or as many as the one asked most.
    """

    runs: int
    observed: tuple[int, ...]
    lacking: tuple[int, ...]
    unanswered: tuple[int, ...]

    @classmethod
    def of(cls, evidence: Evidence, runs: int | None) -> ProbeCounts:
        """Count the probes that were made."""
        seen = evidence.seen[..., : evidence.wordings]
        made = seen[BLUE] + seen[BLUE_FAILED], seen[GREEN]
        due = int(seen.max(initial=0)) if runs is None else runs
        return cls(
            runs=due,
            observed=tuple(int(arm.sum()) for arm in made),
            lacking=tuple(int(np.maximum(due - arm, 0).sum()) for arm in made),
            unanswered=tuple(int(np.count_nonzero(arm == 0)) for arm in evidence.answered[..., : evidence.wordings]),
        )


class Analysis:
    """One evidence worked out: made once, and handed to all who judge it or show it. Each figure is worked out once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.plain = Figures.plain(evidence)

    @classmethod
    def of(cls, evidence: Evidence | Analysis) -> Analysis:
        """The analysis of some evidence; one that is an analysis already is kept."""
        return evidence if isinstance(evidence, Analysis) else cls(evidence)

    def over(self, evidence: Evidence) -> Analysis:
        """The analysis of a part of this evidence; this one where the part is all of it."""
        return self if evidence is self.evidence else Analysis(evidence)


class BothWays:
    """The evidence read both ways, and what is lacking in it."""

    def __init__(self, analysis: Analysis, *, runs: int | None = None) -> None:
        evidence = self.evidence = analysis.evidence
        self.probes = ProbeCounts.of(evidence, runs)
        self.plain = analysis.plain
        self.blue_answered = self.plain.blue.n
        self.blue_failed = self.probes.observed[BLUE] - self.blue_answered
        self.strict = self.plain
        if any(self.probes.lacking) or self.blue_failed:
            whole = evidence.complete(self.probes.runs) if any(self.probes.lacking) else evidence
            self.strict = self.plain.strict(whole, whole_green=not self.probes.lacking[GREEN])

    @property
    def observed(self) -> tuple[int, ...]:
        """Probes that were made, [Blue, Green]."""
        return self.probes.observed

    @property
    def lacking(self) -> tuple[int, ...]:
        """Probes that are missing, [Blue, Green]."""
        return self.probes.lacking

    def doubts(self, *, blue: bool) -> str:
        """What makes the strict reading differ, in words; with ``blue``, also what Blue lacks."""
        parts = []
        if self.lacking[GREEN]:
            parts.append(f"{self.lacking[GREEN]} probes of Green are missing")
        if blue and self.lacking[BLUE]:
            parts.append(f"{self.lacking[BLUE]} probes of Blue are missing")
        if blue and self.blue_failed:
            parts.append(f"{self.blue_failed} probes of Blue failed")
        return " and ".join(parts)

    def gap(self, *, blue: bool) -> str:
        """Why no rule may pass at all: a question that was never answered. Empty when there is none."""
        arms = (("Green", GREEN), ("Blue", BLUE)) if blue else (("Green", GREEN),)
        whole = len(self.plain.questions) * self.evidence.wordings
        lacks = [
            f"{name} never answered {self.probes.unanswered[arm]} of {whole} paraphrases"
            for name, arm in arms
            if self.probes.unanswered[arm]
        ]
        return " and ".join(lacks)

"""The figures of both arms that the rules ask for, from one reading of the evidence.

Missing probes and a Blue that fails leave room for doubt, and doubt must never help Green. So the judge
reads the evidence twice: as it stands (Blue's failed probes left out), and with all doubt against Green
(``doubt=True``: Blue's failed probes at the best they could have been). A rule fails on the first reading
and passes only if it passes on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from switchover import measure
from switchover.evidence import ARMS, BLUE, GREEN, PARAPHRASES, Bools, Evidence, Floats, Ints

States = npt.NDArray[np.int8]


class Rows:
    """The rows of one arm; a column is fetched when it is asked for."""

    def __init__(self, evidence: Evidence, where: Bools) -> None:
        found = np.flatnonzero(where)
        run = len(found) > 0 and int(found[-1] - found[0]) + 1 == len(found)
        self.rows: slice | Ints = slice(int(found[0]), int(found[-1]) + 1) if run else found
        self._evidence = evidence
        self.n = len(found)

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = getattr(self._evidence, column)[self.rows]
        return values


class Figures:
    """What both arms did, under one reading of the doubt."""

    def __init__(self, evidence: Evidence, *, doubt: bool) -> None:
        self.evidence = evidence
        self.doubt = doubt
        self.questions = evidence.questions
        self.green = Rows(evidence, evidence.arm == GREEN)
        self._blue_failed = evidence.failed & (evidence.arm == BLUE)
        self.blue = Rows(evidence, (evidence.arm == BLUE) & (~self._blue_failed | doubt))

    @cached_property
    def blue_answered(self) -> int:
        """How many of Blue's probes succeeded."""
        return int(np.count_nonzero((self.evidence.arm == BLUE) & ~self._blue_failed))

    @cached_property
    def _blue_bad(self) -> Bools:
        """Which of Blue's rows here are failed ones."""
        bad: Bools = self._blue_failed[self.blue.rows]
        return bad

    @cached_property
    def comparable(self) -> Bools:
        """Questions (n_questions,) that can be compared: those for which Blue has a figure."""
        there: Bools = np.bincount(self.blue["question"], minlength=len(self.questions)) > 0
        return there

    @cached_property
    def green_asked(self) -> Bools:
        """Questions (n_questions,) that were put to Green at least once."""
        asked: Bools = np.bincount(self.green["question"][self.green["observed"]], minlength=len(self.questions)) > 0
        return asked

    @cached_property
    def asked(self) -> int:
        """How many questions that is."""
        return int(np.count_nonzero(self.green_asked))

    @cached_property
    def answerable_asked(self) -> int:
        """The same, without the unanswerable ones."""
        real = self.green["observed"] & ~np.isnan(self.green["coverage"])
        return len(np.unique(self.green["question"][real]))

    def medians(self) -> Floats:
        """Green's median ΔS_question on each paraphrase set (3,)."""
        ds, paraphrase = self.green["ds_question"], self.green["paraphrase"]
        return np.array([measure.quantile(ds[paraphrase == p], 0.5) for p in range(PARAPHRASES)])

    def ds(self) -> tuple[Floats, Floats]:
        """ΔS_question of Green's and of Blue's rows, over the comparable questions."""
        return self._of_green("ds_question"), self._of_blue("ds_question", best=0.0)

    def ms(self, stage: str) -> tuple[Floats, Floats]:
        """Latency of Green's and of Blue's rows, over the comparable questions."""
        return self._of_green(f"ms_{stage}"), self._of_blue(f"ms_{stage}", best=0.0)

    @cached_property
    def green_coverage(self) -> Floats:
        """Green's mean coverage of each question (n_questions,); NaN where it is unanswerable."""
        return self._by_question(self.green["question"], self.green["coverage"])

    @cached_property
    def blue_coverage(self) -> Floats:
        """Blue's mean coverage of each question; NaN also where Blue has no figure."""
        return self._by_question(self.blue["question"], self._of_blue("coverage", best=1.0))

    @cached_property
    def green_states(self) -> States:
        """Green's λ state of each question (n_questions,)."""
        rows = self.green
        return measure.lambda_states(
            rows["question"], rows["paraphrase"], rows["seed"], rows["cited"], len(self.questions)
        )

    def flips(self) -> tuple[Floats, Floats]:
        """Whether each question flips (1.0), on Green and on Blue; NaN where Blue has no figure.

        Under doubt a question with a failed probe on Blue counts as one that does not flip there.
        """
        green = (self.green_states != measure.CONVERGENT).astype(np.float64)
        good, count = ~self._blue_bad, len(self.questions)
        question, paraphrase = self.blue["question"], self.blue["paraphrase"]
        states = measure.lambda_states(
            question[good], paraphrase[good], self.blue["seed"][good], self.blue["cited"][good], count
        )
        blue = (states != measure.CONVERGENT).astype(np.float64)
        blue[question[~good]] = 0.0
        return green, np.where(self.comparable, blue, np.nan)

    @property
    def green_failures(self) -> int:
        """Green's probes without success, those never made among them."""
        return int(np.count_nonzero(measure.failed(self.green["status"]) | ~np.isfinite(self.green["ms_total"])))

    @property
    def green_5xx(self) -> int:
        """Green's probes that ended in a 5xx."""
        return int(np.count_nonzero(measure.server_errors(self.green["status"])))

    @property
    def green_tool_loops(self) -> int:
        """Green's probes with a tool loop."""
        return int(np.count_nonzero(self.green["tool_loop"]))

    def inert_seeds(self) -> tuple[int, int]:
        """(seeds that Green was asked with, those of them that changed nothing)."""
        rows, real = self.green, self.green["observed"]
        seeds = rows["seed"][real]
        inert = measure.inert_seeds(rows["question"][real], rows["paraphrase"][real], seeds, rows["cited"][real])
        return len(np.unique(seeds)), len(inert)

    def _of_green(self, column: str) -> Floats:
        values: Floats = self.green[column]
        if not self.comparable.all():
            values = values[self.comparable[self.green["question"]]]
        return values

    def _of_blue(self, column: str, *, best: float) -> Floats:
        values: Floats = self.blue[column]
        if not self.doubt:
            return values
        filled: Floats = np.where(self._blue_bad & ~np.isnan(values), best, values)
        return filled

    def _by_question(self, question: Ints, values: Floats) -> Floats:
        count = np.bincount(question, minlength=len(self.questions))
        total = np.bincount(question, weights=values, minlength=len(self.questions))
        mean: Floats = np.divide(total, count, out=np.full(len(count), math.nan), where=count > 0)
        return mean


def mean_of(values: Floats) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def rise(green: float, blue: float) -> float:
    """Green ÷ Blue - 1; NaN when neither arm has a time."""
    if blue > 0 and math.isfinite(blue):
        return green / blue - 1
    if green == blue:
        return 0.0 if math.isfinite(green) else math.nan
    return math.inf if green > blue else -1.0


def p95_rise(figures: Figures, stage: str) -> float:
    """How much Green's p95 of one stage is above Blue's, as a share."""
    green, blue = figures.ms(stage)
    return rise(measure.latency(green)[1], measure.latency(blue)[1])


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """What is there and what is lacking, each as [Blue, Green].

    ``runs`` probes are due of each (arm, question, paraphrase): as given, or as many as the one asked most.
    """

    runs: int
    observed: tuple[int, ...]
    lacking: tuple[int, ...]
    never_asked: tuple[int, ...]

    @classmethod
    def of(cls, evidence: Evidence, runs: int | None) -> Gaps:
        """Count the probes that were made."""
        shape = (len(ARMS), len(evidence.questions), PARAPHRASES)
        cell = np.ravel_multi_index((evidence.arm, evidence.question, evidence.paraphrase), shape)
        made = np.bincount(cell[evidence.observed], minlength=math.prod(shape)).reshape(len(ARMS), -1)
        due = int(made.max(initial=0)) if runs is None else runs
        return cls(
            runs=due,
            observed=tuple(int(arm.sum()) for arm in made),
            lacking=tuple(int(np.maximum(due - arm, 0).sum()) for arm in made),
            never_asked=tuple(int(np.count_nonzero(arm == 0)) for arm in made),
        )


class Readings:
    """The evidence read both ways, and what is lacking in it."""

    def __init__(self, evidence: Evidence, *, runs: int | None = None) -> None:
        self.gaps = Gaps.of(evidence, runs)
        self.plain = Figures(evidence, doubt=False)
        self.blue_failed = int(np.count_nonzero(self.plain._blue_failed & evidence.observed))
        sure = not any(self.gaps.lacking) and not self.blue_failed
        self.strict = self.plain if sure else Figures(evidence.complete(self.gaps.runs), doubt=True)

    @property
    def observed(self) -> tuple[int, ...]:
        """Probes that were made, [Blue, Green]."""
        return self.gaps.observed

    @property
    def lacking(self) -> tuple[int, ...]:
        """Probes that are missing, [Blue, Green]."""
        return self.gaps.lacking

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
        """Why no rule may pass at all: a question that was never asked. Empty when there is none."""
        arms = (("Green", GREEN), ("Blue", BLUE)) if blue else (("Green", GREEN),)
        whole = len(self.plain.questions) * PARAPHRASES
        lacks = [
            f"{self.gaps.never_asked[arm]} of {whole} paraphrases were never put to {name}"
            for name, arm in arms
            if self.gaps.never_asked[arm]
        ]
        return " and ".join(lacks)

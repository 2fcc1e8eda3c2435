"""The figures of both arms that the rules ask for; each is worked out once, when it is asked for."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from switchover.judge import measure
from switchover.judge.evidence import BLUE, BLUE_FAILED, GREEN, PARAPHRASES, SIDES, Bools, Evidence, Floats
from switchover.judge.evidence_row import ANSWERS
from switchover.judge.groups import NOT_ASKED, Ints
from switchover.judge.selection import Selection

#: What a failed probe could have been at best, of each figure that has a mean.
BEST = {
    "ds_question": 0.0,
    "ds_anchor": 0.0,
    "coverage": 1.0,
    "ndcg": 1.0,
    "reciprocal_rank": 1.0,
    **{name: best for name, (_, best) in ANSWERS.items()},
}
States = npt.NDArray[np.int8]


class Side(Selection):
    """One side's rows, and the figures by question that need no other side."""

    def __init__(self, evidence: Evidence, side: int) -> None:
        super().__init__(evidence, evidence.side == side)
        self._side = side
        self.questions = len(evidence.questions)

    @cached_property
    def errors_5xx(self) -> int:
        """How many probes ended in a 5xx."""
        return self.count(self._evidence.errors_5xx)

    @cached_property
    def tool_loops(self) -> int:
        """How many probes had a tool loop."""
        return self.count(self._evidence.tool_loop)

    @cached_property
    def asked(self) -> Bools:
        """Questions (n_questions,) that were put to this arm at least once."""
        asked: Bools = self._evidence.seen[self._side].sum(axis=1) > 0
        return asked

    @cached_property
    def answered(self) -> Bools:
        """Questions (n_questions,) that this arm answered at least once."""
        answered: Bools = self._evidence.answered[self._side].sum(axis=1) > 0
        return answered

    @cached_property
    def coverage(self) -> Floats:
        """Mean coverage of each question (n_questions,); NaN where it is unanswerable or there is no row."""
        total, count = self.covered
        mean: Floats = np.divide(total, count, out=np.full(len(count), math.nan), where=count > 0)
        return mean

    def means(self, column: str) -> Floats:
        """Mean of what is known of a column by question (n_questions,); NaN where nothing is."""
        total, count = self.sums(column)
        mean: Floats = np.divide(total, count, out=np.full(len(count), math.nan), where=count > 0)
        return mean

    def sums(self, column: str) -> tuple[Floats, Ints]:
        """(sum of what is known of a column, how many rows know it) of each question (n_questions,)."""
        total, count = self._evidence.sums(column)
        return total[self._side], count[self._side]

    @cached_property
    def covered(self) -> tuple[Floats, Ints]:
        """(sum of coverages, rows) of each question (n_questions,)."""
        return self._evidence.covered[self._side], self._evidence.counts[self._side].sum(axis=1)

    @cached_property
    def states(self) -> States:
        """λ state of each question (n_questions,)."""
        mine: States = self._evidence.states[self._side]
        return mine

    @cached_property
    def flips(self) -> Floats:
        """1.0 where a question is not → (n_questions,)."""
        flips: Floats = (self.states != measure.CONVERGENT).astype(np.float64)
        return flips

    @cached_property
    def medians(self) -> Floats:
        """Median ΔS_question on each paraphrase set (3,)."""
        return np.array([measure.quantile(ds, 0.5) for ds in self.paraphrase_sets])

    @cached_property
    def paraphrase_sets(self) -> list[Floats]:
        """ΔS_question of each paraphrase set."""
        ds, paraphrase = self["ds_question"], self["paraphrase"]
        return [ds[np.flatnonzero(paraphrase == p)] for p in range(self._evidence.wordings)]

    def seeds(self) -> tuple[int, int]:
        """(seeds that this arm was asked with, those of them that changed nothing)."""
        evidence = self._evidence if self._evidence.whole else self._evidence.take(self._evidence.observed)
        seeds, cited = evidence.citations
        mine = cited[:, self._side].reshape(len(seeds), -1)
        asked = (mine != NOT_ASKED).any(axis=1)
        return int(np.count_nonzero(asked)), len(measure.inert(seeds[asked], mine[asked]))


class AtBest(Side):
    """Blue under doubt: its successful probes, and ``failed`` ones as the best that they could have been."""

    def __init__(self, good: Side, failed: Side) -> None:
        self._good = good
        self._failed = failed
        self.n = good.n + failed.n
        self.questions = good.questions
        self._columns = {}
        self._quantiles = {}

    def sums(self, column: str) -> tuple[Floats, Ints]:
        """The same with each failed probe at its best."""
        total, count = self._good.sums(column)
        more = self._failed.sums(column)[1]
        return total + more * BEST[column], count + more

    def quantile(self, column: str, q: float) -> float:
        """One quantile of a column."""
        return float(measure.quantile(self._of_column(column), q, reorder=True))

    def _of_column(self, column: str) -> npt.NDArray[Any]:
        there = self._good[column]
        if column.startswith("ms_"):
            return np.concatenate([there, np.zeros(self._failed.n)])
        if column in BEST:
            return np.concatenate([there, np.where(np.isnan(self._failed[column]), math.nan, BEST[column])])
        return np.concatenate([there, self._failed[column]])

    @cached_property
    def paraphrase_sets(self) -> list[Floats]:
        """As if the failed probes had found what lies at the question itself."""
        lost = np.bincount(self._failed["paraphrase"], minlength=PARAPHRASES)
        return [np.concatenate([ds, np.zeros(lost[p])]) for p, ds in enumerate(self._good.paraphrase_sets)]

    @cached_property
    def covered(self) -> tuple[Floats, Ints]:
        """As if the failed probes had covered everything; an unanswerable question stays NaN."""
        total, count = self._good.covered
        more = np.bincount(self._failed["question"], minlength=self.questions)
        unanswerable = self._failed["question"][np.isnan(self._failed["coverage"])]
        best = total + more
        best[unanswerable] = math.nan
        return best, count + more

    @cached_property
    def flips(self) -> Floats:
        """A question does not flip if its failed probes, had they cited its most cited section, made it →."""
        flips: Floats = self._good.flips.copy()
        more = np.bincount(self._failed["question"], minlength=self.questions)
        open_end = (flips > 0) & (more > 0)
        if open_end.any():
            rows = self._good.only(open_end)
            top, runs = measure.most_cited(rows["question"], rows["cited"], self.questions)
            many = self._good.seeds()[0] > 2  # some may be inert, and which ones would be another matter
            flips[open_end & (many | (5 * (top + more) >= 4 * (runs + more)))] = 0.0
        return flips


class Figures:
    """What both arms did, under one reading of the doubt."""

    def __init__(self, questions: tuple[str, ...], green: Side, blue: Side) -> None:
        self.questions = questions
        self.green = green
        self.blue = blue

    @classmethod
    def plain(cls, evidence: Evidence) -> Figures:
        """The evidence as it stands: Blue's failed probes are left out."""
        return cls(evidence.questions, Side(evidence, GREEN), Side(evidence, BLUE))

    def strict(self, evidence: Evidence, *, whole_green: bool) -> Figures:
        """The same with all doubt against Green; ``whole_green``: no row of Green is missing."""
        green = self.green if whole_green else Side(evidence, GREEN)
        return Figures(self.questions, green, AtBest(self.blue, Side(evidence, BLUE_FAILED)))

    @property
    def answered(self) -> int:
        """How many questions Green answered at least once."""
        return int(np.count_nonzero(self.green.answered))

    @property
    def answerable(self) -> int:
        """How many of them have an answer in the corpus."""
        return int(np.count_nonzero(self.green.answered & ~np.isnan(self.green.coverage)))

    @cached_property
    def comparable(self) -> Bools:
        """Questions (n_questions,) that can be compared: those for which Blue has a figure."""
        return self.blue.covered[1] > 0

    @cached_property
    def compared(self) -> Selection:
        """Green's rows over the comparable questions."""
        return self.green.only(self.comparable)

    def drift(self, q: float) -> float:
        """q(Green) - q(Blue) of ΔS_question."""
        return self.compared.quantile("ds_question", q) - self.blue.quantile("ds_question", q)

    def p95(self, stage: str) -> tuple[float, float]:
        """p95 of one stage on Green and on Blue, in milliseconds."""
        return self.compared.quantile(f"ms_{stage}", 0.95), self.blue.quantile(f"ms_{stage}", 0.95)

    def rise(self, stage: str) -> float:
        """How much Green's p95 of one stage is above Blue's, as a share."""
        return rise(*self.p95(stage))

    def flips(self) -> tuple[Floats, Floats]:
        """Whether each question flips (1.0), on Green and on Blue; NaN where Blue has no figure."""
        return self.green.flips, np.where(self.comparable, self.blue.flips, math.nan)


def tick_losses(evidence: Evidence) -> tuple[Floats, Ints]:
    """(coverage(Blue) - coverage(Green) of each question in each tick (n,), tick by tick; how many a tick (ticks,))."""
    shape = (len(evidence.ticks), SIDES, len(evidence.questions))
    cell = (evidence.at * SIDES + evidence.side) * shape[2] + evidence.question
    total = np.bincount(cell, evidence.coverage, math.prod(shape)).reshape(shape)
    rows = np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
    mean = np.divide(total, rows, out=np.full(shape, math.nan), where=rows > 0)
    lost = mean[:, BLUE] - mean[:, GREEN]
    known = ~np.isnan(lost)
    return lost[known], known.sum(axis=1)


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

"""The figures of both arms that the rules ask for; each is worked out once, when it is asked for."""

from __future__ import annotations

import math
import weakref
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from switchover import measure
from switchover.evidence import BLUE, GREEN, PARAPHRASES, Bools, Evidence, Floats, Ints
from switchover.intervals import Interval, wilson

States = npt.NDArray[np.int8]


class Side:
    """One arm's rows and the figures that need no other arm. Everything is worked out once, when asked for."""

    def __init__(self, evidence: Evidence, where: Bools) -> None:
        self._ref = weakref.ref(evidence)  # the evidence remembers its sides: no circle
        rows = np.flatnonzero(where)
        together = len(rows) > 0 and int(rows[-1] - rows[0]) == len(rows) - 1
        self._rows: slice | Ints = slice(int(rows[0]), int(rows[-1]) + 1) if together else rows
        self._columns: dict[str, npt.NDArray[Any]] = {}
        self._quantiles: dict[tuple[str, float], float] = {}
        self.n = len(rows)
        self.questions = len(evidence.questions)

    @property
    def _evidence(self) -> Evidence:
        evidence = self._ref()
        if evidence is None:
            raise ReferenceError("figures: the evidence is gone; keep it as long as its figures")
        return evidence

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        """One column of this arm's rows."""
        if column not in self._columns:
            self._columns[column] = self._of_column(column)
        return self._columns[column]

    def quantile(self, column: str, q: float) -> float:
        """One quantile of a column."""
        if (column, q) not in self._quantiles:
            self._quantiles[column, q] = float(measure.quantile(self[column], q, self._room))
        return self._quantiles[column, q]

    def interval(self, column: str, q: float, n: float, z: float) -> Interval:
        """The same with its interval; ``n`` is how many independent draws the rows are worth."""
        low, high = wilson(q * n, n, z)
        found = measure.quantile(self[column], [low, q, high], self._room)
        self._quantiles[column, q] = float(found[1])
        return float(found[0]), float(found[2])

    def only(self, questions: Bools) -> Side:
        """The same side over some questions (n_questions,)."""
        kept = np.zeros(len(self._evidence), np.bool_)
        kept[self._rows] = questions[self["question"]]
        return Side(self._evidence, kept)

    @cached_property
    def failed(self) -> Bools:
        """Which rows are probes without success."""
        return self._of(self._evidence.failed)

    @cached_property
    def _room(self) -> Floats:
        return np.empty(self.n)

    @cached_property
    def asked(self) -> Bools:
        """Questions (n_questions,) that were put to this arm at least once."""
        if self["observed"].all():
            return self.covered[1] > 0
        there: Bools = np.bincount(self["question"][self["observed"]], minlength=self.questions) > 0
        return there

    @cached_property
    def coverage(self) -> Floats:
        """Mean coverage of each question (n_questions,); NaN where it is unanswerable or there is no row."""
        total, count = self.covered
        mean: Floats = np.divide(total, count, out=np.full(len(count), math.nan), where=count > 0)
        return mean

    @cached_property
    def covered(self) -> tuple[Floats, Ints]:
        """(sum of coverages, rows) of each question (n_questions,)."""
        count = np.bincount(self["question"], minlength=self.questions)
        total = np.bincount(self["question"], self["coverage"], self.questions)
        return total.astype(np.float64), count

    @cached_property
    def states(self) -> States:
        """λ state of each question (n_questions,)."""
        return measure.lambda_states(self["question"], self["paraphrase"], self["seed"], self["cited"], self.questions)

    @cached_property
    def flips(self) -> Floats:
        """1.0 where a question is not → (n_questions,)."""
        flips: Floats = (self.states != measure.CONVERGENT).astype(np.float64)
        return flips

    def _of_column(self, column: str) -> npt.NDArray[Any]:
        return self._of(getattr(self._evidence, column))

    def _of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """This arm's part of a column: a view where its rows lie together."""
        return values[self._rows] if isinstance(self._rows, slice) else np.take(values, self._rows)

    @cached_property
    def medians(self) -> Floats:
        """Median ΔS_question on each paraphrase set (3,)."""
        return np.array([measure.quantile(ds, 0.5) for ds in self.paraphrase_sets])

    @cached_property
    def paraphrase_sets(self) -> list[Floats]:
        """ΔS_question of each paraphrase set."""
        return [self["ds_question"][self["paraphrase"] == p] for p in range(PARAPHRASES)]

    def seeds(self) -> tuple[int, int]:
        """(seeds that this arm was asked with, those of them that changed nothing)."""
        columns = [self[name] for name in ("question", "paraphrase", "seed", "cited")]
        if not self["observed"].all():
            columns = [values[self["observed"]] for values in columns]
        question, paraphrase, seed, cited = columns
        inert = measure.inert_seeds(question, paraphrase, seed, cited)
        return len(measure.distinct(seed)), len(inert)


class AtBest(Side):
    """Blue under doubt: its successful probes, and ``failed`` ones as the best that they could have been."""

    def __init__(self, good: Side, failed: Side) -> None:
        self._good = good
        self._failed = failed
        self.n = good.n + failed.n
        self.questions = good.questions
        self._columns = {}
        self._quantiles = {}

    def quantile(self, column: str, q: float) -> float:
        """One quantile of a column."""
        values = self._of_column(column)
        return float(measure.quantile(values, q, room=values))

    def _of_column(self, column: str) -> npt.NDArray[Any]:
        there = self._good[column]
        if column in ("ds_question", *(f"ms_{stage}" for stage in measure.STAGES)):
            return np.concatenate([there, np.zeros(self._failed.n)])
        return np.concatenate([there, self._failed[column]])

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
        """A question with a failed probe counts as one that does not flip."""
        flips: Floats = self._good.flips.copy()
        flips[self._failed["question"]] = 0.0
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
        return cls(evidence.questions, *sides(evidence))

    def strict(self, evidence: Evidence, *, whole_green: bool) -> Figures:
        """The same with all doubt against Green; ``whole_green``: no row of Green is missing."""
        green = self.green if whole_green else Side(evidence, evidence.arm == GREEN)
        failed = Side(evidence, (evidence.arm == BLUE) & evidence.failed)
        return Figures(self.questions, green, AtBest(self.blue, failed))

    @property
    def asked(self) -> int:
        """How many questions were put to Green."""
        return int(np.count_nonzero(self.green.asked))

    @property
    def answerable_asked(self) -> int:
        """The same, without the unanswerable ones."""
        return int(np.count_nonzero(self.green.asked & ~np.isnan(self.green.coverage)))

    @cached_property
    def comparable(self) -> Bools:
        """Questions (n_questions,) that can be compared: those for which Blue has a figure."""
        return self.blue.covered[1] > 0

    @cached_property
    def compared(self) -> Side:
        """Green's rows over the comparable questions."""
        if self.comparable.all():
            return self.green
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


def sides(evidence: Evidence) -> tuple[Side, Side]:
    """Green, and Blue's successful probes; the same ones whenever the same evidence is asked for."""
    if "sides" not in evidence.memo:
        green = Side(evidence, evidence.arm == GREEN)
        evidence.memo["sides"] = green, Side(evidence, (evidence.arm == BLUE) & ~evidence.failed)
    found: tuple[Side, Side] = evidence.memo["sides"]
    return found


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

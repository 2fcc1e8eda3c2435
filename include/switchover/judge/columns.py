"""Evidence as columns, and what follows from them for each row and each question; each is worked out once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from switchover.judge import measure
from switchover.judge.groups import NOT_ASKED, Ints, agreed, distinct, places, starts, together

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T", bound="Columns")

BLUE, GREEN, BLUE_FAILED = 0, 1, 2  # arms 0 and 1; as sides, Blue's failed probes stand apart
SIDES = 3
ARMS = ("blue", "green")
PARAPHRASES = 3


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Evidence rows as columns (n,). Codes point into ``questions`` and ``sections``.

    ``arm`` 0 Blue, 1 Green; ``cited`` -1 where a run failed or cited nothing; ``coverage`` NaN for an
    unanswerable question, ``ndcg`` and ``reciprocal_rank`` also where nothing is judged by ids; ``ms_*`` infinite
    for a failed probe; ``observed`` is false for a row that stands in for a probe that was never made. From
    ``cited_right`` to ``answer_moved``: NaN where nothing is known. ``unfed``: what some answers did not say; see
    ``EvidenceRow.lacks``. ``grade``: by what coverage was measured; empty: not known. ``wordings``: in how many
    each question is asked.
    """

    questions: tuple[str, ...]
    sections: tuple[str, ...]
    tick: Ints
    arm: Ints
    question: Ints
    paraphrase: Ints
    seed: Ints
    ds_question: Floats
    ds_anchor: Floats
    coverage: Floats
    ndcg: Floats
    reciprocal_rank: Floats
    cited: Ints
    ms_retrieve: Floats
    ms_rerank: Floats
    ms_reason: Floats
    ms_total: Floats
    status: Ints
    tool_loop: Bools
    cited_right: Floats
    cited_retrieved: Floats
    uncited: Floats
    answer_f1: Floats
    answer_ds: Floats
    answer_moved: Floats
    observed: Bools
    unfed: frozenset[str] = frozenset()
    grade: str = ""
    wordings: int = PARAPHRASES

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in COLUMNS}
        if len(lengths) > 1:
            raise ValueError(f"evidence: columns of unequal lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.arm)

    @cached_property
    def side(self) -> Ints:
        """Whose probe each row (n,) is: ``BLUE`` (one that succeeded), ``GREEN`` or ``BLUE_FAILED``."""
        side: Ints = self.arm.copy()
        side[np.flatnonzero(self.failed & (self.arm == BLUE))] = BLUE_FAILED
        return side

    @cached_property
    def subject(self) -> Ints:
        """Side and question of each row (n,) as one number, below ``SIDES * len(questions)``."""
        subject: Ints = self.side * len(self.questions)
        subject += self.question
        return subject

    @cached_property
    def cell(self) -> Ints:
        """Side, question and paraphrase of each row (n,) as one number."""
        cell: Ints = self.subject * PARAPHRASES
        cell += self.paraphrase
        return cell

    @cached_property
    def counts(self) -> Ints:
        """How many rows there are of each side, question and paraphrase (SIDES, questions, PARAPHRASES)."""
        return self._counts(self.cell)

    @cached_property
    def seen(self) -> Ints:
        """The same of observed rows only."""
        return self.counts if self.whole else self._counts(self.cell[self.observed])

    @cached_property
    def answered(self) -> Ints:
        """How many probes of each arm, question and paraphrase succeeded (2, questions, PARAPHRASES)."""
        lost = self._counts(self.cell[np.flatnonzero(self.failed)])
        succeeded: Ints = (self.counts - lost)[: len(ARMS)]
        return succeeded

    def _counts(self, cell: Ints) -> Ints:
        shape = (SIDES, len(self.questions), PARAPHRASES)
        return np.bincount(cell, minlength=math.prod(shape)).reshape(shape)

    @cached_property
    def covered(self) -> Floats:
        """Sum of the coverages of each side and question (SIDES, questions)."""
        total = np.bincount(self.subject, self.coverage, SIDES * len(self.questions))
        return total.astype(np.float64).reshape(SIDES, -1)

    def sums(self, column: str) -> tuple[Floats, Ints]:
        """(sum of what is known of a column, how many rows know it) of each side and question (SIDES, questions)."""
        if column not in self._sums:  # one pass over the rows for all sides
            self._sums[column] = self._sums_of(getattr(self, column))
        return self._sums[column]

    @cached_property
    def _sums(self) -> dict[str, tuple[Floats, Ints]]:
        return {}

    def _sums_of(self, values: Floats) -> tuple[Floats, Ints]:
        subject, shape = self.subject, (SIDES, len(self.questions))
        total, count = np.bincount(subject, values, math.prod(shape)), self.counts.sum(axis=2)
        if np.isnan(total).any():
            known = np.flatnonzero(~np.isnan(values))
            total = np.bincount(subject[known], values[known], math.prod(shape))
            count = np.bincount(subject[known], minlength=math.prod(shape))
        return total.astype(np.float64).reshape(shape), count.reshape(shape)

    @cached_property
    def failed(self) -> Bools:
        """Which rows (n,) are probes without success; one without a latency has not succeeded."""
        return measure.failed(self.status) | ~np.isfinite(self.ms_total)

    @cached_property
    def errors_5xx(self) -> Bools:
        """Which rows (n,) are probes that ended in a 5xx."""
        return measure.server_errors(self.status)

    @cached_property
    def whole(self) -> bool:
        """Whether every row was observed."""
        return bool(self.observed.all())

    @cached_property
    def ticks(self) -> Ints:
        """The ticks that have rows, in order."""
        return self.tick[starts(self.tick)] if self.ordered else distinct(self.tick)

    @cached_property
    def at(self) -> Ints:
        """Position of each row's tick in ``ticks`` (n,)."""
        return places(self.tick, self.ticks)

    @cached_property
    def ordered(self) -> bool:
        """Whether the rows stand in the order of their ticks."""
        return not np.any(self.tick[1:] < self.tick[:-1])

    @cached_property
    def bounds(self) -> Ints:
        """Where each tick begins, and the number of rows (ticks + 1,); ``ValueError`` if not ``ordered``."""
        if not self.ordered:
            raise ValueError("evidence: the rows do not stand in the order of their ticks; see in_order")
        return np.append(np.searchsorted(self.tick, self.ticks), len(self))

    @cached_property
    def citations(self) -> tuple[Ints, Ints]:
        """The seeds (s,), and what each cited of each side, question and paraphrase (s, SIDES, questions, 3)."""
        shape = (SIDES, len(self.questions), PARAPHRASES)
        seeds, table = measure.citations(self.cell, self.seed, self.cited, math.prod(shape))
        return seeds, table.reshape(len(seeds), *shape)

    @cached_property
    def states(self) -> npt.NDArray[np.int8]:
        """λ state of each side and question (SIDES, questions)."""
        q, p, s, c = self.subject, self.paraphrase, self.seed, self.cited
        shape = (SIDES, len(self.questions))
        seeds, cited = self.citations
        if len(seeds) <= 2:  # to leave one of two out changes nothing
            return measure.states_from(together(cited, axis=(0, 3)).ravel(), q, p, c).reshape(shape)
        found = np.empty(shape, np.int8)
        for side in range(SIDES):  # which of many seeds are inert is a matter of each side
            rows = np.flatnonzero(self.side == side)
            of_side = measure.lambda_states(q[rows], p[rows], s[rows], c[rows], math.prod(shape))
            found[side] = of_side.reshape(shape)[side]
        return found

    @property
    def tick_flips(self) -> tuple[Bools, Bools]:
        """Whether each question flips in each tick, and whether it was asked in it (ticks, SIDES, questions)."""
        shape = (len(self.ticks), SIDES, len(self.questions))
        cell = self.at * (shape[1] * shape[2])
        cell += self.subject
        cited = agreed(cell, self.cited, math.prod(shape))
        found = measure.states_from(cited, cell, self.paraphrase, self.cited)
        asked = cited != NOT_ASKED
        return ((found != measure.CONVERGENT) & asked).reshape(shape), asked.reshape(shape)

    def newest(self: T, ticks: int) -> T:
        """The rows of the newest ``ticks`` ticks that have rows."""
        if len(self.ticks) <= ticks:
            return self
        return self.take(self.tick >= self.ticks[-ticks])

    def in_order(self: T) -> T:
        """The same rows in the order of their ticks."""
        return self if self.ordered else self.take(np.argsort(self.tick, kind="stable"))

    def take(self: T, rows: Bools | Ints) -> T:
        """The rows that a mask or positions name."""
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows  # a mask is slow, and there are many columns
        taken: dict[str, Any] = {name: np.take(getattr(self, name), at) for name in COLUMNS}
        return replace(self, **taken)


COLUMNS = tuple(
    one.name for one in fields(Columns) if one.name not in ("questions", "sections", "unfed", "grade", "wordings")
)

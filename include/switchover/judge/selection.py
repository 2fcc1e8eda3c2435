"""Some rows of the evidence: their columns, their quantiles, how many there are of each tick."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from switchover.judge import measure
from switchover.judge.evidence import Bools, Evidence, Floats
from switchover.judge.groups import Ints
from switchover.judge.intervals import Interval, wilson


class Selection:
    """Some rows of the evidence: their columns and quantiles, each worked out once."""

    def __init__(self, evidence: Evidence, where: Bools) -> None:
        self._evidence = evidence
        self._where = where  # (n,) of the evidence
        self._rows = np.flatnonzero(where)
        self._columns: dict[str, npt.NDArray[Any]] = {}
        self._quantiles: dict[tuple[str, float], float] = {}
        self.n = len(self._rows)

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        """One column (n,)."""
        if column not in self._columns:
            self._columns[column] = self._of_column(column)
        return self._columns[column]

    def quantile(self, column: str, q: float) -> float:
        """One quantile of a column."""
        if (column, q) not in self._quantiles:
            self._quantiles[column, q] = float(measure.quantile(self._loose(column), q, reorder=True))
        return self._quantiles[column, q]

    def interval(self, column: str, q: float, n: float, z: float) -> Interval:
        """The same with its interval; ``n`` is how many independent draws the rows are worth."""
        low, high = wilson(q * n, n, z)
        found = measure.quantile(self._loose(column), [low, q, high], reorder=True)
        self._quantiles[column, q] = float(found[1])
        return float(found[0]), float(found[2])

    def only(self, questions: Bools) -> Selection:
        """The rows of some questions (n_questions,)."""
        if questions.all():
            return self
        return Selection(self._evidence, self._where & questions[self._evidence.question])

    def count(self, which: Bools) -> int:
        """How many of them a mask over the evidence names."""
        return int(np.count_nonzero(self._where & which))

    @cached_property
    def failed(self) -> int:
        """How many of them are probes without success."""
        return self.count(self._evidence.failed)

    def per_tick(self, which: Bools | None = None) -> Ints:
        """How many there are of each tick (ticks,), of all or of those that a mask over the evidence names."""
        if which is None:
            return np.diff(self.bounds)
        at = self._evidence.at[np.flatnonzero(self._where & which)]
        return np.bincount(at, minlength=len(self._evidence.ticks))

    @cached_property
    def bounds(self) -> Ints:
        """Where each tick begins among these rows, and their number (ticks + 1,), of evidence in order."""
        return np.searchsorted(self._rows, self._evidence.bounds)

    def _of_column(self, column: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = np.take(getattr(self._evidence, column), self._rows)
        return values

    def _loose(self, column: str) -> Floats:
        """The values of a column in the work buffer, where they may be put in another order."""
        np.take(getattr(self._evidence, column), self._rows, out=self._room, mode="clip")  # "raise" copies twice
        return self._room

    @cached_property
    def _room(self) -> Floats:
        return np.empty(self.n)

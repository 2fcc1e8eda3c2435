"""What the judge judges: evidence rows as columns (figures of live traffic are in ``traffic``).

Everything that can be wrong with a row is put right here, in one direction only: what is missing, not a
number or out of range becomes the worst value, so that no gap can improve a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from switchover.errors import BadInput
from switchover.judge import measure
from switchover.judge.columns import ARMS as ARMS
from switchover.judge.columns import BLUE as BLUE
from switchover.judge.columns import BLUE_FAILED as BLUE_FAILED
from switchover.judge.columns import COLUMNS as COLUMNS
from switchover.judge.columns import GREEN as GREEN
from switchover.judge.columns import PARAPHRASES as PARAPHRASES
from switchover.judge.columns import SIDES as SIDES
from switchover.judge.columns import Bools as Bools
from switchover.judge.columns import Columns
from switchover.judge.columns import Floats as Floats
from switchover.judge.evidence_row import ANSWERS, EvidenceRow
from switchover.judge.groups import Ints
from switchover.judge.traffic import SignalSample as SignalSample  # a part of the evidence, too
from switchover.judge.traffic import increments as increments

NO_CITATION = "(no citation)"  # what an unanswerable question should cite


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a run was to ask: ``runs`` probes of each (arm, question, paraphrase), that is rounds × seeds."""

    runs: int


class Evidence(Columns):
    """Columns that are put right: nothing that is missing, not a number or out of range helps a verdict."""

    @classmethod
    def from_rows(
        cls, rows: Sequence[EvidenceRow], questions: Sequence[str], *, grade: str = "", wordings: int = PARAPHRASES
    ) -> Evidence:
        """Columns from evidence rows.

        ``questions`` are the ids of the gold set: every one is expected on both arms with each paraphrase.
        A combination that no row has is filled with one failed probe. A row of any other question, arm
        or paraphrase is ``BadInput``. ``grade``: by what coverage was measured. ``wordings``: in how many each
        question is asked.
        """
        ids = tuple(questions)
        where = {name: code for code, name in enumerate(ids)}
        if len(where) < len(ids):
            raise BadInput("evidence: a question id is given twice")
        unknown = next((row.question for row in rows if row.question not in where), None)
        if unknown is not None:
            raise BadInput(f"evidence: question {unknown!r} is not in the gold set of {len(ids)} questions")
        arms = [row.arm for row in rows]
        if not set(arms) <= set(ARMS):
            raise BadInput(f"evidence: arm {(set(arms) - set(ARMS)).pop()!r}; allowed: blue, green")
        sections = dict.fromkeys(str(row.cited) for row in rows if row.cited is not None)
        code: dict[str | None, int] = {name: position for position, name in enumerate(sections)}
        status = _ints(row.status for row in rows)
        error = np.array([bool(row.error) for row in rows], dtype=np.bool_)
        raw = cls(
            questions=ids,
            sections=tuple(sections),
            tick=_ints(row.tick for row in rows),
            arm=_ints(ARMS.index(arm) for arm in arms),
            question=_ints(where[row.question] for row in rows),
            paraphrase=_ints(row.paraphrase for row in rows),
            seed=_ints(row.seed for row in rows),
            ds_question=_floats(row.ds_question for row in rows),
            ds_anchor=_floats(row.ds_anchor for row in rows),
            coverage=_floats((row.coverage for row in rows), none=-np.inf),
            ndcg=_floats(row.ndcg for row in rows),
            reciprocal_rank=_floats(row.reciprocal_rank for row in rows),
            cited=_ints(-1 if row.cited is None else code[str(row.cited)] for row in rows),
            ms_retrieve=_floats(row.ms_retrieve for row in rows),
            ms_rerank=_floats(row.ms_rerank for row in rows),
            ms_reason=_floats(row.ms_reason for row in rows),
            ms_total=_floats(row.ms_total for row in rows),
            status=np.where(error & ~measure.failed(status), 0, status),
            tool_loop=np.array([bool(row.tool_loop) for row in rows], dtype=np.bool_),
            **{name: _floats(getattr(row, name) for row in rows) for name in ANSWERS},
            observed=np.ones(len(rows), dtype=np.bool_),
            grade=grade,
            wordings=wordings,
            unfed=frozenset(word for row in rows if row.lacks and not row.error for word in row.lacks.split()),
        )
        return raw.cleaned(unanswerable=np.isneginf(raw.coverage)).complete(1)

    def cleaned(self, *, unanswerable: Bools) -> Evidence:
        """The same rows with what is not a number, out of range or failed at its worst value.

        ``unanswerable`` (n,) marks rows that say they have no coverage. Only a question of which all
        observed rows say so is unanswerable; elsewhere such a row covers nothing.
        """
        if len(self) and not 0 <= self.paraphrase.min() <= self.paraphrase.max() < PARAPHRASES:
            raise BadInput(f"evidence: a paraphrase outside 0..{PARAPHRASES - 1}")
        failed, count = self.failed, len(self.questions)
        lost = np.flatnonzero(failed)
        open_end = np.zeros(len(self), np.bool_)
        if unanswerable.any():
            says = np.bincount(self.question[self.observed & unanswerable], minlength=count)
            rows = np.bincount(self.question[self.observed], minlength=count)
            open_end = ((says == rows) & (rows > 0))[self.question]
        without = np.flatnonzero(open_end)
        abstained = np.flatnonzero(open_end & ~failed & (self.cited < 0))
        answers: dict[str, Any] = {
            name: _but(_known(getattr(self, name), worst), lost, worst) for name, (worst, _) in ANSWERS.items()
        }
        return replace(
            self,
            sections=(*self.sections, NO_CITATION) if len(abstained) else self.sections,
            ds_question=_but(_share(self.ds_question, worst=1.0), lost, 1.0),
            ds_anchor=_but(_share(self.ds_anchor, worst=1.0), lost, 1.0),
            coverage=_but(_but(_share(self.coverage, worst=0.0), lost, 0.0), without, np.nan),
            ndcg=self._ranked(self.ndcg, lost),
            reciprocal_rank=self._ranked(self.reciprocal_rank, lost),
            cited=_but(_but(self.cited, lost, -1), abstained, len(self.sections)),
            ms_retrieve=_but(_time(self.ms_retrieve), lost, np.inf),
            ms_rerank=_but(_time(self.ms_rerank), lost, np.inf),
            ms_reason=_but(_time(self.ms_reason), lost, np.inf),
            ms_total=_but(_time(self.ms_total), lost, np.inf),
            **answers,
        )

    def _ranked(self, values: Floats, lost: Ints) -> Floats:
        """Figures of rankings; a row without one has the worst where its question has one elsewhere, else none."""
        has = self._is_ranked(values)
        if not has.any():
            return values
        return np.where(has[self.question], _but(_share(values, worst=0.0), lost, 0.0), np.nan)

    def _is_ranked(self, values: Floats) -> Bools:
        """Which questions (n_questions,) have a ranking's figure in any row."""
        return np.bincount(self.question[~np.isnan(values)], minlength=len(self.questions)) > 0

    def complete(self, runs: int) -> Evidence:
        """The same rows plus a failed, unobserved one for each that is missing to ``runs`` a combination.

        A combination is (arm, question, paraphrase). The stand-ins bear the newest tick.
        """
        shape = (len(ARMS), len(self.questions), PARAPHRASES)
        there = np.bincount(
            np.ravel_multi_index((self.arm, self.question, self.paraphrase), shape), minlength=np.prod(shape)
        )
        due = np.broadcast_to(np.arange(PARAPHRASES) < self.wordings, shape).ravel()
        lacking = np.where(due, np.maximum(runs - there, 0), 0)
        if not lacking.any():
            return self
        arm, question, paraphrase = (
            codes.astype(np.int64) for codes in np.unravel_index(np.repeat(np.arange(len(there)), lacking), shape)
        )
        count = len(arm)
        known = np.zeros(len(self.questions), np.bool_)
        known[self.question[np.isnan(self.coverage)]] = True
        stand_ins: dict[str, npt.NDArray[Any]] = {
            "tick": np.full(count, self.tick.max(initial=0)),
            "arm": arm,
            "question": question,
            "paraphrase": paraphrase,
            "seed": np.zeros(count, np.int64),
            "coverage": np.where(known[question], np.nan, 0.0),
            **{
                name: np.where(self._is_ranked(getattr(self, name))[question], 0.0, np.nan)
                for name in ("ndcg", "reciprocal_rank")
            },
            "cited": np.full(count, -1),
            "status": np.zeros(count, np.int64),
            "tool_loop": np.zeros(count, np.bool_),
            "observed": np.zeros(count, np.bool_),
            **{name: np.ones(count) for name in ("ds_question", "ds_anchor")},
            **{f"ms_{stage}": np.full(count, np.inf) for stage in measure.STAGES},
            **{name: np.full(count, worst) for name, (worst, _) in ANSWERS.items()},
        }
        whole: dict[str, Any] = {name: np.concatenate([getattr(self, name), stand_ins[name]]) for name in COLUMNS}
        return replace(self, **whole)


def _ints(values: Iterable[int]) -> Ints:
    return np.array([int(value) for value in values], dtype=np.int64)


def _floats(values: Iterable[float | None], none: float = np.nan) -> Floats:
    return np.array([none if value is None else float(value) for value in values], dtype=np.float64)


def _share(values: Floats, *, worst: float) -> Floats:
    """Values in 0..1, give or take a rounding; everything else at its worst."""
    if len(values) and values.min() >= 0 and values.max() <= 1:  # false when there is a NaN
        return values
    return np.where((values >= -1e-9) & (values <= 1 + 1e-9), np.clip(values, 0.0, 1.0), worst)


def _known(values: Floats, worst: float) -> Floats:
    """The same of figures that need not be known: NaN stays."""
    shares = _share(values, worst=worst)
    return values if shares is values else np.where(np.isnan(values), np.nan, shares)


def _time(values: Floats) -> Floats:
    return values if len(values) and values.min() >= 0 else np.where(values >= 0, values, np.inf)


def _but(values: npt.NDArray[Any], rows: Ints, instead: float) -> npt.NDArray[Any]:
    """The values with some replaced; the same array when they stand there already."""
    if np.array_equal(values[rows], np.full(len(rows), instead), equal_nan=True):
        return values
    out: npt.NDArray[Any] = values.copy()
    out[rows] = instead
    return out

"""One evidence row: what one probe of one arm showed (SPEC section 12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

Probe = tuple[str, int, int, int]  # question, tick, paraphrase, seed: both arms are asked it


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceRow:
    """What one probe showed. ``None`` means: not known; an unanswerable question has no ``coverage``.

    ``ndcg`` and ``reciprocal_rank`` are there where the gold set is judged by ids, and ``coverage`` is recall then.
    ``ds_*``, ``coverage`` and those two lie in 0..1, ``ms_*`` are milliseconds, ``status`` is the HTTP status (0
    without an answer), ``error`` says why the reply cannot be measured. ``lacks`` names what the answer does not say,
    so that the figures mean nothing: some of ``coverage ds tool_loop``. From ``cited_right`` to ``answer_moved``: what
    the answer says, held against the gold set and Blue's answer; see ``switchover.arms.said``. ``hits`` are what was
    retrieved, without its text; most reads leave them out. ``at`` is the ledger's time of asking.
    """

    phase: str
    tick: int
    arm: str
    question: str
    paraphrase: int
    seed: int
    ds_question: float
    ds_anchor: float
    coverage: float | None
    cited: str | None
    status: int
    error: str | None = None
    ms_retrieve: float | None
    ms_rerank: float | None
    ms_reason: float | None
    ms_total: float | None
    tool_loop: bool
    ndcg: float | None = None
    reciprocal_rank: float | None = None
    lacks: str | None = None
    cited_right: float | None = None
    cited_retrieved: float | None = None
    uncited: float | None = None
    answer_f1: float | None = None
    answer_ds: float | None = None
    answer_moved: float | None = None
    hits: Sequence[Mapping[str, Any]] = ()
    at: datetime | None = None

    @property
    def probe(self) -> Probe:
        """The probe: the same for both arms."""
        return self.question, self.tick, self.paraphrase, self.seed

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> EvidenceRow:
        """From a row of the ledger or a plain dict; what it has besides is left out, ``KeyError`` for what lacks."""
        return cls(**{name: row[name] for name in NAMES if name in row or name not in OPTIONAL})

    def to_row(self) -> dict[str, Any]:
        """The row of the ledger; it lacks the run's id, and ``at`` where there is none: the ledger's time is taken."""
        row = {name: getattr(self, name) for name in NAMES}
        if self.at is None:
            del row["at"]
        return row

    def failed(self, error: str) -> EvidenceRow:
        """The same probe as one that failed: every figure at its worst."""
        worst: dict[str, Any] = {
            name: None if getattr(self, name) is None else at_worst for name, (at_worst, _) in ANSWERS.items()
        }
        return replace(
            self,
            ds_question=1.0,
            ds_anchor=1.0,
            coverage=None if self.coverage is None else 0.0,
            cited=None,
            error=error,
            ms_retrieve=None,
            ms_rerank=None,
            ms_reason=None,
            ms_total=None,
            tool_loop=False,
            ndcg=None if self.ndcg is None else 0.0,
            reciprocal_rank=None if self.reciprocal_rank is None else 0.0,
            lacks=None,
            **worst,
            hits=(),
        )


NAMES = tuple(one.name for one in fields(EvidenceRow))
#: Columns of an answer, with the worst and the best that each may be.
ANSWERS: dict[str, tuple[float, float]] = {
    "cited_right": (0.0, 1.0),
    "cited_retrieved": (0.0, 1.0),
    "uncited": (1.0, 0.0),
    "answer_f1": (0.0, 1.0),
    "answer_ds": (1.0, 0.0),
    "answer_moved": (1.0, 0.0),
}
OPTIONAL = frozenset({"error", "ndcg", "reciprocal_rank", "lacks", "hits", "at", *ANSWERS})

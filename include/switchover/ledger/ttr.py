"""The time to restore and its parts, from the times of a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from switchover.ledger.run_row import RunRow


def ttr(row: RunRow) -> dict[str, float | None] | None:
    """The time to restore and its parts in seconds; ``None`` when nothing was rolled back.

    ``detect``: first bad answer -> verdict. ``decide``: verdict -> decision written. ``hand_over``: decision
    -> the actor starts. ``flip``: -> the store has applied. ``converge``: -> every reader follows. ``total``
    counts from the verdict on, so it is the sum of all but ``detect``. One clock: the ledger's. No part is negative.
    A way back after a promotion counts from a person's yes, and to ``hand_over`` belongs that the writers stand still.
    """
    if row.converged_at is None or row.rollback_started_at is None:
        return None
    # Each is no later than what follows it: a decision before a verdict is written counts as the judgement.
    decided = min(row.decided_at or row.rollback_started_at, row.rollback_started_at)
    judged = min(row.judged_at or decided, decided)
    decided = judged if row.back_of is not None else decided  # its own decision is that Blue stays
    applied = max(row.rollback_applied_at or row.rollback_started_at, row.rollback_started_at)
    first_bad = row.first_bad_at if row.first_bad_at is not None and row.first_bad_at <= judged else None
    return {
        "detect": between(first_bad, judged),
        "decide": between(judged, decided),
        "hand_over": between(decided, row.rollback_started_at),
        "flip": between(row.rollback_started_at, applied),
        "converge": between(applied, row.converged_at),
        "total": between(judged, row.converged_at),
    }


def ttr_budget(row: RunRow) -> float | None:
    """The plan's ``rollback.ttr_s``, in seconds; ``None`` when the record of the plan cannot be read."""
    found = row.plan.get("rollback", {}) if isinstance(row.plan, Mapping) else {}
    seconds = found.get("ttr_s") if isinstance(found, Mapping) else None
    return float(seconds) if isinstance(seconds, (int, float)) else None


def between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds; 0 where the ledger's clock was set back."""
    return max(0.0, round((end - start).total_seconds(), 3)) if start is not None and end is not None else None

"""Rehearsals of the way back: one row each, also of those that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from switchover.ledger.database import Database
from switchover.ledger.run_row import RunRow
from switchover.ledger.tables import rehearsal as table
from switchover.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """A shadow pointer was moved to Green and back.

    ``seconds`` is what the way back took, ``None`` when it did not arrive. ``ok``: it arrived within ``budget_s``.
    """

    service: str
    pointer: str
    blue: str
    green: str
    seconds: float | None
    budget_s: float
    ok: bool
    note: str
    actor: str
    at: datetime


COLUMNS = [column for column in table.c if column.name != "id"]


class Rehearsals:
    """The rehearsals of a ledger."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def add(
        self,
        *,
        service: str,
        pointer: str,
        blue: str,
        green: str,
        seconds: float | None,
        budget_s: float,
        note: str,
        actor: str,
    ) -> Rehearsal:
        """Write one down, at the ledger's time."""
        values = {
            "service": service,
            "pointer": pointer,
            "blue": blue,
            "green": green,
            "seconds": seconds,
            "budget_s": budget_s,
            "ok": seconds is not None and seconds <= budget_s,
            "note": note,
            "actor": actor,
        }
        with self._db.transaction() as connection:
            row = connection.execute(sa.insert(table).values(values).returning(*COLUMNS)).mappings().one()
        return Rehearsal(**row)

    def newest(self, pointer: str, *, until: datetime | None = None) -> Rehearsal | None:
        """The newest of a pointer, good or bad; ``until``: as it was at that time."""
        query = sa.select(*COLUMNS).where(table.c.pointer == pointer).order_by(table.c.at.desc()).limit(1)
        if until is not None:
            query = query.where(table.c.at <= until)
        with self._db.transaction() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return Rehearsal(**row) if row is not None else None

    def counting(self, row: RunRow, plan: Plan) -> Rehearsal | None:
        """The one that counts for a run: the newest before its flip, no older than the plan allows."""
        at = row.flipped_at or self._db.now()
        found = self.newest(row.pointer, until=at)
        limit = timedelta(hours=plan.rehearsal.max_age_h)
        return found if found is not None and at - found.at <= limit else None

    def counted_seconds(self, row: RunRow, plan: Plan) -> float | None:
        """Seconds of the way back in the one that counts; ``None`` without one, or when it did not arrive."""
        found = self.counting(row, plan)
        return found.seconds if found is not None else None

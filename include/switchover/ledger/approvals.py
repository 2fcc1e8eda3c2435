"""Questions to people and their answers: what was asked, until when, who answered, and what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.approval import Person
from switchover.ledger.audit import append
from switchover.ledger.database import Database
from switchover.ledger.tables import NOW
from switchover.ledger.tables import approval as table

Row = Mapping[str, Any]


class Approvals:
    """The questions of a ledger. ``person_number`` counts whom a gate needs, from 1; its column is ``seat``."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def ask(self, run: str, gate: str, *, person_number: int, subject: str, until: datetime) -> bool:
        """Write a question down; false when it was asked before, and then it stands as it was."""
        values = {"run": run, "gate": gate, "seat": person_number, "subject": subject, "until": until}
        insert = postgresql.insert(table).values(values).on_conflict_do_nothing().returning(table.c.seat)
        with self._db.transaction() as connection:
            return connection.execute(insert).scalar_one_or_none() is not None

    def answer(self, run: str, gate: str, *, person_number: int, answer: str, by: Person | None) -> None:
        """Write an answer down; the first one stands."""
        condition = sa.and_(
            table.c.run == run, table.c.gate == gate, table.c.seat == person_number, table.c.answered_at.is_(None)
        )
        who = {"answered_by": str(by), "answered_by_id": by.id} if by is not None else {}
        values = {"answer": answer, **who, "answered_at": NOW}
        with self._db.transaction() as connection:
            update = sa.update(table).where(condition).values(values).returning(table.c.subject)
            subject = connection.execute(update).scalar_one_or_none()
            if subject is not None:
                facts = {"gate": gate, "person_number": person_number, "subject": subject, "answer": answer, **who}
                append(connection, run, "approval", actor=str(by or "nobody"), facts=facts)

    def of(self, run: str, *, gate: str | None = None) -> list[Row]:
        """The questions of a run, in the order of the asking."""
        query = sa.select(table).where(table.c.run == run).order_by(table.c.asked_at, table.c.seat)
        if gate is not None:
            query = query.where(table.c.gate == gate)
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

"""The figures of each look, and the watchdogs: small reads for pages that are open during a hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from switchover.ledger import tables
from switchover.ledger.database import Database
from switchover.ledger.samples import figures_alone

Row = Mapping[str, Any]
LOOKS = 240  # newest looks of a gate that are read


class Trends:
    """Reads how a run went."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def verdicts(self, run: str, *, gate: str) -> list[Row]:
        """(rule, tick, at, outcome, value) of the newest looks of a gate, oldest first."""
        table = tables.verdict
        newest = sa.select(sa.func.max(table.c.tick)).where(table.c.run == run, table.c.gate == gate).scalar_subquery()
        query = (
            sa.select(table.c.rule, table.c.tick, table.c.at, table.c.outcome, table.c.body["value"].label("value"))
            .where(table.c.run == run, table.c.gate == gate, table.c.tick > newest - LOOKS)
            .order_by(table.c.tick, table.c.rule)
        )
        return self._rows(query)

    def samples(self, run: str) -> list[Row]:
        """(tick, at, sample) of live traffic, oldest first, as it was written; ``None`` where the store was dead."""
        table = tables.signal
        figures = figures_alone(table.c.sample).label("sample")
        query = sa.select(table.c.tick, table.c.at, figures).where(table.c.run == run).order_by(table.c.tick)
        return self._rows(query)

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

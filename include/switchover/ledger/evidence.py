"""Evidence rows: one a probe, written once, read back for the judge without their hits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.ledger.database import Database
from switchover.ledger.tables import evidence as table

BATCH = 500
PROBE = ("question", "tick", "paraphrase", "seed")
JUDGED = [column for column in table.c if column.name not in ("id", "run", "hits", "error")]


class EvidenceStore:
    """The evidence of a ledger."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def add(self, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; one that is there already stays as it is."""
        with self._db.transaction() as connection:
            for start in range(0, len(rows), BATCH):
                batch = [{"run": run, **row} for row in rows[start : start + BATCH]]
                connection.execute(postgresql.insert(table).on_conflict_do_nothing(), batch)

    def rows(self, run: str, *, phase: str, since_tick: int = 0) -> list[Mapping[str, Any]]:
        """What the judge needs of one phase, without hits."""
        query = sa.select(*JUDGED).where(table.c.run == run, table.c.phase == phase, table.c.tick >= since_tick)
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def questions(self, run: str) -> list[str]:
        """Every question that was asked in any phase of a run."""
        query = sa.select(table.c.question).where(table.c.run == run).distinct().order_by(table.c.question)
        with self._db.transaction() as connection:
            return list(connection.execute(query).scalars())

    def last_tick(self, run: str, *, phase: str) -> int:
        """The newest tick with evidence; -1 when there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(table.c.tick), -1)).where(
            table.c.run == run, table.c.phase == phase
        )
        with self._db.transaction() as connection:
            return int(self._db.scalar(connection, query))

    def newest_phase(self, run: str) -> str:
        """``hold`` when the hold has evidence, else ``warm``."""
        return "hold" if self.last_tick(run, phase="hold") >= 0 else "warm"

    def began(self, run: str, *, phase: str, tick: int) -> datetime | None:
        """When the first probe of a tick was sent."""
        query = sa.select(sa.func.min(table.c.at)).where(
            table.c.run == run, table.c.phase == phase, table.c.tick == tick
        )
        with self._db.transaction() as connection:
            found: datetime | None = self._db.scalar(connection, query)
        return found

    def hits(self, run: str, *, phase: str, probes: Sequence[tuple[str, int, int, int]]) -> Iterator[Mapping[str, Any]]:
        """Rows with hits, of both arms, for some probes (question, tick, paraphrase, seed); no order is kept."""
        asked = sa.tuple_(table.c.question, table.c.tick, table.c.paraphrase, table.c.seed)
        columns = [table.c[name] for name in (*PROBE, "arm", "cited", "status", "coverage", "ds_question", "hits")]
        for start in range(0, len(probes), BATCH):
            query = sa.select(*columns).where(
                table.c.run == run, table.c.phase == phase, asked.in_(probes[start : start + BATCH])
            )
            with self._db.transaction() as connection:
                yield from [dict(row) for row in connection.execute(query).mappings()]

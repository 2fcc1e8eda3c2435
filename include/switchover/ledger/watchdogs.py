"""Which watchdogs look at this ledger, and what they saw last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.ledger.database import Database
from switchover.ledger.tables import NOW
from switchover.ledger.tables import watchdog as table

MISSED_LOOKS = 3
SLACK_S = 2.0
FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class WatchdogRow:
    """One watchdog. ``age_s`` is how long ago it looked, by the ledger's clock."""

    name: str
    host: str
    pid: int
    interval_s: float
    sees: str
    started_at: datetime
    looked_at: datetime
    age_s: float

    @property
    def alive(self) -> bool:
        """It has not missed more than a few looks."""
        return self.age_s <= MISSED_LOOKS * self.interval_s + SLACK_S


class Watchdogs:
    """The watchdogs of a ledger."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def looked(self, name: str, *, host: str, pid: int, interval_s: float, sees: str) -> None:
        """Write down that a watchdog has looked now, and forget those that have been silent for a day."""
        values = {"interval_s": interval_s, "sees": sees}
        insert = postgresql.insert(table).values(name=name, host=host, pid=pid, **values)
        with self._db.transaction() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={**values, "looked_at": NOW}))
            connection.execute(sa.delete(table).where(table.c.looked_at < NOW - FORGOTTEN))

    def gone(self, name: str) -> None:
        """A watchdog ended in good order."""
        with self._db.transaction() as connection:
            connection.execute(sa.delete(table).where(table.c.name == name))

    def all(self) -> list[WatchdogRow]:
        """Every watchdog, the one that looked last first."""
        age = sa.extract("epoch", NOW - table.c.looked_at).label("age_s")
        query = sa.select(*table.c, age).order_by(table.c.looked_at.desc())
        with self._db.transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [WatchdogRow(**{**row, "age_s": float(row["age_s"])}) for row in rows]

    def living(self) -> WatchdogRow | None:
        """The watchdog that looked last, if it is alive."""
        return next((row for row in self.all() if row.alive), None)

    def line(self) -> str:
        """For people: which watchdog looked when, or that none does."""
        rows = self.all()
        if not rows:
            return "no watchdog looks at this ledger"
        newest = rows[0]
        if newest.alive:
            return f"watchdog alive: {newest.name} looked {newest.age_s:.0f} s ago; sees {newest.sees}"
        return f"no watchdog: {newest.name} looked last {newest.looked_at:%Y-%m-%d %H:%M:%S} UTC"

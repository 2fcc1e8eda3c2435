"""Signals counted from a request log table (columns in docs/signals.md)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta

import sqlalchemy as sa

from switchover import sql
from switchover.evidence import SignalSample

STAGES = ("retrieve", "rerank", "reason", "total")
P95 = ", ".join(f"percentile_cont(0.95) WITHIN GROUP (ORDER BY ms_{stage}) AS {stage}" for stage in STAGES)
LIVE = "kind = 'live' AND arm = :arm AND at >= :since"


class SqlSignals:
    """The request log ``table`` of one database. A log without a row younger than ``stale_s`` is dead."""

    def __init__(self, *, engine: sa.Engine, table: str, stale_s: float) -> None:
        self._engine = engine
        self._table = table
        self._stale = timedelta(seconds=stale_s)

    def query(self, *, arm: str, since: datetime, until: datetime) -> SignalSample | None:
        """See :class:`Signals`."""
        if self.is_online() is not None:
            return None
        statement = sa.text(
            f"""SELECT count(*) AS requests, count(*) FILTER (WHERE status >= 500) AS errors_5xx,
                       count(*) FILTER (WHERE status NOT BETWEEN 200 AND 299) AS failures,
                       count(*) FILTER (WHERE tool_loop) AS tool_loops, {P95}
                FROM {self._table} WHERE {LIVE} AND at < :until"""
        )
        with self._transaction() as connection:
            row = connection.execute(statement, {"arm": arm, "since": since, "until": until}).mappings().one()
        return SignalSample(
            requests=row["requests"],
            errors_5xx=row["errors_5xx"],
            failures=row["failures"],
            tool_loops=row["tool_loops"],
            p95_ms={stage: float(row[stage]) for stage in STAGES if row[stage] is not None},
            since=since,
            until=until,
        )

    def is_online(self) -> str | None:
        """See :class:`Signals`."""
        statement = sa.text(f"SELECT clock_timestamp() - max(at) AS age FROM {self._table}")
        with self._transaction() as connection:
            age = connection.execute(statement).scalar_one()
        if age is None:
            return f"request log {self._table}: no values found; is the service logging to this table?"
        if age > self._stale:
            return f"request log {self._table}: newest row is {age.total_seconds():.0f} s old; is there any traffic?"
        return None

    def first_error(self, *, arm: str, since: datetime) -> datetime | None:
        """See :class:`Signals`."""
        statement = sa.text(f"SELECT min(at) FROM {self._table} WHERE {LIVE} AND status >= 500")
        with self._transaction() as connection:
            found: datetime | None = connection.execute(statement, {"arm": arm, "since": since}).scalar_one()
        return found

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return sql.transaction(self._engine, f"signals in {sql.place(self._engine)}")

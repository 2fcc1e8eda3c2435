"""Signals counted from a request log table (columns in docs/signals.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.edge import sql
from switchover.lazy import lazy
from switchover.part import ConnectionId, Identifier, at_most
from switchover.signals.base import SignalsSpec

if TYPE_CHECKING:
    import sqlalchemy as sa

    from switchover.edge.edge import Edge
    from switchover.judge import traffic
    from switchover.judge.traffic import SignalSample
else:
    sa = lazy("sqlalchemy")
    traffic = lazy("switchover.judge.traffic")

STAGES = ("retrieve", "rerank", "reason", "total")
FAILED = "(status IS NULL OR status NOT BETWEEN 200 AND 299)"
NAMELESS = "coalesce(arm, '') = ''"
# What failed before it knew its arm failed on the live one.
MINE = f"(arm = :arm OR ({NAMELESS} AND {FAILED}))"
P95 = ", ".join(
    f"percentile_cont(0.95) WITHIN GROUP (ORDER BY ms_{stage}) FILTER (WHERE {MINE}) AS {stage}" for stage in STAGES
)


class SqlSignalsSpec(SignalsSpec):
    """Figures of live traffic, counted from a request log table."""

    kind: Literal["sql"]
    connection: ConnectionId = Field(description="PostgreSQL connection with the request log.")
    table: Identifier = Field("request_log", description="The request log; its columns are in docs/signals.md.")
    stale_s: float = Field(
        30, gt=0, json_schema_extra=at_most(600), description="A log without any row this young counts as dead."
    )

    def build(self, edge: Edge, *, arms: Collection[str]) -> SqlSignals:
        """See :class:`SignalsSpec`."""
        return SqlSignals(engine=edge.sql(self.connection), table=self.table, stale_s=self.stale_s, arms=list(arms))


class SqlSignals:
    """The request log ``table`` of one database.

    A log without any row younger than ``stale_s`` is dead; rows of the future count for nothing. ``arms`` are the
    plan's: live requests of any other arm are not this service's (all others are, where it is empty).
    """

    def __init__(self, *, engine: sa.Engine, table: str, stale_s: float, arms: Sequence[str] = ()) -> None:
        self._engine = engine
        self._table = table
        self._stale = timedelta(seconds=stale_s)
        self._arms = list(arms)

    def query(self, *, arm: str, since: datetime, until: datetime) -> SignalSample | None:
        """See :class:`Signals`."""
        statement = sa.text(
            f"""SELECT count(*) FILTER (WHERE {MINE}) AS requests,
                       count(*) FILTER (WHERE {MINE} AND status >= 500) AS errors_5xx,
                       count(*) FILTER (WHERE {MINE} AND {FAILED}) AS failures,
                       count(*) FILTER (WHERE {MINE} AND tool_loop) AS tool_loops,
                       count(*) FILTER (WHERE NOT {NAMELESS} AND arm <> :arm
                                        AND (cardinality(cast(:arms AS text[])) = 0 OR arm = ANY(:arms))) AS elsewhere,
                       {P95}
                FROM {self._table} WHERE kind = 'live' AND at >= :since AND at < :until AND at <= now()"""
        )
        with self._transaction() as connection:
            if self._fresh(connection, "true") is None:
                return None
            given = {"arm": arm, "arms": self._arms, "since": since, "until": until}
            row = connection.execute(statement, given).mappings().one()
        return traffic.SignalSample(
            requests=row["requests"],
            errors_5xx=row["errors_5xx"],
            failures=row["failures"],
            tool_loops=row["tool_loops"],
            p95_ms={stage: float(row[stage]) for stage in STAGES if row[stage] is not None},
            since=since,
            until=until,
            elsewhere=row["elsewhere"],
        )

    def is_online(self, *, arm: str | None = None) -> str | None:
        """See :class:`Signals`."""
        what = "live row" if arm is None else f"live row of {arm!r}"
        where = "kind = 'live'" if arm is None else "kind = 'live' AND arm = :arm"
        with self._transaction() as connection:
            if self._fresh(connection, where, arm=arm or "") is not None:
                return None
            newest = sa.text(
                f"SELECT (SELECT max(at) FROM {self._table} WHERE {where} AND at <= now()), now(),"
                f" (SELECT max(at) FROM {self._table})"
            )
            found, now, last = connection.execute(newest, {"arm": arm or ""}).one()
        future = f"; its newest row is dated {(last - now).total_seconds():.0f} s ahead" if last and last > now else ""
        if found is None:
            hint = "is the service logging to this table?"
            return f"request log {self._table}: no values found: no {what}{future}; {hint}"
        age = (now - found).total_seconds()
        return f"request log {self._table}: newest {what} is {age:.0f} s old{future}; is there any traffic?"

    def first_error(self, *, arm: str, since: datetime) -> datetime | None:
        """See :class:`Signals`."""
        statement = sa.text(
            f"SELECT min(at) FROM {self._table}"
            f" WHERE kind = 'live' AND {MINE} AND status >= 500 AND at >= :since AND at <= now()"
        )
        with self._transaction() as connection:
            found: datetime | None = connection.execute(statement, {"arm": arm, "since": since}).scalar_one()
        return found

    def _fresh(self, connection: sa.Connection, where: str, **given: str) -> datetime | None:
        """The newest row that is neither stale nor of the future; ``None`` when there is none."""
        statement = sa.text(
            f"SELECT max(at) FROM {self._table}"
            f" WHERE {where} AND at <= now() AND at >= now() - cast(:stale AS interval)"
        )
        found: datetime | None = connection.execute(statement, {"stale": self._stale, **given}).scalar_one()
        return found

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return sql.transaction(self._engine, f"signals in {sql.place(self._engine)}")

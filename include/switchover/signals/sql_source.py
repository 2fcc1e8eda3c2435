"""A database as a source of signals: a request log that is counted here, or a query of the plan's own."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from switchover.edge import reads
from switchover.errors import SwitchoverError
from switchover.signals.base import P95, SHOWN
from switchover.signals.reading import Absent, Count, NoValue
from switchover.signals.source import Ask, Found, read

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one statement brought: its text as it is shown, and its rows, or why there are none."""

    query: str
    rows: Sequence[Row] = ()
    why: str = ""

    @property
    def raw(self) -> str:
        """The rows as text."""
        return json.dumps([dict(row) for row in self.rows], default=str)


class SqlSource:
    """What both forms share: the engine, its times, and figures of the plan's own."""

    step_s = 0.0
    lag_s = 0.0

    def __init__(
        self, *, engine: sa.Engine, what: str, gives: Collection[str], extras: Mapping[str, str], stale_s: float
    ) -> None:
        self._engine = engine
        self._extras = extras
        self.where = f"{what} in {reads.place(engine)}"
        self.counts: Collection[str] = [name for name in gives if name != P95]
        self.stages: Collection[str] = []
        self.extras: Collection[str] = extras
        self.stale_s = stale_s

    def _run(self, statement: sa.Executable, text: str, **given: Any) -> Answer:
        """One statement; its parameters stand behind its text."""
        shown = " ".join(text.split()) + f" [{', '.join(f'{name} = {value}' for name, value in given.items())}]"
        try:
            return Answer(query=shown, rows=reads.rows(self._engine, self.where, statement, given))
        except SwitchoverError as error:
            return Answer(query=shown, why=str(error))

    def _own(self, text: str, arm: str, since: datetime, until: datetime) -> Answer:
        """The one row of a query that the plan gives."""
        times = {"since": reads.time(self._engine, since), "until": reads.time(self._engine, until)}
        given = {name: value for name, value in {"arm": arm, **times}.items() if f":{name}" in text}
        found = self._run(sa.text(text), text, **given)
        if found.why or len(found.rows) == 1:
            return found
        return Answer(query=found.query, rows=found.rows[:3], why=f"{len(found.rows)} rows where one is allowed")

    def _extra(self, ask: Ask, since: datetime, until: datetime) -> Found:
        answer = self._own(self._extras[ask.figure], ask.arm, since, until)

        def level() -> float:
            row = _row(answer)
            if len(row) != 1:
                raise NoValue(f"{len(row)} columns where one is allowed")
            return _number(next(iter(row.values())), ask.figure)

        return read(answer.query, level, raw=answer.raw)


class QuerySource(SqlSource):
    """A query of the plan's own, asked for each arm: one row, whose columns are figures and ``newest``."""

    def __init__(self, *, query: str, gives: Collection[str], **given: Any) -> None:
        super().__init__(what="request log by query", gives=gives, **given)
        self._query = query
        self.stages = ("total",) if P95 in gives else ()

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        """See :class:`Source`."""
        answers: dict[str, Answer] = {}
        found = []
        for ask in asks:
            if ask.what == "extra":
                found.append(self._extra(ask, since, until))
                continue
            if ask.arm not in answers:
                answers[ask.arm] = self._own(self._query, ask.arm, since, until)
            found.append(self._figure(ask, answers[ask.arm], until))
        return found

    def never(self, ask: Ask) -> str:
        """See :class:`Source`."""
        return f"the query's row has no value in a column {_column(ask)}"

    def _figure(self, ask: Ask, answer: Answer, until: datetime) -> Found:
        def count() -> Count | float:
            row = _row(answer)
            value = _number(row.get(_column(ask)), _column(ask))
            if ask.what == "p95":
                return value
            if ask.figure == "requests" and "newest" not in row:
                raise NoValue("the row has no column newest: the time of the newest request, of any arm")
            if ask.figure == "requests" and row["newest"] is None:
                raise Absent("newest is null: no request at all")
            newest = row.get("newest")
            first = row.get("first_5xx") if ask.figure == "errors_5xx" else None
            return Count(
                value=value,
                newest=until.timestamp() if newest is None else _seconds(newest),
                first=None if first is None else _seconds(first),
            )

        return read(answer.query, count, raw=answer.raw)


class TableSource(SqlSource):
    """A request log. Without any row younger than ``stale_s`` it is dead, whatever is asked of it."""

    def __init__(
        self, *, table: str, columns: Mapping[str, str], stages: Mapping[str, str], live: str, gives: Any, **given: Any
    ) -> None:
        super().__init__(what=f"request log {table}", gives=gives, **given)
        self._stages = stages if self._engine.dialect.name == "postgresql" and P95 in gives else {}
        self._live_word = live
        self.stages = list(self._stages)
        schema, _, name = table.rpartition(".")
        names = {*columns.values(), *self._stages.values()}
        self._table = sa.table(name, *map(sa.column, sorted(names)), schema=schema or None)
        self._is = {meaning: self._table.c[column] for meaning, column in columns.items()}
        # Not as a parameter: PostgreSQL then knows that what is selected is what is grouped by.
        self._arm = sa.func.coalesce(sa.cast(self._is["arm"], sa.String), sa.literal_column("''"))

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        """See :class:`Source`. All counts come from one statement, so that they fit together."""
        counted = self._counted(since, until)
        newest = self._newest(until)
        return [
            self._extra(ask, since, until) if ask.what == "extra" else self._figure(ask, counted, newest)
            for ask in asks
        ]

    def never(self, ask: Ask) -> str:
        """See :class:`Source`. A column that is not there is an error of the statement; a row may always come."""
        return ""

    def _counted(self, since: datetime, until: datetime) -> Answer:
        """Every figure by arm; the arm that no row knows is the empty one."""
        status, at = self._is["status"], self._is["at"]
        failed = sa.or_(status.is_(None), status < 200, status > 299)
        figures: dict[str, sa.ColumnElement[Any]] = {
            "requests": sa.func.count(),
            "errors_5xx": _count_of(status >= 500),
            "failures": _count_of(failed),
            "first_5xx": sa.func.min(sa.case((status >= 500, at))),
            **{name: sa.func.sum(self._is[name]) for name in SHOWN if name in self._is},
        }
        if "tool_loops" in self._is:
            figures["tool_loops"] = _count_of(sa.and_(self._is["tool_loops"], sa.or_(self._arm != "", failed)))
        for stage, column in self._stages.items():
            ordered = sa.func.percentile_cont(0.95).within_group(self._table.c[column])
            figures[f"p95_{stage}"] = ordered
        statement = (
            sa.select(self._arm.label("arm"), *(each.label(name) for name, each in figures.items()))
            .where(*self._live(), at >= sa.bindparam("since"), at < sa.bindparam("until"))
            .group_by(self._arm)
        )
        times = {"since": reads.time(self._engine, since), "until": reads.time(self._engine, until)}
        return self._run(statement, self._text(statement), **times)

    def _newest(self, until: datetime) -> Answer:
        """The newest row of any kind, neither stale nor of the future; where there is none, what there is."""
        at = self._is["at"]
        end: sa.BindParameter[datetime] = sa.bindparam("until")
        newest = sa.select(sa.func.max(at).label("newest")).where(at <= end)
        young = newest.where(at >= sa.bindparam("oldest"))
        now = reads.time(self._engine, until)
        oldest = reads.time(self._engine, until - timedelta(seconds=self.stale_s))
        found = self._run(young, self._text(young), until=now, oldest=oldest)
        if found.why or (found.rows and found.rows[0]["newest"] is not None):
            return found
        last = sa.select(sa.func.max(at).label("last"))
        old, ahead = self._run(newest, self._text(newest), until=now), self._run(last, self._text(last))
        try:
            return self._why(old, ahead, until)
        except NoValue as error:
            return Answer(query=old.query, why=str(error))

    def _why(self, old: Answer, last: Answer, until: datetime) -> Answer:
        """Why the log is dead, in words."""
        if old.why or last.why:
            return old if old.why else last
        newest, latest = old.rows[0]["newest"], last.rows[0]["last"]
        ahead = 0.0 if latest is None else _seconds(latest) - until.timestamp()
        future = f"; its newest row is dated {ahead:.0f} s ahead" if ahead > 0 else ""
        if newest is None:
            return Answer(query=old.query, why=f"no values found: no row{future}; does the service log here?")
        age = until.timestamp() - _seconds(newest)
        return Answer(query=old.query, why=f"newest row is {age:.0f} s old{future}; is there any traffic?")

    def _figure(self, ask: Ask, counted: Answer, newest: Answer) -> Found:
        def count() -> Count | float:
            fresh, rows = _row(newest), {row["arm"]: row for row in _rows(counted)}
            mine, nobody = rows.get(ask.arm, {}), rows.get("", {}) if ask.live else {}
            if ask.what == "p95":
                found = mine.get(_column(ask))
                if found is None:
                    raise Absent("no row has it")
                return float(found)
            own = float(mine.get(ask.figure) or 0)
            without = {"requests": "failures"}.get(ask.figure, ask.figure)
            firsts = [_seconds(row["first_5xx"]) for row in (mine, nobody) if row.get("first_5xx") is not None]
            return Count(
                value=own + (float(nobody.get(without) or 0) if ask.figure not in SHOWN else 0.0),
                newest=_seconds(fresh["newest"]),
                first=min(firsts, default=None) if ask.figure == "errors_5xx" else None,
            )

        query = newest.query if newest.why else counted.query
        return read(query, count, raw=counted.raw)

    def _live(self) -> list[sa.ColumnElement[bool]]:
        return [self._is["kind"] == sa.bindparam("live", self._live_word)] if "kind" in self._is else []

    def _text(self, statement: sa.Select[Any]) -> str:
        return str(statement.compile(dialect=self._engine.dialect))


def _rows(answer: Answer) -> Sequence[Row]:
    if answer.why:
        raise NoValue(answer.why)
    return answer.rows


def _row(answer: Answer) -> Row:
    return _rows(answer)[0]


def _column(ask: Ask) -> str:
    return f"p95_{ask.figure}" if ask.what == "p95" else ask.figure


def _count_of(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _number(value: Any, column: str) -> float:
    """A column's number. ``Absent`` for null or no such column, ``NoValue`` for anything else."""
    if value is None:
        raise Absent(f"column {column} is null, or there is none")
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise NoValue(f"column {column} is {type(value).__name__}; allowed: a number")
    return float(value)


def _seconds(value: Any) -> float:
    """Seconds since 1970 of a column's time: a time (UTC where it has no zone), its text, or seconds."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            raise NoValue(f"{value[:40]!r} is no time") from None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise NoValue(f"{type(value).__name__} is no time")
    return float(value)

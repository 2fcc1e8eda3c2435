"""Reads from any database that SQLAlchemy speaks: bounded in rows and in time, and errors are one line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from switchover.edge import sql
from switchover.edge.bounded import within
from switchover.edge.connection import ANSWER_S
from switchover.errors import BadInput, Unreachable
from switchover.text import first_line

MOST_ROWS = 1_000


def place(engine: sa.Engine) -> str:
    """Host, port and database for messages, without credentials."""
    return sql.place(engine) if engine.url.host else f"{engine.dialect.name} {engine.url.database or ''}".strip()


def time(engine: sa.Engine, at: datetime) -> datetime:
    """An aware time as a parameter. Only PostgreSQL's driver says its zone; elsewhere it is UTC without one."""
    utc = at.astimezone(timezone.utc)
    return utc if engine.dialect.name == "postgresql" else utc.replace(tzinfo=None)


def rows(
    engine: sa.Engine, what: str, statement: sa.Executable, given: Mapping[str, Any], *, seconds: float = ANSWER_S
) -> list[dict[str, Any]]:
    """The rows of one statement, which reads.

    Raises
        Unreachable  no answer within ``seconds``
        BadInput     refused: no such table, no right, more than ``MOST_ROWS`` rows
    """
    if engine.dialect.name == "postgresql":
        with sql.transaction(engine, what, answer_s=seconds) as connection:
            return _fetched(connection, what, statement, given)
    running: list[Any] = []
    try:
        return within(seconds, what, lambda: _read(engine, what, statement, given, running))
    except Unreachable:
        for driver in running:
            _stop(driver)
        raise


def _stop(driver: Any) -> None:
    """End a statement that was given up, where the driver can: an endless one would take a core for ever."""
    for way in ("interrupt", "cancel"):
        if callable(end := getattr(driver, way, None)):
            with suppress(Exception):  # of a driver that nobody here knows
                end()


def _read(
    engine: sa.Engine, what: str, statement: sa.Executable, given: Mapping[str, Any], running: list[Any]
) -> list[dict[str, Any]]:
    """``running`` has the driver's connection while the statement runs."""
    try:
        with engine.connect() as connection:
            running.append(connection.connection.driver_connection)
            try:
                return _fetched(connection, what, statement, given)
            finally:
                running.clear()
    except BadInput:
        raise
    except (sa.exc.InterfaceError, sa.exc.OperationalError) as error:
        away = isinstance(error, sa.exc.InterfaceError) or error.connection_invalidated
        kind = Unreachable if away else BadInput
        raise kind(f"{what}: {'did not answer' if away else 'refused'}: {first_line(error.orig)}") from error
    except Exception as error:  # of a driver that nobody here knows
        reason = first_line(getattr(error, "orig", None) or error)
        raise BadInput(f"{what}: {type(error).__name__}: {reason}") from error


def _fetched(
    connection: sa.Connection, what: str, statement: sa.Executable, given: Mapping[str, Any]
) -> list[dict[str, Any]]:
    found = connection.execute(statement, dict(given)).mappings().fetchmany(MOST_ROWS + 1)
    if len(found) > MOST_ROWS:
        raise BadInput(f"{what}: more than {MOST_ROWS:,} rows; allowed: a query of one")
    return [dict(row) for row in found]

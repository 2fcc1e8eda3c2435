"""Transactions on PostgreSQL whose errors are one line that names the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from switchover.edge.connection import ANSWER_S
from switchover.edge.edge import reaching
from switchover.edge.sqlstate import LOCK_NOT_GRANTED, NEEDED, READ_ONLY, REFUSED, TOO_LARGE, busy, named, state_of
from switchover.errors import BadInput, LockBusy, TargetRefused, Unreachable, Unstorable
from switchover.lazy import lazy
from switchover.text import first_line

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy as sa
else:
    psycopg = lazy("psycopg")
    sa = lazy("sqlalchemy")


def place(engine: sa.Engine) -> str:
    """Host, port and database for messages, without credentials."""
    port = f":{engine.url.port}" if engine.url.port else ""
    return f"{engine.url.host or 'localhost'}{port}/{engine.url.database}"


@contextlib.contextmanager
def transaction(
    engine: sa.Engine,
    what: str,
    *,
    unreachable: type[Unreachable] = Unreachable,
    hint: str = "",
    answer_s: float = ANSWER_S,
    single: bool = False,
) -> Iterator[sa.Connection]:
    """One transaction: commits at the end, rolls back on any error.

    A server that does not answer, is silent for ``answer_s`` seconds, or takes no writes for now (a standby, a
    failover) raises ``unreachable``; an absent table or a missing right raises ``BadInput``, with ``hint`` as the
    next step; a DROP of what something else depends on raises ``TargetRefused``; a value that the database cannot
    hold raises ``Unstorable``, a lock or a deadlock ``LockBusy``. What an error is, its SQLSTATE says.
    ``single``: each statement is a transaction of its own, which saves the two round trips around it.
    """
    with reaching(what, unreachable):
        try:
            with _opened(engine, single) as connection:
                connection.connection.driver_connection.answer_s = answer_s  # type: ignore[union-attr]
                yield connection
        except (sa.exc.ProgrammingError, sa.exc.InternalError) as error:
            first = first_line(error.orig)
            if state_of(error.orig) == READ_ONLY:
                raise unreachable(f"{what}: takes no writes now ({first}); this transaction changed nothing") from error
            if state_of(error.orig) in REFUSED:
                raise BadInput(f"{what}: {first}{'; ' + hint if hint else ''}") from error
            if state_of(error.orig) == NEEDED:
                needed_by = first_line(error.orig.diag.message_detail)  # type: ignore[union-attr]
                raise TargetRefused(f"{what}: {needed_by}; nothing was removed") from error
            raise
        except sa.exc.OperationalError as error:
            if state_of(error.orig) == LOCK_NOT_GRANTED:
                raise LockBusy(f"{what}: a lock was not granted in time; this transaction changed nothing") from error
            if busy(error.orig):
                raise LockBusy(f"{what}: met another transaction; this one changed nothing; try again") from error
            if state_of(error.orig) == TOO_LARGE:
                raise _unstorable(what, error) from error
            raise
        except sa.exc.DataError as error:
            raise _unstorable(what, error) from error


def _unstorable(what: str, error: sa.exc.DBAPIError) -> Unstorable:
    return Unstorable(f"{what}: cannot hold this: {first_line(error.orig)} ({named(error.orig)}); nothing was written")


@contextlib.contextmanager
def _opened(engine: sa.Engine, single: bool) -> Iterator[sa.Connection]:
    if single:
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    else:
        with engine.begin() as connection:
            try:
                yield connection
            except psycopg.Error as error:  # of a cursor of the driver's own
                raise sa.exc.DBAPIError.instance("", None, error, psycopg.Error) from error

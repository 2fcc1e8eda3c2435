"""What an error of PostgreSQL is: its SQLSTATE says, and not the driver's class of errors alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.lazy import lazy

if TYPE_CHECKING:
    import psycopg
else:
    psycopg = lazy("psycopg")

# Connection, resources, the system under the server, the server going down or coming up, a time limit of its own.
_AWAY = ("08", "53", "58", "57P", "57014")
READ_ONLY, NEEDED, LOCK_NOT_GRANTED, TOO_LARGE = "25006", "2BP01", "55P03", "54000"
NO_TABLE = "42P01"  # there is none of this name
REFUSED = (
    NO_TABLE,
    "42703",  # no such column
    "42501",  # no right
    "42601",  # a table whose name is a word of SQL
    # A column of a type that a statement cannot compare, cast, sort or sum.
    "42883",
    "42704",
    "42804",
    "42846",
    "42P21",
    "42809",
)
_BUSY = ("55P03", "40P01", "40001")  # a lock that was not granted, a deadlock, two transactions that met


def away(error: BaseException | None) -> bool:
    """Whether the server did not answer, or can serve nobody now; else the fault is ours, or the data's.

    The driver's ``OperationalError`` alone does not say so: a row that is too large for an index is one as well. An
    error without SQLSTATE is of the connection itself.
    """
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state.startswith(_AWAY)


def busy(error: BaseException | None) -> bool:
    """Whether another transaction was in the way: nothing was changed, and it may be tried again."""
    return getattr(error, "sqlstate", None) in _BUSY


def state_of(error: BaseException | None) -> str:
    """The SQLSTATE of an error; empty where it has none."""
    return getattr(error, "sqlstate", None) or ""


def named(error: BaseException | None) -> str:
    """``SQLSTATE 54000``, for people who look it up."""
    return f"SQLSTATE {getattr(error, 'sqlstate', None) or 'none'}"

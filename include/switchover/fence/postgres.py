"""A fence in a PostgreSQL table, with psycopg 3 alone or through a SQLAlchemy engine.

The server's clock decides about leases. Where the effect is in the same database, ``once(..., connection=…)``
puts key and effect into one transaction: that is exactly once, whatever crashes.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq

from switchover.errors import BadInput, FenceBusy, SwitchoverError, Unreachable
from switchover.fence.base import TABLE, Claim, Done, Held

if TYPE_CHECKING:
    import sqlalchemy as sa

_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
_PURGE_ROWS = 10_000

# The index on expires_at is BRIN, which lets an update of a row stay on its page.
DDL = """
CREATE TABLE IF NOT EXISTS {table} (
    key text COLLATE "C" PRIMARY KEY,
    token text NOT NULL,
    holder text NOT NULL,
    attempt integer NOT NULL DEFAULT 1,
    lease_until timestamptz NOT NULL,
    digest text NOT NULL,
    payload text,
    receipt text,
    source_type text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    expires_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX IF NOT EXISTS {index} ON {table} USING brin (expires_at)
"""
_COLUMNS = """held.key, held.token, held.holder, held.attempt, held.lease_until, held.digest, held.payload,
    held.done_at IS NOT NULL, held.receipt"""
# One row and many are written apart. Nothing is prepared under a name, since behind a pooler the next transaction may
# run on another server connection; so each statement is planned each time, and that of one row in no time.
_CLAIM = f"""
INSERT INTO {{table}} AS held (key, token, holder, lease_until, digest, payload, source_type)
{{given}}
ON CONFLICT (key) DO UPDATE SET token = excluded.token, holder = excluded.holder,
    lease_until = excluded.lease_until, attempt = held.attempt + (held.token <> excluded.token)::integer
WHERE held.done_at IS NULL AND held.digest = excluded.digest
    AND (held.lease_until <= clock_timestamp() OR held.token = excluded.token)
RETURNING {_COLUMNS}"""
_CLAIM_ONE = _CLAIM.replace("{given}", "VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s), %s, %s, %s)")
_CLAIM_MANY = _CLAIM.replace(
    "{given}",
    """SELECT key, token, holder, clock_timestamp() + make_interval(secs => lease_s), digest, payload, source_type
FROM json_to_recordset(%s::json) AS new (
    key text, token text, holder text, lease_s float8, digest text, payload text, source_type text) ORDER BY key""",
)
_READ = f"SELECT {_COLUMNS} FROM {{table}} AS held WHERE key = ANY(%s)"
_DONE_ONE = """
UPDATE {table} AS held SET receipt = %s, done_at = coalesce(done_at, clock_timestamp()),
    expires_at = clock_timestamp() + make_interval(secs => %s)
WHERE held.key = %s AND held.token = %s RETURNING held.key"""
# Arrays, not JSON as above: of them the planner knows how few they are, so it never reads the whole table.
_DONE_MANY = """
UPDATE {table} AS held SET receipt = given.receipt, done_at = coalesce(done_at, clock_timestamp()),
    expires_at = clock_timestamp() + make_interval(secs => given.ttl_s)
FROM unnest(%s::text[], %s::float8[], %s::text[], %s::text[]) AS given (receipt, ttl_s, key, token)
WHERE held.key = given.key AND held.token = given.token RETURNING held.key"""
_FORGET = """
DELETE FROM {table} AS held USING unnest(%s::text[], %s::text[]) AS given (key, token)
WHERE held.key = given.key AND held.token = given.token AND done_at IS NULL AND attempt = 1"""
_EXPIRE = """
UPDATE {table} AS held SET lease_until = clock_timestamp()
FROM unnest(%s::text[], %s::text[]) AS given (key, token)
WHERE held.key = given.key AND held.token = given.token AND done_at IS NULL AND lease_until > clock_timestamp()"""
_PURGE = f"""
DELETE FROM {{table}} WHERE key = ANY(ARRAY(
    SELECT key FROM {{table}} WHERE done_at IS NOT NULL AND expires_at <= clock_timestamp()
    LIMIT {_PURGE_ROWS} FOR UPDATE SKIP LOCKED))"""

_REFUSED = ("42P01", "42703", "42501", "25006", "3F000")  # table, column, right, read only, schema
_WAITED = ("55P03", "57014")  # lock_timeout, statement_timeout
_AWAY = ("08", "53", "58", "57P")  # as in switchover.edge.sqlstate, which the fence does without; none: the connection
_FAILED_TRANSACTION = "25P02"


def ddl(table: str = TABLE) -> str:
    """The statements that create the table where it is missing; for programs that make all tables in one place."""
    name = _checked(table)
    return DDL.format(table=name, index=f"{name.rsplit('.', 1)[-1]}_expires_at")


class PostgresStore:
    """Keys as rows of one table."""

    in_transaction = False

    def __init__(self, connection: sa.Engine | psycopg.Connection[Any], *, table: str = TABLE) -> None:
        """``connection``: a SQLAlchemy engine on psycopg 3, or one psycopg connection in autocommit.

        A lost connection of an engine is replaced (give it ``pool_pre_ping=True``); a psycopg connection is not.
        """
        self._table = _checked(table)
        self._connection = connection
        if isinstance(connection, psycopg.Connection):
            info = connection.info
            self.place = f"{info.host}:{info.port}/{info.dbname}, table {table}"
        else:
            url = connection.url
            port = f":{url.port}" if url.port else ""
            self.place = f"{url.host or 'localhost'}{port}/{url.database}, table {table}"

    def create_table(self) -> None:
        """Create the table where it is missing."""
        with self._cursor() as cursor:
            cursor.execute(ddl(self._table), prepare=False)

    def joined(self, connection: sa.Connection | psycopg.Connection[Any]) -> _Joined:
        """See :class:`Store`. ``connection``: of SQLAlchemy or of psycopg, to the database with the table."""
        return _Joined(connection, table=self._table, place=self.place)

    def claim(self, claims: Sequence[Claim]) -> list[Held]:
        """See :class:`Store`. One statement; one more for the keys that somebody else holds."""
        found: dict[str, Held] = {}
        todo = list(claims)
        with self._cursor() as cursor:
            while todo:
                one = len(todo) == 1
                values = _row_of(todo[0]) if one else [_rows_of(todo)]
                found |= self._rows(cursor, _CLAIM_ONE if one else _CLAIM_MANY, values)
                todo = [claim for claim in todo if claim.key not in found]
                if todo:
                    found |= self._rows(cursor, _READ, [[str(claim.key) for claim in todo]])
                    todo = [claim for claim in todo if claim.key not in found]  # given up between the two
        return [found[claim.key] for claim in claims]

    def mark_done(self, effects: Sequence[Done]) -> Collection[str]:
        """See :class:`Store`."""
        rows = [(e.receipt, float(e.ttl_s), str(e.key), e.token) for e in effects]
        one = len(rows) == 1
        values = rows[0] if one else [list(column) for column in zip(*rows, strict=True)]
        with self._cursor() as cursor:
            self._run(cursor, _DONE_ONE if one else _DONE_MANY, values)
            return {row[0] for row in cursor.fetchall()}

    def release(self, attempts: Sequence[tuple[str, str]]) -> None:
        """See :class:`Store`."""
        given = [[str(key) for key, _ in attempts], [token for _, token in attempts]]
        with self._cursor() as cursor:
            self._run(cursor, _FORGET, given)
            self._run(cursor, _EXPIRE, given)

    def read(self, keys: Sequence[str]) -> list[Held]:
        """See :class:`Store`."""
        with self._cursor() as cursor:
            return list(self._rows(cursor, _READ, [[str(key) for key in keys]]).values())

    def purge(self) -> int:
        """See :class:`Store`. In steps of 10,000 rows, each a transaction of its own."""
        purged = 0
        with self._cursor() as cursor:
            while True:
                self._run(cursor, _PURGE)
                purged += cursor.rowcount
                if cursor.rowcount < _PURGE_ROWS:
                    return purged

    def _rows(self, cursor: psycopg.Cursor[Any], statement: str, values: Sequence[Any]) -> dict[str, Held]:
        self._run(cursor, statement, values)
        return {row[0]: Held(**dict(zip(_HELD, row, strict=True))) for row in cursor.fetchall()}

    def _run(self, cursor: psycopg.Cursor[Any], statement: str, values: Sequence[Any] = ()) -> None:
        """Never under a name: see above."""
        text: Any = statement.format(table=self._table)
        cursor.execute(text, values or None, prepare=False)

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor whose every statement is a transaction of its own."""
        if isinstance(self._connection, psycopg.Connection):
            if not self._connection.autocommit:
                raise BadInput(
                    f"fence: {self.place}: the store's connection is not in autocommit, so others would not see its"
                    " claims; set autocommit, or join a transaction with once(..., connection=...)"
                )
            with _translated(self.place), self._connection.cursor() as cursor:
                yield cursor
            return
        with _translated(self.place), self._connection.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            driver = _driver(connection)
            try:
                with driver.cursor() as cursor:
                    yield cursor
            finally:
                if driver.closed:
                    connection.invalidate()


class _Joined(PostgresStore):
    """The same verbs inside a transaction that the caller ends."""

    in_transaction = True

    def __init__(self, connection: sa.Connection | psycopg.Connection[Any], *, table: str, place: str) -> None:
        self._table = table
        self.place = place
        if not isinstance(connection, psycopg.Connection):
            if not connection.in_transaction():
                connection.begin()
            connection = _driver(connection)
        if connection.autocommit and connection.info.transaction_status == pq.TransactionStatus.IDLE:
            raise BadInput(
                f"fence: {place}: the connection is in autocommit, so key and effect would not commit together;"
                " begin a transaction first"
            )
        self._caller = connection

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[Any]]:
        with _translated(self.place), self._caller.cursor() as cursor:
            yield cursor


def _driver(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise BadInput(
            f"fence: found a connection of {type(driver).__module__}; allowed: psycopg 3 (postgresql+psycopg)"
        )
    return driver


_HELD = ("key", "token", "holder", "attempt", "lease_until", "digest", "payload", "done", "receipt")


def _row_of(claim: Claim) -> list[Any]:
    lease_s = float(claim.lease_s)
    return [str(claim.key), claim.token, claim.holder, lease_s, claim.digest, claim.payload, claim.key.source_type]


def _rows_of(claims: Sequence[Claim]) -> str:
    """As JSON: one parameter, which the driver writes several times as fast as an array a column."""
    return json.dumps([{**vars(claim), "source_type": claim.key.source_type} for claim in claims])


def _checked(table: str) -> str:
    if not _NAME.fullmatch(table):
        raise BadInput(f"fence: table: found {table!r}; allowed: NAME or SCHEMA.NAME, lower case")
    return table


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    """The driver's errors as one line that says what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise _in_words(place, error) or error from error
    except SwitchoverError:
        raise
    except Exception as error:
        cause = getattr(error, "orig", None)  # SQLAlchemy's, when it connects
        if not isinstance(cause, psycopg.Error):
            raise
        raise _in_words(place, cause) or error from error


def _in_words(place: str, error: psycopg.Error) -> Exception | None:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if error.sqlstate in _REFUSED:
        return BadInput(f"fence: {place}: {first}; docs/fence.md has the table and the rights")
    if error.sqlstate in _WAITED:
        return FenceBusy(f"fence: {place}: another transaction holds a key: {first}; try again")
    if error.sqlstate == _FAILED_TRANSACTION:
        return BadInput(f"fence: {place}: the transaction has failed before; roll it back and try again")
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or _AWAY[0]).startswith(_AWAY):
        return Unreachable(f"fence: {place}: did not answer: {first}")
    if isinstance(error, psycopg.OperationalError | psycopg.DataError):
        return BadInput(f"fence: {place}: refused: {first} (SQLSTATE {error.sqlstate or 'none'})")
    return None

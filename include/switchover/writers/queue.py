"""Writes that arrive while their writer is frozen: queued in its own database, bounded, applied once and in order.

For a writer with a write gate (kind ``sql_fence``) whose callers cannot wait until a hold is over. ``write`` applies at
once while the gate is open, and queues while it is closed; over the bound the caller is told to come again. After
the gate has opened, ``drain`` applies what waits, onto whatever arm is live then, before anything newer of the
same stream. Every effect goes through the dedupe fence in its own transaction, so a caller may repeat a write.

The table in a team's database is called ``switchover_intent``, and the dedupe fence's keys begin with ``intent``: both
names are older than the word queue, and they stay, since rows that exist carry them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg

from switchover.edge.sqlstate import away, busy, named
from switchover.errors import BadInput, FenceConflict, PayloadTooLarge, QueueFull, Unreachable
from switchover.fence import Fence, fence_key
from switchover.fence.payload import changes, payload_of
from switchover.text import first_line

TABLE = """CREATE TABLE IF NOT EXISTS switchover_intent (
    id bigserial PRIMARY KEY, stream text NOT NULL, key text NOT NULL, revision bigint NOT NULL,
    payload text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at timestamptz, applied_on text, refused text, UNIQUE (stream, key, revision))"""
INDEX = (
    "CREATE INDEX IF NOT EXISTS switchover_intent_waiting ON switchover_intent (stream, id) WHERE applied_at IS NULL"
)
WAITING = """SELECT count(*), extract(epoch FROM clock_timestamp() - min(at))::float8
    FROM switchover_intent WHERE stream = %s AND applied_at IS NULL"""
#: Writes of a stream that were applied in the last seconds and were not refused. Of the seconds the server's own clock
#: decides, so that no other clock matters.
_SINCE = "stream = %s AND applied_at > clock_timestamp() - make_interval(secs => %s) AND refused IS NULL"
WRITTEN_SINCE = f"SELECT count(*) FROM switchover_intent WHERE {_SINCE}"
#: While ``applied_at`` is NULL, ``applied_on`` says by which way back a write was put back.
PUT_BACK = f"UPDATE switchover_intent SET applied_at = NULL, applied_on = %s WHERE {_SINCE}"
BOUND = 10_000
PAYLOAD_BYTES = 256 << 10
RETRY_AFTER_S = 5
LOCK_WAIT_S = 2
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7340005))"
_NEXT = """SELECT id, key, revision, payload, applied_on FROM switchover_intent
    WHERE stream = %s AND applied_at IS NULL ORDER BY id LIMIT %s"""
_KEEP = """INSERT INTO switchover_intent (stream, key, revision, payload, applied_at)
    VALUES (%s, %s, %s, %s, clock_timestamp()) ON CONFLICT (stream, key, revision) DO NOTHING"""
_FORGET = """DELETE FROM switchover_intent WHERE id IN (SELECT id FROM switchover_intent
    WHERE stream = %s AND applied_at < clock_timestamp() - make_interval(hours => %s) LIMIT 1000)"""
_LEFT = "UPDATE switchover_intent SET applied_at = clock_timestamp(), applied_on = %s, refused = %s WHERE id = %s"

Apply = Callable[[Any], Any]


class How(str, Enum):
    """What became of a write."""

    APPLIED = "applied"
    QUEUED = "queued"
    REPEATED = "repeated"  # applied before, by this very key and revision


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a stream's queue holds now. ``oldest_s``: age of its oldest write in seconds, 0 when it is empty."""

    count: int
    oldest_s: float


class WriteQueue:
    """The queue of one stream of writes, behind one write gate.

    Every method takes a psycopg connection to the database that holds the gate's row, the queue and the effects,
    and makes a transaction of its own on it. ``Unreachable`` when the database does not answer: repeat the write.
    """

    def __init__(self, *, fence: Fence, gate: str, stream: str, bound: int = BOUND, keep_h: int = 0) -> None:
        """``gate``: name of the writer's row in ``switchover_fence``.

        ``keep_h``: hours for which also what is applied at once stays in the queue's table, so that a way back after a
        promotion can put it back; no less than the plan's ``retire.after_h``. 0 keeps only what had to wait.
        """
        self._fence = fence
        self._gate = gate
        self._stream = stream
        self._bound = bound
        self._keep_h = keep_h
        self._what = f"queue of {stream!r}"

    @staticmethod
    def create_table(connection: psycopg.Connection[Any]) -> None:
        """Create the queue's table where it is missing."""
        _run(connection, TABLE)
        _run(connection, INDEX)

    def write(self, connection: psycopg.Connection[Any], *, key: str, revision: int, payload: Any, apply: Apply) -> How:
        """Apply a write now, or queue it. ``apply(payload)`` makes the effect on the same connection.

        ``revision`` grows with each write of a key. Raises
            QueueFull      the gate is closed and the queue is at its bound: come again later
            FenceConflict  this key and revision came before with another payload
            PayloadTooLarge, BadInput  no JSON, a revision that comes too late, no write gate, no table
        """
        size = payload_of(payload).size
        if size > PAYLOAD_BYTES:
            raise PayloadTooLarge(
                f"{self._what}: payload of key {key!r} has {size} bytes; allowed: {PAYLOAD_BYTES};"
                " write a reference to it instead"
            )
        text = json.dumps(payload, sort_keys=True, ensure_ascii=False)
        with self._alone(connection):
            if self._open(connection) and self._waiting(connection).count == 0:
                how = self._apply(connection, key, revision, payload, apply)
                if self._keep_h and how is How.APPLIED:
                    _run(connection, _KEEP, [self._stream, key, revision, text])
                return how
            return self._queue(connection, key, revision, text)

    def drain(
        self, connection: psycopg.Connection[Any], *, apply: Apply, onto: Callable[[], str], limit: int = 50
    ) -> int:
        """Apply up to ``limit`` waiting writes in their order, if the gate is open. Returns how many left the queue.

        ``onto()`` is asked behind the open gate, where the pointer cannot move: the arm that they are recorded as
        applied on. One whose key and revision were applied before with
        another payload is not applied: it leaves the queue as ``refused``, with the difference.
        """
        with self._alone(connection):
            if not self._open(connection):
                return 0
            rows = _run(connection, _NEXT, [self._stream, limit]).fetchall()
            arm = onto() if rows else ""
            if self._keep_h and not rows:
                _run(connection, _FORGET, [self._stream, self._keep_h])
            for row, key, revision, text, again in rows:
                refused = None
                try:
                    self._apply(connection, key, revision, json.loads(text), apply, again=again or "")
                except FenceConflict as conflict:
                    refused = str(conflict)
                _run(connection, _LEFT, [arm, refused, row])
            return len(rows)

    def waiting(self, connection: psycopg.Connection[Any]) -> Waiting:
        """What waits in the queue."""
        with self._translated(), connection.transaction():
            return self._waiting(connection)

    def _apply(
        self,
        connection: psycopg.Connection[Any],
        key: str,
        revision: int,
        payload: Any,
        apply: Apply,
        *,
        again: str = "",
    ) -> How:
        """``again``: the way back that put it back. To apply it on the other arm is another effect, and once too."""
        action = f"write for {again}" if again else "write"
        name = fence_key(source_type="intent", source_id=f"{self._stream}/{key}", revision=revision, action=action)
        with self._fence.once(name, payload, connection=connection) as effect:
            if not effect.first:
                return How.REPEATED
            effect.done(apply(payload))
        return How.APPLIED

    def _queue(self, connection: psycopg.Connection[Any], key: str, revision: int, text: str) -> How:
        query = """SELECT revision, payload, applied_at IS NOT NULL FROM switchover_intent
                   WHERE stream = %s AND key = %s ORDER BY revision DESC LIMIT 1"""
        last = _run(connection, query, [self._stream, key]).fetchone()
        if last is not None and last[0] == revision:
            if last[1] != text:
                raise FenceConflict(
                    f"{self._what}: key {key!r} revision {revision} is queued with another payload",
                    key=key,
                    diff=changes(last[1], text),
                )
            return How.REPEATED if last[2] else How.QUEUED
        if last is not None and last[0] > revision:
            raise BadInput(
                f"{self._what}: key {key!r} revision {revision} comes after revision {last[0]}; allowed: a later one"
            )
        if self._waiting(connection).count >= self._bound:
            raise QueueFull(
                f"{self._what}: {self._bound} writes wait already; come again in {RETRY_AFTER_S} s",
                retry_after_s=RETRY_AFTER_S,
            )
        _run(
            connection,
            "INSERT INTO switchover_intent (stream, key, revision, payload) VALUES (%s, %s, %s, %s)",
            [self._stream, key, revision, text],
        )
        return How.QUEUED

    def _waiting(self, connection: psycopg.Connection[Any]) -> Waiting:
        row = _run(connection, WAITING, [self._stream]).fetchone()
        assert row is not None
        return Waiting(count=row[0], oldest_s=row[1] or 0.0)

    def _open(self, connection: psycopg.Connection[Any]) -> bool:
        """Share the gate's row to the end of the transaction; false while it is closed, or is just being closed."""
        query = "SELECT frozen FROM switchover_fence WHERE fence = %s FOR SHARE"
        try:
            with connection.transaction():
                row = _run(connection, query, [self._gate]).fetchone()
        except psycopg.errors.LockNotAvailable:
            return False
        if row is None:
            raise BadInput(f"{self._what}: there is no write gate {self._gate!r}; insert it: docs/writers.md")
        return not row[0]

    @contextlib.contextmanager
    def _alone(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """One transaction, one at a time for a stream: what comes first is applied first.

        The stream's lock is taken before the gate's row is shared: a process that waited for it would hold up a freeze.
        """
        with self._translated(), connection.transaction():
            _run(connection, _LOCK, [self._stream])
            _run(connection, f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
            yield

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
            raise BadInput(
                f"{self._what}: {first_line(error)}; docs/writers.md has the tables and the rights"
            ) from error
        except psycopg.OperationalError as error:
            if not (away(error) or busy(error)):
                raise BadInput(f"{self._what}: refused: {first_line(error)} ({named(error)})") from error
            what = "is busy" if busy(error) else "did not answer"
            raise Unreachable(f"{self._what}: {what}: {first_line(error)}; repeat the write") from error


def _run(connection: psycopg.Connection[Any], query: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
    """Never prepared under a name: behind a pooler the next transaction may have another server connection."""
    text: Any = query
    return connection.execute(text, values or None, prepare=False)

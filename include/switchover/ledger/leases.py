"""One lease a pointer: who may move it, until when, under which epoch.

Taking it always begins a new epoch, also for a holder that has it: of all the processes of one holder only the
newest may write. What a process does afterwards it does under the :class:`Lease` it was given; when that ran out
or another epoch began, everything it tries is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.errors import LeaseLost
from switchover.ledger import tables
from switchover.ledger.database import Database
from switchover.ledger.tables import NOW
from switchover.ledger.tables import lease as table
from switchover.protocol import ENDED

LIVES = sa.and_(table.c.expires_at > NOW, table.c.released_at.is_(None))
ALIVE = LIVES.label("alive")
_RUN, _WRITER = tables.run.c, tables.writer.c
FROZEN = sa.exists().where(_WRITER.run == _RUN.id, _WRITER.resumed_at.is_(None), _WRITER.held.is_(None))
_OVER = sa.exists().where(_RUN.id == table.c.holder, _RUN.state.in_([state.value for state in ENDED]), sa.not_(FROZEN))


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to move a pointer. ``epoch`` grows with every taking: it is the fencing token.

    ``seized_from`` is the holder that had it when it was seized; ``None`` when it was free. ``released_at``: let go
    then, and dead whatever the clock says.
    """

    pointer: str
    epoch: int
    holder: str
    taken_at: datetime
    expires_at: datetime
    alive: bool
    seized_from: str | None = None
    released_at: datetime | None = None

    @property
    def over_since(self) -> datetime:
        """When a lease that does not live was let go or ran out."""
        return self.released_at or self.expires_at


class Leases:
    """The leases of a ledger. Only the database's clock decides whether one has run out."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def take(self, pointer: str, *, holder: str, seconds: float) -> Lease:
        """Take the lease under the next epoch, for ``seconds``. ``LeaseLost`` while another holder's lives.

        The lease of a run that has ended and has nothing frozen is free, whatever the clock says.
        """
        free = sa.or_(table.c.holder == holder, sa.not_(LIVES), _OVER)
        return self._take(pointer, holder=holder, seconds=seconds, where=free)

    def seize(self, pointer: str, *, holder: str, seconds: float) -> Lease:
        """Take the lease under the next epoch, also from a living holder. Only for a person who asks for it."""
        return self._take(pointer, holder=holder, seconds=seconds, where=sa.true())

    def join(self, pointer: str, *, holder: str) -> Lease:
        """The living lease of ``holder``, under the epoch that it has; ``LeaseLost`` when there is none.

        For a process that only keeps it alive and writes nothing.
        """
        lease = self.get(pointer)
        if lease is None or not lease.alive or lease.holder != holder:
            raise LeaseLost(_held(pointer, lease))
        return lease

    def renew(self, lease: Lease, *, seconds: float) -> Lease:
        """Let it run for ``seconds`` from now; ``LeaseLost`` when it ran out or another epoch began."""
        update = sa.update(table).where(_living(lease)).values(expires_at=NOW + timedelta(seconds=seconds))
        # A beat that waits for its answer longer than until the next one is better sent again.
        with self._db.transaction(answer_s=max(1.0, seconds / 3)) as connection:
            row = connection.execute(update.returning(*table.c, ALIVE)).mappings().one_or_none()
            if row is None:
                raise LeaseLost(_lost(lease, _get(connection, lease.pointer)))
        return Lease(**row)

    def release(self, lease: Lease) -> None:
        """Let it go; its epoch stays, so that the next one is higher. No error when it was lost.

        Also one that ran out and that nobody has taken since: a clock that steps back must not bring it to life.
        """
        mine = sa.and_(_same(lease), table.c.released_at.is_(None))
        with self._db.transaction() as connection:
            connection.execute(sa.update(table).where(mine).values(released_at=NOW))

    def get(self, pointer: str) -> Lease | None:
        """The lease as it is, living or not."""
        with self._db.transaction() as connection:
            return _get(connection, pointer)

    def _take(self, pointer: str, *, holder: str, seconds: float, where: sa.ColumnElement[bool]) -> Lease:
        life = timedelta(seconds=seconds)
        insert = postgresql.insert(table).values(pointer=pointer, epoch=1, holder=holder, expires_at=NOW + life)
        from_another = sa.and_(table.c.holder != holder, LIVES)
        statement = insert.on_conflict_do_update(
            index_elements=["pointer"],
            set_={
                "epoch": table.c.epoch + 1,
                "taken_at": NOW,
                "holder": holder,
                "expires_at": NOW + life,
                "released_at": sa.null(),
                "seized_from": sa.case((from_another, table.c.holder), else_=sa.null()),
            },
            where=where,
        )
        with self._db.transaction() as connection:
            row = connection.execute(statement.returning(*table.c, ALIVE)).mappings().one_or_none()
            if row is None:
                raise LeaseLost(_held(pointer, _get(connection, pointer)))
        return Lease(**row)


#: The lease of the process that writes; ``None`` for one that leads nothing.
Held = Callable[[], Lease | None]


def nobody() -> None:
    """No lease: a person who answers, a report, a test."""


def require_held(connection: sa.Connection, held: Held) -> None:
    """As :func:`require` for a process with a lease; one without a lease is not held to one."""
    lease = held()
    if lease is not None:
        require(connection, lease)


def require(connection: sa.Connection, lease: Lease) -> None:
    """Raise ``LeaseLost`` unless the lease lives; nobody can take it until the transaction ends."""
    query = sa.select(table.c.epoch).where(_living(lease)).with_for_update(read=True)
    if connection.execute(query).one_or_none() is None:
        raise LeaseLost(_lost(lease, _get(connection, lease.pointer)))


def _living(lease: Lease) -> sa.ColumnElement[bool]:
    return sa.and_(_same(lease), LIVES)


def _same(lease: Lease) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.pointer == lease.pointer, table.c.holder == lease.holder, table.c.epoch == lease.epoch)


def _get(connection: sa.Connection, pointer: str) -> Lease | None:
    query = sa.select(*table.c, ALIVE).where(table.c.pointer == pointer)
    row = connection.execute(query).mappings().one_or_none()
    return Lease(**row) if row is not None else None


def _lost(mine: Lease, now: Lease | None) -> str:
    return f"{_held(mine.pointer, now)}; this process ({mine.holder!r}, epoch {mine.epoch}) may not write any more"


def _held(pointer: str, lease: Lease | None) -> str:
    if lease is None:
        return f"pointer {pointer}: nobody holds its lease"
    ended = "let go" if lease.released_at else "ran out"
    state = f"until {lease.expires_at:%H:%M:%S} UTC" if lease.alive else f"{ended} at {lease.over_since:%H:%M:%S} UTC"
    since = f"{lease.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    seized = f", seized from {lease.seized_from!r}" if lease.seized_from else ""
    return f"pointer {pointer}: its lease is held by {lease.holder!r} since {since}{seized}, {state}"

"""One lease a pointer: who may move it, until when, under which epoch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.errors import LeaseLost
from switchover.ledger.database import Database
from switchover.ledger.tables import NOW
from switchover.ledger.tables import lease as table


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to move a pointer. ``epoch`` grows with every new holder: it is the fencing token."""

    pointer: str
    epoch: int
    holder: str
    taken_at: datetime
    expires_at: datetime
    alive: bool


class Leases:
    """The leases of a ledger. Only the database's clock decides whether one has run out."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def take(self, pointer: str, *, holder: str, seconds: float) -> Lease:
        """Take the lease, or renew it when ``holder`` has it.

        A living lease keeps its epoch; a free or expired one gets the next. ``LeaseLost`` when another
        holder has it.
        """
        life = timedelta(seconds=seconds)
        mine = sa.and_(table.c.holder == holder, table.c.expires_at > NOW)
        insert = postgresql.insert(table).values(pointer=pointer, epoch=1, holder=holder, expires_at=NOW + life)
        statement = insert.on_conflict_do_update(
            index_elements=["pointer"],
            set_={
                "epoch": sa.case((mine, table.c.epoch), else_=table.c.epoch + 1),
                "taken_at": sa.case((mine, table.c.taken_at), else_=NOW),
                "holder": holder,
                "expires_at": NOW + life,
            },
            where=sa.or_(table.c.holder == holder, table.c.expires_at <= NOW),
        )
        with self._db.transaction() as connection:
            taken = connection.execute(statement.returning(table.c.epoch)).scalar_one_or_none()
        lease = self.get(pointer)
        if taken is None or lease is None:
            raise LeaseLost(_held(pointer, lease))
        return lease

    def renew(self, pointer: str, *, holder: str, seconds: float) -> Lease:
        """Prolong a living lease; ``LeaseLost`` when it ran out or is another's."""
        condition = sa.and_(table.c.pointer == pointer, table.c.holder == holder, table.c.expires_at > NOW)
        update = sa.update(table).where(condition).values(expires_at=NOW + timedelta(seconds=seconds))
        with self._db.transaction() as connection:
            renewed = connection.execute(update).rowcount
        lease = self.get(pointer)
        if not renewed or lease is None:
            raise LeaseLost(_held(pointer, lease))
        return lease

    def release(self, pointer: str, *, holder: str) -> None:
        """Let the lease run out now; its epoch stays, so that the next one is higher."""
        condition = sa.and_(table.c.pointer == pointer, table.c.holder == holder)
        with self._db.transaction() as connection:
            connection.execute(sa.update(table).where(condition).values(expires_at=NOW))

    def get(self, pointer: str) -> Lease | None:
        """The lease as it is, living or not."""
        query = sa.select(table, (table.c.expires_at > NOW).label("alive")).where(table.c.pointer == pointer)
        with self._db.transaction() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return Lease(**row) if row is not None else None


def _held(pointer: str, lease: Lease | None) -> str:
    if lease is None:
        return f"pointer {pointer}: nobody holds its lease"
    state = f"until {lease.expires_at:%H:%M:%S} UTC" if lease.alive else f"ran out at {lease.expires_at:%H:%M:%S} UTC"
    since = f"{lease.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"pointer {pointer}: its lease is held by {lease.holder!r} since {since}, {state}"

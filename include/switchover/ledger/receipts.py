"""Readings of indexes (``receipt.Proof``): one row for each index, told apart by the store's own creation id."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from switchover.indexes.receipt import Proof
from switchover.ledger.database import Database
from switchover.ledger.tables import NOW
from switchover.ledger.tables import receipt as table

ADOPTS = "adopted by "  # begins the actor of a reading that a person made to take an index over


class Receipts:
    """The readings that a ledger keeps."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def keep(self, proof: Proof, *, actor: str) -> None:
        """Keep a reading, whole or as far as it has come, in place of the one of this index before."""
        values = {
            "creation": proof.creation,
            "target": proof.target,
            "index_hash": proof.index_hash,
            "whole": proof.whole,
            "body": proof.to_json(),
            "actor": actor,
            "at": NOW,
        }
        statement = insert(table).values(values)
        changes = {name: value for name, value in values.items() if name != "creation"}
        with self._db.transaction() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=[table.c.creation], set_=changes))

    def of(self, creation: str) -> Proof | None:
        """The newest reading of the index with this creation id."""
        query = sa.select(table.c.body).where(table.c.creation == creation)
        with self._db.transaction() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return Proof.from_json(body) if body is not None else None

    def adopted(self, index_hash: str, *, after: datetime | None) -> bool:
        """Whether a person has adopted an index of this build since."""
        query = sa.select(table.c.at).where(table.c.index_hash == index_hash, table.c.actor.startswith(ADOPTS))
        with self._db.transaction() as connection:
            found = connection.execute(query).scalars().all()
        return any(after is None or at > after for at in found)

    def newest(self, *, target: str, index_hash: str) -> str | None:
        """Creation id of the index of this name and build that was read whole last."""
        query = sa.select(table.c.creation).where(table.c.target == target, table.c.index_hash == index_hash)
        with self._db.transaction() as connection:
            ordered = query.where(table.c.whole).order_by(table.c.at.desc()).limit(1)
            found: str | None = connection.execute(ordered).scalar_one_or_none()
        return found

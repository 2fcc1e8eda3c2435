"""An alias row in PostgreSQL that names the live index.

One conditional UPDATE moves it: it holds only if the row is on the expected arm, no newer epoch has
written, and the target's manifest carries the approved INDEX_HASH. A view could not do this: two indexes
of different dimensions have different column types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import sqlalchemy as sa

from switchover import sql
from switchover.errors import LeaseLost, PointerConflict, TargetRefused
from switchover.pointers.base import Applied, Capabilities, Change, Pointer, Reading

TABLES = (
    """CREATE TABLE IF NOT EXISTS switchover_alias (
        alias text PRIMARY KEY, target text NOT NULL, epoch bigint NOT NULL DEFAULT 0,
        version bigint NOT NULL DEFAULT 1, actor text NOT NULL DEFAULT '',
        moved_at timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE IF NOT EXISTS switchover_manifest (
        target text PRIMARY KEY, index_hash text NOT NULL, manifest jsonb NOT NULL,
        built_at timestamptz NOT NULL DEFAULT now())""",
)

APPLY = sa.text(
    """UPDATE switchover_alias AS a
       SET target = :after, epoch = :epoch, version = a.version + 1, actor = :actor, moved_at = now()
       FROM switchover_manifest AS m
       WHERE a.alias = :alias AND a.target = :before AND a.epoch <= :epoch
         AND m.target = :after AND m.index_hash = :approved_hash
       RETURNING a.version"""
)


def create_tables(engine: sa.Engine) -> None:
    """Create the alias and manifest tables where they are missing."""
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sa.text(statement))


class PgvectorPointer:
    """The alias row ``alias`` of one database."""

    def __init__(self, *, engine: sa.Engine, alias: str) -> None:
        self._engine = engine
        self._alias = alias
        self.key = f"pgvector:{sql.place(engine)}/{alias}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fenced=True,
            propagation="at once: readers resolve it per request",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        query = sa.text("SELECT target, version, epoch FROM switchover_alias WHERE alias = :alias")
        with self._transaction() as connection:
            row = connection.execute(query, {"alias": self._alias}).one_or_none()
        return Reading(target=row.target, version=row.version, epoch=row.epoch) if row else Reading(target=None)

    def plan(self, change: Change) -> str:
        """See :class:`Pointer`."""
        now = self.read()
        if now.target == change.after:
            return f"{self.key}: is on {change.after!r} already; nothing would change"
        return (
            f"{self.key}: would move from {change.before!r} to {change.after!r}"
            f" (found on {now.target!r}, version {now.version}, epoch {now.epoch})"
        )

    def apply(self, change: Change) -> Applied:
        """See :class:`Pointer`."""
        values = {
            "alias": self._alias,
            "before": change.before,
            "after": change.after,
            "epoch": change.epoch,
            "actor": change.actor,
            "approved_hash": change.approved_hash,
        }
        with self._transaction() as connection:
            version = connection.execute(APPLY, values).scalar_one_or_none()
        if version is not None:
            return Applied(changed=True, version=version)
        return self._why_not(change)

    def verify(self, target: str) -> bool:
        """See :class:`Pointer`."""
        return self.read().target == target

    def fence(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        statement = sa.text("UPDATE switchover_alias SET epoch = :epoch WHERE alias = :alias AND epoch < :epoch")
        with self._transaction() as connection:
            connection.execute(statement, {"alias": self._alias, "epoch": epoch})

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`."""
        name = {"alias": f"{self._alias}__rehearsal"}
        delete = sa.text("DELETE FROM switchover_alias WHERE alias = :alias")
        insert = sa.text("INSERT INTO switchover_alias (alias, target) VALUES (:alias, :target)")
        with self._transaction() as connection:
            connection.execute(delete, name)
            connection.execute(insert, {**name, "target": target})
        try:
            yield PgvectorPointer(engine=self._engine, alias=name["alias"])
        finally:
            with self._transaction() as connection:
                connection.execute(delete, name)

    def _why_not(self, change: Change) -> Applied:
        """Nothing was updated: say why, or that nothing had to be."""
        now = self.read()
        if now.target is None:
            raise PointerConflict(f"{self.key}: no alias row of this name; nothing was changed")
        if now.target == change.after:
            return Applied(changed=False, version=now.version)
        if now.epoch is not None and now.epoch > change.epoch:
            raise LeaseLost(
                f"{self.key}: epoch {now.epoch} has written, this holder has {change.epoch}; nothing was changed"
            )
        if now.target != change.before:
            raise PointerConflict(f"{self.key}: expected {change.before!r}, found {now.target!r}; nothing was changed")
        found = self._stored_hash(change.after)
        raise TargetRefused(
            f"{self.key}: {change.after!r} has INDEX_HASH {found or 'none'}, approved is {change.approved_hash};"
            " nothing was changed"
        )

    def _stored_hash(self, target: str) -> str | None:
        query = sa.text("SELECT index_hash FROM switchover_manifest WHERE target = :target")
        with self._transaction() as connection:
            return connection.execute(query, {"target": target}).scalar_one_or_none()

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return sql.transaction(self._engine, f"pointer {self.key}")

"""An alias row in PostgreSQL that names the live index.

One conditional UPDATE moves it: it holds only if the row is on the expected arm, no newer epoch has
written, and the target's manifest carries the approved INDEX_HASH. A view could not do this: two indexes
of different dimensions have different column types.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from switchover.edge import sql
from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.errors import TargetRefused
from switchover.lazy import lazy
from switchover.pointers.base import (
    REHEARSAL,
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    not_of_a_rehearsal,
    own_name,
)

if TYPE_CHECKING:
    import sqlalchemy as sa
else:
    sa = lazy("sqlalchemy")

TABLES = (
    """CREATE TABLE IF NOT EXISTS switchover_alias (
        alias text PRIMARY KEY, target text NOT NULL, epoch bigint NOT NULL DEFAULT 0,
        version bigint NOT NULL DEFAULT 1, actor text NOT NULL DEFAULT '',
        moved_at timestamptz NOT NULL DEFAULT now())""",
    """CREATE TABLE IF NOT EXISTS switchover_manifest (
        target text PRIMARY KEY, index_hash text NOT NULL, manifest jsonb NOT NULL,
        built_at timestamptz NOT NULL DEFAULT now())""",
)

SWAP = """UPDATE switchover_alias AS a
       SET target = :after, epoch = :epoch, version = a.version + 1, actor = :actor, moved_at = now()
       FROM switchover_manifest AS m
       WHERE a.alias = :alias AND a.target = :before AND a.epoch <= :epoch
         AND m.target = :after AND m.index_hash = coalesce(:approved_hash, m.index_hash)"""

FORGET = "DELETE FROM switchover_alias WHERE alias = :alias AND actor = :actor"
REMEMBER = "INSERT INTO switchover_alias (alias, target, actor) VALUES (:alias, :target, :actor) ON CONFLICT DO NOTHING"


class PgvectorSpec(PointerSpec):
    """An alias row in PostgreSQL that names the live index."""

    names_indexes_of: ClassVar[str] = "PostgreSQL"
    kind: Literal["pgvector"]
    alias: Annotated[str, AfterValidator(own_name)] = Field(
        min_length=1, max_length=200, description="Name of the alias row."
    )

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        return PgvectorPointer(engine=edge.sql(self.connection), alias=self.alias)


def create_tables(engine: sa.Engine) -> None:
    """Create the alias and manifest tables where they are missing."""
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(sa.text(statement))


class PgvectorPointer(Pointer):
    """The alias row ``alias`` of one database."""

    def __init__(self, *, engine: sa.Engine, alias: str, actor: str | None = None) -> None:
        self._engine = engine
        self._alias = alias
        self._actor = actor
        self.key = f"pgvector:{sql.place(engine)}/{alias}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fencing=EpochCheck.WITH_THE_WRITE,
            propagation="at once: readers resolve it per request",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        query = sa.text("SELECT target, version, epoch FROM switchover_alias WHERE alias = :alias")
        with self._transaction() as connection:
            row = connection.execute(query, {"alias": self._alias}).one_or_none()
        return Reading(target=row.target, version=row.version, epoch=row.epoch) if row else Reading(target=None)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. Whether the table holds rows is the index's to say (``switchover.indexes``)."""
        query = sa.text("SELECT index_hash FROM switchover_manifest WHERE target = :target")
        with self._transaction() as connection:
            found = connection.execute(query, {"target": target}).scalar_one_or_none()
        if found is None or found != (approved_hash or found):
            raise TargetRefused(
                f"{self.key}: {target!r} has INDEX_HASH {found or 'none'}, approved is {approved_hash or 'any'};"
                " nothing was changed"
            )

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        values = {
            "alias": self._alias,
            "before": change.before,
            "after": change.after,
            "epoch": change.epoch,
            "actor": self._actor or change.actor,
            "approved_hash": change.approved_hash,
        }
        with self._transaction() as connection:
            return connection.execute(sa.text(SWAP), values).rowcount == 1

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        statement = sa.text("UPDATE switchover_alias SET epoch = :epoch WHERE alias = :alias AND epoch < :epoch")
        with self._transaction() as connection:
            connection.execute(statement, {"alias": self._alias, "epoch": epoch})

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`."""
        row = {"alias": f"{self._alias}__rehearsal", "target": target, "actor": REHEARSAL}
        with self._transaction() as connection:
            connection.execute(sa.text(FORGET), row)
            made = connection.execute(sa.text(REMEMBER), row).rowcount
        if not made:
            raise not_of_a_rehearsal(self.key, f"alias row {row['alias']!r}")
        try:
            yield PgvectorPointer(engine=self._engine, alias=row["alias"], actor=REHEARSAL)
        finally:
            with self._transaction() as connection:
                connection.execute(sa.text(FORGET), row)

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return sql.transaction(self._engine, f"pointer {self.key}", answer_s=TIMEOUT_S, single=True)

"""A key in a PostgreSQL table, moved by one conditional UPDATE."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from switchover.edge import sql
from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.lazy import lazy
from switchover.pointers.base import Pointer
from switchover.pointers.kv import Entry, KeyPointer, KeySpec

if TYPE_CHECKING:
    import sqlalchemy as sa
else:
    sa = lazy("sqlalchemy")

TABLE = """CREATE TABLE IF NOT EXISTS switchover_key (
    key text PRIMARY KEY, target text NOT NULL, epoch bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1, actor text NOT NULL DEFAULT '',
    moved_at timestamptz NOT NULL DEFAULT now())"""
GET = "SELECT target, epoch, actor, version FROM switchover_key WHERE key = :key"
CREATE = """INSERT INTO switchover_key (key, target, epoch, actor) VALUES (:key, :target, :epoch, :actor)
            ON CONFLICT DO NOTHING"""
PUT = """UPDATE switchover_key
         SET target = :target, epoch = :epoch, actor = :actor, version = version + 1, moved_at = now()
         WHERE key = :key AND version = :version"""
DELETE = "DELETE FROM switchover_key WHERE key = :key"
HINT = "docs/pointers/kv.md has the table and the rights; this statement changed nothing"


class SqlKeySpec(KeySpec):
    """A row of the table `switchover_key` in PostgreSQL that names the live arm."""

    kind: Literal["kv_sql"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        store = SqlStore(engine=edge.sql(self.connection))
        return KeyPointer(kind=self.kind, store=store, name=self.key, check=self.checked(edge))


def create_table(engine: sa.Engine) -> None:
    """Create the table where it is missing."""
    with engine.begin() as connection:
        connection.execute(sa.text(TABLE))


class SqlStore:
    """The rows of ``switchover_key``."""

    def __init__(self, *, engine: sa.Engine) -> None:
        self._engine = engine
        self.place = sql.place(engine)

    def get(self, key: str) -> Entry | None:
        """See :class:`KeyStore`."""
        with self._transaction() as connection:
            row = connection.execute(sa.text(GET), {"key": key}).one_or_none()
        if row is None:
            return None
        return Entry(target=row.target, epoch=row.epoch, actor=row.actor, version=row.version, token=row.version)

    def put(self, key: str, entry: Entry, *, instead_of: Entry | None) -> bool:
        """See :class:`KeyStore`."""
        values: dict[str, Any] = {"key": key, "target": entry.target, "epoch": entry.epoch, "actor": entry.actor}
        statement = CREATE
        if instead_of is not None:
            statement, values["version"] = PUT, instead_of.token
        with self._transaction() as connection:
            return connection.execute(sa.text(statement), values).rowcount == 1

    def delete(self, key: str) -> None:
        """See :class:`KeyStore`."""
        with self._transaction() as connection:
            connection.execute(sa.text(DELETE), {"key": key})

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return sql.transaction(self._engine, f"keys in {self.place}", hint=HINT, answer_s=TIMEOUT_S, single=True)

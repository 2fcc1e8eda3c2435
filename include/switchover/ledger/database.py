"""Transactions on the ledger's database, with errors that say which server did not answer."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.edge import sql
from switchover.edge.connection import ANSWER_S
from switchover.errors import BadInput, LedgerUnreachable
from switchover.ledger import tables


class Database:
    """One PostgreSQL database that holds the ledger."""

    def __init__(self, *, engine: sa.Engine) -> None:
        self.engine = engine

    def transaction(self, *, answer_s: float = ANSWER_S) -> AbstractContextManager[sa.Connection]:
        """One transaction: commits at the end, rolls back on any error, also when no answer came in ``answer_s``."""
        return sql.transaction(
            self.engine,
            f"ledger {sql.place(self.engine)}",
            unreachable=LedgerUnreachable,
            hint="`switchover ledger init` creates the tables",
            answer_s=answer_s,
        )

    def create_tables(self) -> None:
        """Create the tables, columns and indexes that are missing; what is there stays as it is."""
        with self.transaction() as connection:
            tables.metadata.create_all(connection)
            for table in tables.metadata.sorted_tables:
                there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
                for column in [column for column in table.columns if column.name not in there]:
                    connection.exec_driver_sql(_add_column(table, column))
                for index in sorted(table.indexes, key=lambda each: str(each.name)):
                    index.create(connection, checkfirst=True)

    def now(self) -> datetime:
        """The database's clock: the one clock that every host shares."""
        with self.transaction() as connection:
            now: datetime = self.scalar(connection, sa.select(tables.NOW))
            return now

    def require_kept_commits(self) -> None:
        """``BadInput`` where the server may forget what it has committed when its process dies.

        A flip that the ledger has forgotten is a foreign move to it, which only a person can sort out.
        """
        with self.transaction() as connection:
            found = str(self.scalar(connection, sa.text("SHOW synchronous_commit")))
        if found == "off":
            raise BadInput(
                f"ledger {sql.place(self.engine)}: synchronous_commit is off, so a crash of the server forgets what was"
                " committed last; allowed: on, local, remote_write, remote_apply"
            )

    @staticmethod
    def scalar(connection: sa.Connection, statement: sa.Executable) -> Any:
        """The first column of the first row."""
        return connection.execute(statement).scalar_one()


def _add_column(table: sa.Table, column: sa.Column[Any]) -> str:
    described = sa.schema.CreateColumn(column).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    return f"ALTER TABLE {table.name} ADD COLUMN {described}"

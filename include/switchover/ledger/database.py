"""Transactions on the ledger's database, with errors that say which server did not answer."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from switchover import sql
from switchover.errors import LedgerUnreachable
from switchover.ledger import tables


class Database:
    """One PostgreSQL database that holds the ledger."""

    def __init__(self, *, engine: sa.Engine) -> None:
        self.engine = engine

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """One transaction: commits at the end, rolls back on any error."""
        return sql.transaction(
            self.engine,
            f"ledger {sql.place(self.engine)}",
            unreachable=LedgerUnreachable,
            hint="`switchover ledger init` creates the tables",
        )

    def create_tables(self) -> None:
        """Create what is missing; existing tables and their rows stay as they are."""
        with self.transaction() as connection:
            tables.metadata.create_all(connection)

    def now(self) -> datetime:
        """The database's clock: the one clock that every host shares."""
        with self.transaction() as connection:
            now: datetime = self.scalar(connection, sa.select(tables.NOW))
            return now

    @staticmethod
    def scalar(connection: sa.Connection, statement: sa.Executable) -> Any:
        """The first column of the first row."""
        return connection.execute(statement).scalar_one()

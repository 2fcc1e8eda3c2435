"""A process that shares a row of the fence table in each of its write transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.writers import write_gate
from tests.contract.worlds.base import CONNECTION
from tests.contract.worlds.sql import DATABASE, SqlPlace
from tests.contract.writers.base import WriterWorld

STRANGER = "stranger"


class WriteGateWorld(SqlPlace, WriterWorld):
    kind = "sql_fence"
    open_write: sa.Connection | None = None

    def set_up(self) -> None:
        write_gate.create_table(self.engine)
        self.execute("INSERT INTO switchover_fence (fence) VALUES (:name)")

    def spec(self) -> dict[str, Any]:
        return {"fence": self.name, "drain_s": 2}

    def state(self) -> bool:
        return bool(self.execute("SELECT frozen FROM switchover_fence WHERE fence = :name").scalar_one())

    def disturb(self) -> None:
        self.execute("UPDATE switchover_fence SET frozen = false WHERE fence = :name")

    def halt(self) -> None:
        self.execute("UPDATE switchover_fence SET frozen = true WHERE fence = :name")

    def remove(self) -> None:
        self.end()
        self.execute("DELETE FROM switchover_fence WHERE fence = :name")

    def begin(self) -> None:
        self.open_write = self.engine.connect()
        query = "SELECT frozen FROM switchover_fence WHERE fence = :name FOR SHARE"
        self.open_write.execute(sa.text(query), {"name": self.name})

    def end(self) -> None:
        if self.open_write is not None:
            self.open_write.close()
            self.open_write = None

    @contextmanager
    def stranger(self) -> Iterator[Edge]:
        self.execute(f"DROP ROLE IF EXISTS {STRANGER}")
        self.execute(f"CREATE ROLE {STRANGER} LOGIN")
        known = Connection(
            id=CONNECTION, conn_type="postgres", host=str(self.server.socket_dir), login=STRANGER, schema=DATABASE
        )
        edge = Edge(connections=lambda _: known)
        try:
            yield edge
        finally:
            edge.close()
            self.execute(f"DROP ROLE {STRANGER}")

"""The stores of the fence library: what the suite must be able to do to each."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import sqlalchemy as sa

from sandbox.postgres import Postgres
from switchover.fence import Store
from switchover.fence.postgres import PostgresStore

DATABASE = "fences"


class FenceWorld(Protocol):
    """One store on its server, with effects in the same kind of server to count."""

    kind: str
    fixture: str
    claim_marker: bytes
    done_marker: bytes

    def __init__(self, server: Any) -> None: ...

    @property
    def address(self) -> tuple[str, int] | str:
        """Where a proxy to the server goes."""
        ...

    def store(self, address: tuple[str, int] | None = None) -> Store:
        """A store with a client of its own, as another process would have it."""
        ...

    def broken_store(self) -> Store:
        """A store whose table is not there; where nothing must be made, ``NotImplementedError``."""
        ...

    def restart(self) -> None: ...

    def close(self) -> None: ...


class PostgresFence:
    kind = "postgres"
    fixture = "pg_server"
    claim_marker = b"INSERT INTO"
    done_marker = b"UPDATE"

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._engines: list[sa.Engine] = []
        server.create_database(DATABASE)
        self.table = f"effects_{uuid.uuid4().hex[:8]}"
        PostgresStore(self.engine(), table=self.table).create_table()

    @property
    def address(self) -> tuple[str, int] | str:
        return f"{self.server.socket_dir}/.s.PGSQL.5432"

    def engine(self, address: tuple[str, int] | None = None) -> sa.Engine:
        where: Mapping[str, Any] = (
            {"host": address[0], "port": address[1]} if address else {"host": str(self.server.socket_dir)}
        )
        url = sa.URL.create("postgresql+psycopg", username="postgres", database=DATABASE)
        self._engines.append(sa.create_engine(url, connect_args=dict(where), pool_pre_ping=True))
        return self._engines[-1]

    def store(self, address: tuple[str, int] | None = None) -> Store:
        return PostgresStore(self.engine(address), table=self.table)

    def broken_store(self) -> Store:
        return PostgresStore(self.engine(), table="no_such_table")

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        with self.engine().begin() as connection:
            connection.execute(sa.text(f"DROP TABLE {self.table}"))
        for engine in self._engines:
            engine.dispose()


FENCES: dict[str, type[FenceWorld]] = {world.kind: world for world in (PostgresFence,)}

"""The two pointers that are rows in PostgreSQL."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from switchover.edge.connection import Connection
from switchover.pointers import kv_sql, pgvector
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, NotApplicable, Place, World

DATABASE = "contract"


class SqlPlace(Place):
    """Rows of one database of the session's PostgreSQL."""

    fixture = "pg_server"
    write_marker = b"UPDATE"

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        server.create_database(DATABASE, vector=True)
        self.engine = sa.create_engine(server.sqlalchemy_url(DATABASE), pool_size=4)

    @property
    def against(self) -> str:
        with self.engine.connect() as connection:
            version = connection.execute(sa.text("SHOW server_version")).scalar_one()
        return f"PostgreSQL {version.split()[0]}, real server"

    @property
    def address(self) -> str:
        return f"{self.server.socket_dir}/.s.PGSQL.5432"

    def connection(self, address: tuple[str, int] | str) -> Connection:
        host, port = (str(self.server.socket_dir), None) if isinstance(address, str) else address
        return Connection(id=CONNECTION, conn_type="postgres", host=host, port=port, login="postgres", schema=DATABASE)

    def tear_down(self) -> None:
        self.remove()
        self.engine.dispose()

    def restart(self) -> None:
        self.server.restart()
        self.engine.dispose()

    def execute(self, statement: str, **values: Any) -> sa.CursorResult[Any]:
        with self.engine.begin() as connection:
            return connection.execute(sa.text(statement), {"name": self.name, **values})


class SqlWorld(SqlPlace, World):
    """A pointer that is a row."""


class PgvectorWorld(SqlWorld):
    kind = "pgvector"

    def set_up(self) -> None:
        pgvector.create_tables(self.engine)
        for target in (BLUE, GREEN):
            self.execute(
                "INSERT INTO switchover_manifest (target, index_hash, manifest) VALUES (:t, :h, '{}')"
                " ON CONFLICT DO NOTHING",
                t=target,
                h=f"hash-{target}",
            )
        self.execute("INSERT INTO switchover_alias (alias, target) VALUES (:name, :blue)", blue=BLUE)

    def spec(self) -> dict[str, Any]:
        return {"alias": self.name}

    def serve(self) -> frozenset[str]:
        query = """SELECT m.target FROM switchover_alias a JOIN switchover_manifest m USING (target)
                   WHERE a.alias = :name"""
        with self.engine.connect() as connection:
            return frozenset(connection.execute(sa.text(query), {"name": self.name}).scalars())

    def move(self, target: str) -> None:
        self.execute("UPDATE switchover_alias SET target = :t, version = version + 1 WHERE alias = :name", t=target)

    def plant(self) -> Callable[[], object]:
        stranger = copy.copy(self)
        stranger.name += "__rehearsal"
        stranger.set_up()
        return stranger.serve

    def remove(self) -> None:
        self.execute("DELETE FROM switchover_alias WHERE alias = :name")

    def spoil(self, target: str, how: str) -> None:
        if how != "missing":
            raise NotApplicable("rows of the index's table are the plan's index to check")
        self.execute("DELETE FROM switchover_manifest WHERE target = :t", t=target)


class KvSqlWorld(SqlWorld):
    kind = "kv_sql"

    def set_up(self) -> None:
        kv_sql.create_table(self.engine)
        self.execute("INSERT INTO switchover_key (key, target) VALUES (:name, :blue)", blue=BLUE)

    def spec(self) -> dict[str, Any]:
        return {"key": self.name}

    def serve(self) -> frozenset[str]:
        query = "SELECT target FROM switchover_key WHERE key = :name"
        with self.engine.connect() as connection:
            return frozenset(connection.execute(sa.text(query), {"name": self.name}).scalars())

    def move(self, target: str) -> None:
        self.execute("UPDATE switchover_key SET target = :t, version = version + 1 WHERE key = :name", t=target)

    def plant(self) -> Callable[[], object]:
        stranger = copy.copy(self)
        stranger.name += "__rehearsal"
        stranger.set_up()
        return stranger.serve

    def remove(self) -> None:
        self.execute("DELETE FROM switchover_key WHERE key = :name")

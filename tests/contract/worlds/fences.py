"""The stores of the fence library: what the suite must be able to do to each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import psycopg
import redis
import sqlalchemy as sa

from sandbox.processes.postgres import Postgres
from sandbox.servers import Server
from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.fence import Store
from switchover.fence.dynamodb import DynamoDbStore
from switchover.fence.postgres import PostgresStore
from switchover.fence.redis import RedisStore

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

    def forgets(self, key: str) -> bool:
        """Whether a key whose time to live is over goes, or is marked to go where the service does it later."""
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

    def plain_store(self) -> PostgresStore:
        """A store on a psycopg connection of its own, without SQLAlchemy."""
        self._plain = psycopg.connect(self.server.url(DATABASE), autocommit=True)
        return PostgresStore(self._plain, table=self.table)

    @property
    def against(self) -> str:
        with self.engine().connect() as connection:
            names = ("server_version", "fsync", "synchronous_commit")
            version, fsync, commit = (connection.execute(sa.text(f"SHOW {name}")).scalar_one() for name in names)
        return f"PostgreSQL {version.split()[0]}, real server, fsync {fsync}, synchronous_commit {commit}"

    def broken_store(self) -> Store:
        return PostgresStore(self.engine(), table="no_such_table")

    def forgets(self, key: str) -> bool:
        store = self.store()
        store.purge()
        return not store.read([key])

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        with self.engine().begin() as connection:
            connection.execute(sa.text(f"DROP TABLE {self.table}"))
        for engine in self._engines:
            engine.dispose()


class RedisFence:
    kind = "redis"
    fixture = "redis"
    claim_marker = b"'attempt', attempt"
    done_marker = b"PEXPIRE"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.prefix = f"effects:{uuid.uuid4().hex[:8]}:"

    @property
    def address(self) -> tuple[str, int] | str:
        return self.server.host, self.server.port

    def store(self, address: tuple[str, int] | None = None) -> Store:
        host, port = address or (self.server.host, self.server.port)
        return RedisStore(redis.Redis(host=host, port=port), prefix=self.prefix)

    def broken_store(self) -> Store:
        raise NotImplementedError("Redis has no tables")

    def forgets(self, key: str) -> bool:
        return not self.store().read([key])

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        with redis.Redis(host=self.server.host, port=self.server.port) as client:
            client.delete(*client.scan_iter(f"{self.prefix}*"))


class DynamoDbFence:
    kind = "dynamodb"
    fixture = "moto_server"
    claim_marker = b"if_not_exists"
    done_marker = b":expires_at"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.table = f"effects-{uuid.uuid4().hex[:8]}"
        DynamoDbStore(self.client(), table=self.table).create_table()

    @property
    def address(self) -> tuple[str, int] | str:
        return self.server.host, self.server.port

    def client(self, address: tuple[str, int] | None = None) -> Any:
        host, port = address or (self.server.host, self.server.port)
        connection = Connection(
            id="fence",
            **{
                **self.server.connection,
                "extra": {**self.server.connection["extra"], "endpoint_url": f"http://{host}:{port}"},
            },
        )
        return clients.aws(connection, "dynamodb")

    def store(self, address: tuple[str, int] | None = None) -> Store:
        return DynamoDbStore(self.client(address), table=self.table)

    def broken_store(self) -> Store:
        return DynamoDbStore(self.client(), table="no_such_table")

    def forgets(self, key: str) -> bool:
        """The emulator deletes nothing; the service deletes what is marked within days."""
        item = self.client().get_item(TableName=self.table, Key={"key": {"S": key}})["Item"]
        return "expires_at" in item and int(item["expires_at"]["N"]) <= time.time()

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        self.client().delete_table(TableName=self.table)


FENCES: dict[str, type[FenceWorld]] = {world.kind: world for world in (PostgresFence, RedisFence, DynamoDbFence)}

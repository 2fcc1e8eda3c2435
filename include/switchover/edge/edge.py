"""The edge: connection ids become clients here and nowhere else.

Inside Airflow the connections come from Airflow; outside (command line, watchdog) from the same
``AIRFLOW_CONN_<ID>`` environment variables that Airflow itself understands, so that one setting serves
both. Passwords never appear in ``repr`` or in an error.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from switchover.edge.clients import CLIENTS
from switchover.edge.connection import Connection, Connections
from switchover.edge.http_connection import http_options
from switchover.edge.object_store import object_store
from switchover.edge.sqlstate import away, named
from switchover.errors import BadInput, Unreachable
from switchover.lazy import lazy
from switchover.text import first_line

if TYPE_CHECKING:
    import httpx
    import sqlalchemy as sa

    from switchover.edge import aws_signing, database, postgres
else:
    httpx = lazy("httpx")
    aws_signing = lazy("switchover.edge.aws_signing")
    sa = lazy("sqlalchemy")
    database = lazy("switchover.edge.database")
    postgres = lazy("switchover.edge.postgres")


BEDROCK = "bedrock-agent-runtime"
CLOSE_S = 10.0  # how long work that runs beside is waited for: a little longer than one message may take
OWN_TYPES = {
    "postgres": ("postgres", "postgresql"),
    "http": ("http", "https"),
    "slack": ("http", "https", "slackwebhook"),
    "smtp": ("smtp", "email"),
    "webhook": ("http", "https"),
}


class Edge:
    """Builds clients from connections and closes what it built.

    ``builders`` replaces how a kind of client is built: a function of the connection and the same words that
    are given to :meth:`client`. ``page`` is the address of a run's page, empty where there is none.
    """

    def __init__(
        self,
        *,
        connections: Connections,
        builders: Mapping[str, Callable[..., Any]] | None = None,
        page: Callable[[str], str] = lambda id: "",
    ) -> None:
        self.page = page
        self._connections = connections
        self._builders = builders or {}
        self._engines: dict[str, sa.Engine] = {}
        self._opened: dict[tuple[str, ...], Any] = {}
        self._beside: list[threading.Thread] = []

    def connection(self, conn_id: str, *, kind: str) -> Connection:
        """The connection, refused unless it is of the kind that its use needs."""
        found = self._connections(conn_id)
        accepted = OWN_TYPES[kind] if kind in OWN_TYPES else CLIENTS[kind].conn_types
        if found.conn_type not in accepted:
            raise BadInput(f"connection {conn_id!r}: is of type {found.conn_type!r}; allowed: {', '.join(accepted)}")
        return found

    def any_connection(self, conn_id: str) -> Connection:
        """The connection whatever its kind, for a function of the deployment's own that asks with it."""
        return self._connections(conn_id)

    def client(self, kind: str, conn_id: str, *words: str) -> Any:
        """The client of a store (a kind of ``clients.CLIENTS``); one for each connection and ``words``."""
        asked = (kind, conn_id, *words)
        if asked not in self._opened:
            build = self._builders.get(kind, CLIENTS[kind].build)
            connection = self.connection(conn_id, kind=kind)
            try:
                with reaching(f"connection {conn_id!r} at {connection.place}"):
                    self._opened[asked] = build(connection, *words)
            except ImportError as error:
                package = CLIENTS[kind].package
                raise BadInput(
                    f"connection {conn_id!r}: needs the package {package}; add it to requirements.txt ({error})"
                ) from error
        return self._opened[asked]

    def sql(self, conn_id: str) -> sa.Engine:
        """An engine on a PostgreSQL connection; one for each id."""
        if conn_id not in self._engines:
            self._engines[conn_id] = postgres.engine_for(self.connection(conn_id, kind="postgres"))
        return self._engines[conn_id]

    def database(self, conn_id: str) -> sa.Engine:
        """An engine on a connection to any database that SQLAlchemy speaks; one for each id."""
        found = self._connections(conn_id)
        if found.conn_type in OWN_TYPES["postgres"]:
            return self.sql(conn_id)
        if found.conn_type not in database.DRIVERS:
            allowed = ", ".join(("postgres", *database.DRIVERS))
            raise BadInput(f"connection {conn_id!r}: is of type {found.conn_type!r}; allowed: {allowed}")
        if conn_id not in self._engines:
            self._engines[conn_id] = database.engine_for(found)
        return self._engines[conn_id]

    def http_options(self, conn_id: str) -> dict[str, Any]:
        """Keyword arguments for an httpx client on an HTTP connection, with its login and its TLS."""
        return http_options(self.connection(conn_id, kind="http"))

    def arm_options(self, conn_id: str) -> dict[str, Any]:
        """The same for an arm's connection. One of type ``aws`` asks Bedrock's knowledge bases, and signs for them."""
        if self._connections(conn_id).conn_type != "aws":
            return self.http_options(conn_id)
        return aws_signing.signed_options(self.client("aws", conn_id, BEDROCK))

    def object_store(self, prefix: str, conn_id: str | None) -> tuple[Any, str]:
        """An fsspec file system on an object store, and the path of ``prefix`` in it."""
        return object_store(prefix, None if conn_id is None else self._connections(conn_id))

    def another(self) -> Edge:
        """An edge with clients of its own on the same connections, for work beside. The caller closes it."""
        return Edge(connections=self._connections, builders=self._builders, page=self.page)

    def later(self, work: Callable[[], None]) -> None:
        """Start work beside the caller; ``close`` waits for it, but not for long."""
        thread = threading.Thread(target=work, daemon=True)
        self._beside.append(thread)
        thread.start()

    def close(self) -> None:
        """Close every client and engine, once the work beside is done or has had its seconds."""
        deadline = time.monotonic() + CLOSE_S
        for thread in self._beside:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._beside.clear()
        for client in self._opened.values():
            getattr(client, "close", lambda: None)()
        self._opened.clear()
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()


@contextlib.contextmanager
def reaching(what: str, error_type: type[Unreachable] = Unreachable) -> Iterator[None]:
    """Turn a client's connection errors into one line that names the server.

    ``error_type`` where it did not answer; ``BadInput`` where it did, and refused.
    """
    try:
        yield
    except sa.exc.OperationalError as error:
        if away(error.orig):
            raise error_type(f"{what}: did not answer: {first_line(error.orig)}") from error
        raise BadInput(f"{what}: refused: {first_line(error.orig)} ({named(error.orig)})") from error
    except httpx.TransportError as error:
        raise error_type(f"{what}: did not answer: {type(error).__name__}: {first_line(error)}") from error

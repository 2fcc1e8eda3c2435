"""The edge: connection ids become clients here and nowhere else.

Inside Airflow the connections come from Airflow; outside (command line, watchdog) from the same
``AIRFLOW_CONN_<ID>`` environment variables that Airflow itself understands, so that one setting serves
both. Passwords never appear in ``repr`` or in an error.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import psycopg
import sqlalchemy as sa

from switchover.clients import CLIENTS
from switchover.errors import BadInput, ConnectionMissing, Unreachable

CONNECT_TIMEOUT_S = 5
ANSWER_S = 15.0
CLOSE_S = 6.0  # how long work that runs beside is waited for: a little longer than one message may take
OWN_TYPES = {
    "postgres": ("postgres", "postgresql"),
    "http": ("http", "https"),
    "slack": ("http", "https", "slackwebhook"),
    "smtp": ("smtp", "email"),
    "webhook": ("http", "https"),
}


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One server and how to log in, in the words that Airflow uses."""

    id: str
    conn_type: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """Host, port and database for messages, without credentials."""
        port = f":{self.port}" if self.port else ""
        schema = f"/{self.schema}" if self.schema else ""
        return f"{self.host or 'localhost'}{port}{schema}"


Connections = Callable[[str], Connection]


def environment_connections(environ: Mapping[str, str] = os.environ) -> Connections:
    """Connections from ``AIRFLOW_CONN_<ID>``, as JSON or as a URI."""

    def get(conn_id: str) -> Connection:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        text = environ.get(name)
        if not text:
            raise ConnectionMissing(f"connection {conn_id!r}: not found; set {name} (JSON or URI, as for Airflow)")
        return parse_connection(conn_id, text)

    return get


def parse_connection(conn_id: str, text: str) -> Connection:
    """Read a connection in either of Airflow's two text forms."""
    try:
        if text.lstrip().startswith("{"):
            data = json.loads(text)
            extra = data.get("extra") or {}
            return Connection(
                id=conn_id,
                conn_type=data["conn_type"],
                host=data.get("host") or "",
                port=int(data["port"]) if data.get("port") else None,
                login=data.get("login") or "",
                password=data.get("password") or "",
                schema=data.get("schema") or "",
                extra=json.loads(extra) if isinstance(extra, str) else extra,
            )
        parts = urlsplit(text)
        return Connection(
            id=conn_id,
            conn_type=parts.scheme.replace("postgresql", "postgres"),
            host=unquote(parts.hostname or ""),
            port=parts.port,
            login=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            schema=unquote(parts.path.lstrip("/")),
            extra=dict(parse_qsl(parts.query)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConnectionMissing(
            f"connection {conn_id!r}: cannot be read as JSON or URI ({type(error).__name__})"
        ) from None


def base_url(connection: Connection) -> str:
    """Scheme, host and port of an HTTP connection; a host that is a whole address stays one."""
    scheme = connection.schema or ("https" if connection.conn_type in ("https", "slackwebhook") else "http")
    if "://" in connection.host:
        scheme = connection.host.split("://", 1)[0]
    host = connection.host.split("://", 1)[-1].rstrip("/")
    port = f":{connection.port}" if connection.port else ""
    return f"{scheme}://{host}{port}"


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
            self._engines[conn_id] = engine_for(self.connection(conn_id, kind="postgres"))
        return self._engines[conn_id]

    def http_options(self, conn_id: str) -> dict[str, Any]:
        """Keyword arguments for an httpx client on an HTTP connection, without its login."""
        return {"base_url": base_url(self.connection(conn_id, kind="http")), "verify": trusted()}

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


@functools.cache
def trusted() -> ssl.SSLContext:
    """The certificates that httpx trusts by itself, read once: they take longer to read than most calls."""
    return httpx.create_ssl_context()


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up on a server that keeps the connection open and says nothing; libpq itself would wait for ever."""

    answer_s = ANSWER_S

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See ``psycopg.Connection``. A connection whose answer did not come is closed."""
        try:
            return super().wait(gen, interval, timeout or self.answer_s)
        except psycopg.OperationalError:
            if not self.pgconn.is_busy():
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_s:g} s") from None


def engine_for(connection: Connection) -> sa.Engine:
    """An engine that gives up on a silent server after some seconds and checks a connection before its use.

    Its URL is for messages: it has no login.
    """
    login = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    }
    given: dict[str, Any] = {key: value for key, value in login.items() if value}
    url = sa.URL.create("postgresql+psycopg", host=connection.host, port=connection.port, database=connection.schema)
    return sa.create_engine(
        url,
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        creator=lambda: BoundedConnection.connect(
            **given, connect_timeout=CONNECT_TIMEOUT_S, application_name="switchover"
        ),
    )


@contextlib.contextmanager
def reaching(what: str, error_type: type[Unreachable] = Unreachable) -> Iterator[None]:
    """Turn a client's connection errors into one line that names the server."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise error_type(f"{what}: did not answer: {_first_line(error.orig)}") from error
    except httpx.TransportError as error:
        raise error_type(f"{what}: did not answer: {type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: BaseException | None) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

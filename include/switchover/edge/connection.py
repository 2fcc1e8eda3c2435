"""Connections, in the words that Airflow uses, and how they are read from the text forms that Airflow reads.

This module holds credentials and sends nothing. Passwords never appear in ``repr`` or in an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from switchover.errors import ConnectionMissing

ANSWER_S = 15.0  # how long a database that has taken a statement may say nothing
WHOLE_EXTRA = "__extra__"  # the one parameter into which Airflow writes an extra that is more than texts


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
        host = self.host.rpartition("@")[2]  # a login in a host is refused, and is not shown until then
        return f"{host or 'localhost'}{port}{schema}"


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
        found = _from_json(conn_id, json.loads(text)) if text.lstrip().startswith("{") else _from_uri(conn_id, text)
        if not isinstance(found.extra, Mapping):
            raise TypeError("the extra is not an object")
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConnectionMissing(
            f"connection {conn_id!r}: cannot be read as JSON or URI ({type(error).__name__})"
        ) from None


def _from_json(conn_id: str, data: Mapping[str, Any]) -> Connection:
    extra = data.get("extra") or {}
    return Connection(
        id=conn_id,
        conn_type=_type(data["conn_type"]),
        host=data.get("host") or "",
        port=int(data["port"]) if data.get("port") else None,
        login=data.get("login") or "",
        password=data.get("password") or "",
        schema=data.get("schema") or "",
        extra=json.loads(extra) if isinstance(extra, str) else extra,
    )


def _from_uri(conn_id: str, text: str) -> Connection:
    """As Airflow reads it: a host may carry a second scheme (``http://https://host``, ``http://https%3A%2F%2Fhost``).

    The extra is the query's, or, where it is more than texts, the JSON of its one parameter ``__extra__``.
    """
    kind, _, rest = text.partition("://")
    protocol, inner, after = rest.partition("://")
    nested = bool(inner) and not set(protocol) & set("@:/?")  # not a "://" of the query
    parts = urlsplit(f"{kind}://{after if nested else rest}")
    host = unquote(parts.hostname or "")
    if "/" in host:  # a folder with a socket: urlsplit gives a host in lower case
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Connection(
        id=conn_id,
        conn_type=_type(parts.scheme),
        host=f"{protocol}://{host}" if nested else host,
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path.lstrip("/")),
        extra=json.loads(query[WHOLE_EXTRA]) if WHOLE_EXTRA in query else {n: _value(v) for n, v in query.items()},
    )


def _type(said: str) -> str:
    return "postgres" if said == "postgresql" else said.replace("-", "_")


def _value(text: str) -> Any:
    """A value of a URI's query: what is JSON by itself (``false``, ``5``) is that, all else a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text

"""Engines on PostgreSQL: this is the one place that builds them.

What stands between us and the server may be a pooler that gives every transaction another server connection
(PgBouncer in transaction mode). So nothing of ours outlives a transaction there: no named prepared statement, no
setting outside a transaction, no session lock, no temporary table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from psycopg import pq

from switchover.edge.connection import ANSWER_S
from switchover.errors import BadInput

if TYPE_CHECKING:
    from switchover.edge.connection import Connection

CONNECT_TIMEOUT_S = 5
# Words of Airflow's own PostgreSQL hook that say how *it* reads and logs: they change nothing here.
_HOOKS_OWN = ("cursor", "enable_log_db_messages")


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

    Its URL is for messages: it has no login. ``BadInput`` for a word of the connection that libpq does not know.
    """
    given: dict[str, Any] = dict(libpq(connection))
    url = sa.URL.create("postgresql+psycopg", host=connection.host, port=connection.port, database=connection.schema)
    return sa.create_engine(
        url,
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        creator=lambda: BoundedConnection.connect(**given, prepare_threshold=None),
    )


def libpq(connection: Connection) -> dict[str, str]:
    """What libpq is told: the connection's fields, and every word of its extra (``sslmode``, ``options``, …).

    Raises
        BadInput  libpq knows no such word, or it contradicts a field: a setting that is ignored may be the one that
                  keeps a password from going in clear
    """
    fields = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    }
    given = {name: str(value) for name, value in fields.items() if value}
    extra = _words(connection.id, connection.extra)
    for name in given.keys() & extra.keys():
        if given[name] != extra[name]:
            raise BadInput(
                f"connection {connection.id!r}: {name!r} is said twice, in its field and in its extra; say it once"
            )
    defaults = {"connect_timeout": str(CONNECT_TIMEOUT_S), "application_name": "switchover"}
    return {**defaults, **given, **extra}


def _words(conn_id: str, extra: Mapping[str, Any]) -> dict[str, str]:
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    words = {}
    for name, value in extra.items():
        if name in _HOOKS_OWN or value is None:
            continue
        if name not in known or not isinstance(value, (str, int, float)):
            raise BadInput(
                f"connection {conn_id!r}: extra {name!r} is not used here; allowed: connection parameters of libpq"
                " (sslmode, sslrootcert, options, …), each a text or a number"
            )
        words[name] = str(int(value)) if isinstance(value, bool) else str(value)
    return words

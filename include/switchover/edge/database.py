"""Engines on any other database that SQLAlchemy speaks: warehouses and request logs, which are only read (``reads``).

PostgreSQL has a place of its own, ``edge.postgres``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from switchover.errors import BadInput
from switchover.text import first_line

if TYPE_CHECKING:
    from switchover.edge.connection import Connection

#: Airflow's connection types and SQLAlchemy's names of dialect and driver. The driver's package must be installed.
DRIVERS = {
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "mssql": "mssql+pymssql",
    "redshift": "redshift+redshift_connector",
    "snowflake": "snowflake",
    "gcpbigquery": "bigquery",
    "databricks": "databricks",
    "trino": "trino",
    "presto": "presto",
    "oracle": "oracle+oracledb",
    "clickhouse": "clickhouse+http",
    "duckdb": "duckdb",
}
SCHEME = "sqlalchemy_scheme"  # Airflow's own word for another dialect or driver


def engine_for(connection: Connection) -> sa.Engine:
    """An engine on a connection of another database. Words of the extra are the driver's query parameters.

    ``BadInput`` for an extra that is more than texts and numbers, or a dialect that is not installed.
    """
    extra = {name: value for name, value in connection.extra.items() if value is not None}
    scheme = str(extra.pop(SCHEME, DRIVERS[connection.conn_type]))
    wrong = sorted(name for name, value in extra.items() if not isinstance(value, (str, int, float)))
    if wrong:
        raise BadInput(f"connection {connection.id!r}: extra {wrong[0]!r}: allowed: a text or a number")
    url = sa.URL.create(
        scheme,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None if connection.conn_type != "sqlite" else None,
        port=connection.port,
        database=(connection.host or connection.schema)
        if connection.conn_type == "sqlite"
        else connection.schema or None,
        query={name: str(value) for name, value in extra.items()},
    )
    try:
        return sa.create_engine(url, pool_pre_ping=True)
    except (sa.exc.NoSuchModuleError, ImportError) as error:
        raise BadInput(
            f"connection {connection.id!r}: the driver of {scheme} is not installed ({first_line(error)});"
            " add its package to requirements.txt"
        ) from error

"""Airflow connections as the inner ring's edge. No other module of this package sees a credential."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException

from switchover.edge import Connection, Edge
from switchover.errors import ConnectionMissing


def airflow_edge() -> Edge:
    """An edge on Airflow's connections, each looked up when it is first needed. For synchronous code."""

    def get(conn_id: str) -> Connection:
        try:
            return _plain(conn_id, BaseHook.get_connection(conn_id))
        except AirflowException as error:
            raise _missing(conn_id) from error

    return Edge(connections=get)


async def airflow_edge_async(conn_ids: Iterable[str]) -> Edge:
    """An edge whose connections are all looked up now: the triggerer's loop must not call the sync form."""
    found: dict[str, Connection] = {}
    for conn_id in conn_ids:
        try:
            found[conn_id] = _plain(conn_id, await BaseHook.aget_connection(conn_id))
        except AirflowException as error:
            raise _missing(conn_id) from error
    return Edge(connections=found.__getitem__)


def _plain(conn_id: str, found: Any) -> Connection:
    return Connection(
        id=conn_id,
        conn_type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra=found.extra_dejson,
    )


def _missing(conn_id: str) -> ConnectionMissing:
    return ConnectionMissing(f"connection {conn_id!r}: not in Airflow; add it under Admin > Connections")

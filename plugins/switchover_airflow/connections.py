"""Airflow connections as the inner ring's edge. No other module of this package sees a credential."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk import Connection as AirflowConnection
from airflow.sdk.exceptions import AirflowException

from switchover.edge.clients import aws_config
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import ConnectionMissing
from switchover_airflow.links import page_of


def airflow_edge() -> Edge:
    """An edge on Airflow's connections, each looked up when it is first needed. For synchronous code."""

    def get(conn_id: str) -> Connection:
        try:
            return _plain(conn_id, BaseHook.get_connection(conn_id))
        except AirflowException as error:
            raise _missing(conn_id) from error

    return Edge(connections=get, builders=BUILDERS, page=page_of)


async def airflow_edge_async(conn_ids: Iterable[str], *, optional: Iterable[str] = ()) -> Edge:
    """An edge whose connections are all looked up now: the triggerer's loop must not call the sync form.

    A missing one of ``optional`` is an error only when it is used.
    """
    found: dict[str, Connection] = {}
    for conn_id in conn_ids:
        try:
            found[conn_id] = _plain(conn_id, await BaseHook.aget_connection(conn_id))
        except AirflowException as error:
            raise _missing(conn_id) from error
    for conn_id in optional:
        with contextlib.suppress(Exception):
            found[conn_id] = _plain(conn_id, await BaseHook.aget_connection(conn_id))

    def get(conn_id: str) -> Connection:
        if conn_id not in found:
            raise _missing(conn_id)
        return found[conn_id]

    return Edge(connections=get, builders=BUILDERS, page=page_of)


def aws_client(connection: Connection, service: str) -> Any:
    """A boto3 client by the amazon provider's hook: roles, profiles and endpoints as its connection says."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

    hook = AwsBaseHook(aws_conn_id=connection.id, client_type=service)
    # The hook would look the connection up again, take a missing one for an empty one, and block the triggerer.
    hook.conn_config = AwsConnectionWrapper(conn=_airflow(connection), botocore_config=aws_config())
    return hook.get_conn()


def kubernetes_client(connection: Connection) -> Any:
    """A Kubernetes ``ApiClient`` by the provider's hook: in cluster, kubeconfig, context as its connection says."""
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    hook = KubernetesHook(conn_id=connection.id)
    hook.get_connection = lambda conn_id: _airflow(connection)  # type: ignore[method-assign, assignment, return-value]
    return hook.get_conn()


BUILDERS: dict[str, Callable[..., Any]] = {"aws": aws_client, "kubernetes": kubernetes_client}


def _airflow(connection: Connection) -> AirflowConnection:
    return AirflowConnection(
        conn_id=connection.id,
        conn_type=connection.conn_type,
        host=connection.host or None,
        port=connection.port,
        login=connection.login or None,
        password=connection.password or None,
        schema=connection.schema or None,
        extra=json.dumps(dict(connection.extra)) if connection.extra else None,
    )


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

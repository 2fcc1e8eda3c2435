"""Clients of the stores that pointers and writers live in, each built from one connection.

Packages are imported when a client is built, so a plan pays only for what it names. Inside Airflow the
``aws`` and ``kubernetes`` clients come from the providers' hooks instead (``switchover_airflow.connections``).
Every client gives up after ``TIMEOUT_S`` and tries nothing again by itself: after a time-out the pointer is
read back first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from switchover.edge.clients_stores import TIMEOUT_S, elasticsearch, milvus, opensearch, qdrant, weaviate
from switchover.edge.connection import Connection
from switchover.edge.http_connection import Extra, base_url, http_options
from switchover.errors import BadInput
from switchover.text import first_line

__all__ = ["CLIENTS", "TIMEOUT_S", "ClientKind", "elasticsearch", "milvus", "opensearch", "qdrant", "weaviate"]


@dataclass(frozen=True, kw_only=True)
class ClientKind:
    """How one kind of client is made: from which connection types, by which function, out of which package."""

    conn_types: tuple[str, ...]
    build: Callable[..., Any]
    package: str


def aws(connection: Connection, service: str) -> Any:
    """A boto3 client. Without a login the usual AWS credential chain applies; a ``role_arn`` is assumed.

    The extra's keys are the amazon provider's: region_name, endpoint_url, service_config, profile_name,
    aws_session_token, role_arn, assume_role_method, assume_role_kwargs, verify.
    """
    import boto3

    extra = _aws_extra(connection)
    keys = {
        "aws_access_key_id": connection.login or None,
        "aws_secret_access_key": connection.password or None,
        "aws_session_token": extra.get("aws_session_token"),
    }
    session: Any = boto3  # its one session for all is the quick one
    if extra.get("role_arn"):
        session, keys = _assuming_role(connection, keys), {}
    elif extra.get("profile_name"):
        session = boto3.Session(profile_name=extra["profile_name"])
    return session.client(
        service,
        region_name=extra.get("region_name"),
        endpoint_url=_aws_endpoint(connection, service) or extra.get("endpoint_url"),
        config=aws_config(),
        verify=extra["verify"],
        **keys,
    )


_AWS_WORDS = (
    *("region_name", "endpoint_url", "service_config", "profile_name", "aws_session_token", "role_arn"),
    *("assume_role_method", "assume_role_kwargs"),
)


def _aws_extra(connection: Connection) -> dict[str, Any]:
    """The extra, each word of which is used; a service's own configuration may only name its endpoint."""
    extra = Extra(connection)
    found = {name: extra.take(name) for name in _AWS_WORDS}
    verify = extra.take("verify")
    if str(verify).lower() in ("true", "false"):
        verify = str(verify).lower() == "true"
    extra.done()
    for service, told in (found["service_config"] or {}).items():
        if set(told) - {"endpoint_url"}:
            raise extra.wrong("service_config", f"endpoint_url alone for each service; found more for {service!r}")
    return {name: value for name, value in found.items() if value is not None} | {"verify": verify}


def _assuming_role(connection: Connection, keys: Mapping[str, str | None]) -> Any:
    """A boto3 session with the credentials of the connection's role, assumed at the first call and kept fresh."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import get_session

    extra = _aws_extra(connection)
    method = extra.get("assume_role_method", "assume_role")
    if method != "assume_role":
        raise BadInput(
            f"connection {connection.id!r}: assume_role_method is {method!r}; allowed outside Airflow: assume_role"
        )
    source = boto3.Session(profile_name=extra.get("profile_name"), **keys)

    def sts(name: str, **credentials: str) -> Any:
        return source.client(
            name,
            region_name=extra.get("region_name"),
            endpoint_url=_aws_endpoint(connection, name),
            config=aws_config(),
            verify=extra["verify"],
            **credentials,
        )

    fetcher = AssumeRoleCredentialFetcher(
        client_creator=sts,
        source_credentials=source.get_credentials(),
        role_arn=extra["role_arn"],
        extra_args={"RoleSessionName": "switchover", **extra.get("assume_role_kwargs", {})},
    )
    session = get_session()
    session._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, method="assume-role")
    return boto3.Session(botocore_session=session)


def _aws_endpoint(connection: Connection, service: str) -> str | None:
    """A service's own endpoint; the provider's rule is that STS never uses the common ``endpoint_url``."""
    found: str | None = (connection.extra.get("service_config") or {}).get(service, {}).get("endpoint_url")
    return found


def aws_config() -> Any:
    """Time-outs and no repeats, for any boto3 client."""
    from botocore.config import Config

    return Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1})


def kubernetes(connection: Connection) -> Any:
    """A Kubernetes ``ApiClient``: from ``kube_config_path`` or ``kube_config``, ``in_cluster``, or host and token.

    The extra's keys are the provider's, which knows no host and token.
    """
    extra = {key.removeprefix("extra__kubernetes__"): value for key, value in connection.extra.items()}
    words = Extra(Connection(**{**vars(connection), "extra": extra}), ignored=_KUBERNETES_HOOKS_OWN)
    in_cluster, unverified = words.flag("in_cluster"), words.flag("disable_verify_ssl")
    for name in ("kube_config_path", "kube_config", "cluster_context"):
        words.take(name)
    words.done()
    import yaml
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.retries = False
    configuration.verify_ssl = not unverified
    chosen = {"context": extra.get("cluster_context"), "client_configuration": configuration}
    try:
        if in_cluster:
            config.load_incluster_config(client_configuration=configuration)
        elif extra.get("kube_config_path"):
            config.load_kube_config(extra["kube_config_path"], **chosen)
        elif extra.get("kube_config"):
            text = extra["kube_config"]
            config.load_kube_config_from_dict(yaml.safe_load(text) if isinstance(text, str) else text, **chosen)
        else:
            configuration.host = base_url(connection, default="https", schema=False)
            if connection.password:
                configuration.api_key = {"authorization": f"Bearer {connection.password}"}
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError) as error:
        reason = first_line(error)
        raise BadInput(
            f"connection {connection.id!r}: no Kubernetes configuration from its extra: {reason};"
            " allowed: in_cluster, kube_config_path, or kube_config"
        ) from None
    return client.ApiClient(configuration)


# Words that say how Airflow's operators make pods.
_KUBERNETES_HOOKS_OWN = (
    *("namespace", "disable_tcp_keepalive"),
    *("xcom_sidecar_container_image", "xcom_sidecar_container_resources"),
)


def http(connection: Connection) -> Any:
    """An HTTP client with the connection's login, or with its password as a bearer token."""
    from switchover.edge import web

    return web.client(**http_options(connection), timeout=TIMEOUT_S)


def airflow(connection: Connection) -> Any:
    """A client of an Airflow REST API that logs in with the connection's login when first used."""
    from switchover.edge import web
    from switchover.edge.airflow_login import AirflowToken

    token = AirflowToken(login=connection.login, password=connection.password)
    return web.client(**http_options(connection, login=False), auth=token, timeout=TIMEOUT_S)


def etcd(connection: Connection) -> Any:
    """An HTTP client of etcd's JSON gateway (there is no maintained Python client); it logs in when first used."""
    from switchover.edge import web
    from switchover.edge.etcd_login import EtcdLogin

    login = EtcdLogin(connection=connection) if connection.login else None
    if connection.password and login is None:
        raise BadInput(f"connection {connection.id!r}: has a password and no login; etcd needs both")
    return web.client(**http_options(connection, login=False), timeout=TIMEOUT_S, auth=login)


def kafka(connection: Connection) -> Any:
    """Settings of a Kafka client: the extra of an Airflow ``kafka`` connection, and nothing but it."""
    extra = connection.extra
    if not extra.get("bootstrap.servers"):
        raise BadInput(f"connection {connection.id!r}: its extra has no 'bootstrap.servers'; a Kafka needs it there")
    if connection.login or connection.password:
        raise BadInput(
            f"connection {connection.id!r}: has a login in its fields; put it into the extra, as Airflow's Kafka"
            " connections do: sasl.username, sasl.password, sasl.mechanism, security.protocol"
        )
    if any(name.startswith("sasl.") for name in extra) and "SASL" not in str(extra.get("security.protocol")).upper():
        raise BadInput(
            f"connection {connection.id!r}: its login (sasl.…) would not be used; set security.protocol to SASL_SSL"
        )
    return {"socket.timeout.ms": int(TIMEOUT_S * 1000), **connection.extra}


CLIENTS: Mapping[str, ClientKind] = {
    "aws": ClientKind(conn_types=("aws",), build=aws, package="boto3"),
    "kubernetes": ClientKind(conn_types=("kubernetes",), build=kubernetes, package="kubernetes"),
    "opensearch": ClientKind(conn_types=("opensearch", "http"), build=opensearch, package="opensearch-py"),
    "elasticsearch": ClientKind(conn_types=("elasticsearch", "http"), build=elasticsearch, package="elasticsearch"),
    "airflow": ClientKind(conn_types=("http", "https"), build=airflow, package="httpx"),
    "http": ClientKind(conn_types=("http", "https"), build=http, package="httpx"),
    "etcd": ClientKind(conn_types=("http", "https", "generic"), build=etcd, package="httpx"),
    "milvus": ClientKind(conn_types=("generic", "http"), build=milvus, package="pymilvus"),
    "qdrant": ClientKind(conn_types=("qdrant",), build=qdrant, package="qdrant-client"),
    "weaviate": ClientKind(conn_types=("weaviate", "generic"), build=weaviate, package="weaviate-client"),
    "kafka": ClientKind(conn_types=("kafka", "generic"), build=kafka, package="confluent-kafka"),
}

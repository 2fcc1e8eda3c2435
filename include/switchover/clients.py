"""Clients of the stores that pointers and writers live in, each built from one connection.

Packages are imported when a client is built, so a plan pays only for what it names. Inside Airflow the
``aws`` and ``kubernetes`` clients come from the providers' hooks instead (``switchover_airflow.connections``).
Every client gives up after ``TIMEOUT_S`` and tries nothing again by itself: after a time-out the pointer is
read back first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from switchover.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from switchover.edge import Connection

TIMEOUT_S = 5.0
POOL_SIZE = 10  # OpenSearch's client keeps one connection unless told, and opens another for each call beside it


@dataclass(frozen=True, kw_only=True)
class ClientKind:
    """How one kind of client is made: from which connection types, by which function, out of which package."""

    conn_types: tuple[str, ...]
    build: Callable[..., Any]
    package: str


def base_url(connection: Connection, *, scheme: str = "http") -> str:
    """The server's address; the scheme comes from the host, the extra ``use_ssl``, or ``scheme``."""
    host = connection.host or "localhost"
    if "://" in host:
        scheme, host = host.split("://", 1)
    elif str(connection.extra.get("use_ssl", "")).lower() == "true":
        scheme = "https"
    port = f":{connection.port}" if connection.port else ""
    return f"{scheme}://{host.rstrip('/')}{port}"


def aws(connection: Connection, service: str) -> Any:
    """A boto3 client. Without a login the usual AWS credential chain applies; a ``role_arn`` is assumed.

    The extra's keys are the amazon provider's: region_name, endpoint_url, service_config, profile_name,
    aws_session_token, role_arn, assume_role_kwargs.
    """
    import boto3

    extra = connection.extra
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
        **keys,
    )


def _assuming_role(connection: Connection, keys: Mapping[str, str | None]) -> Any:
    """A boto3 session with the credentials of the connection's role, assumed at the first call and kept fresh."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import get_session

    extra = connection.extra
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
    found: str | None = connection.extra.get("service_config", {}).get(service, {}).get("endpoint_url")
    return found


def aws_config() -> Any:
    """Time-outs and no repeats, for any boto3 client."""
    from botocore.config import Config

    return Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1})


def kubernetes(connection: Connection) -> Any:
    """A Kubernetes ``ApiClient``: from ``kube_config_path`` or ``kube_config``, ``in_cluster``, or host and token.

    The extra's keys are the provider's, which knows no host and token.
    """
    import yaml
    from kubernetes import client, config

    extra = {key.removeprefix("extra__kubernetes__"): value for key, value in connection.extra.items()}
    configuration = client.Configuration()
    configuration.retries = False
    chosen = {"context": extra.get("cluster_context"), "client_configuration": configuration}
    try:
        if extra.get("in_cluster"):
            config.load_incluster_config(client_configuration=configuration)
        elif extra.get("kube_config_path"):
            config.load_kube_config(extra["kube_config_path"], **chosen)
        elif extra.get("kube_config"):
            text = extra["kube_config"]
            config.load_kube_config_from_dict(yaml.safe_load(text) if isinstance(text, str) else text, **chosen)
        else:
            configuration.host = base_url(connection, scheme="https")
            if connection.password:
                configuration.api_key = {"authorization": f"Bearer {connection.password}"}
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(
            f"connection {connection.id!r}: no Kubernetes configuration from its extra: {reason};"
            " allowed: in_cluster, kube_config_path, or kube_config"
        ) from None
    return client.ApiClient(configuration)


def opensearch(connection: Connection) -> Any:
    """An OpenSearch client; certificates are verified unless the extra ``verify_certs`` says otherwise."""
    from opensearchpy import OpenSearch

    return OpenSearch(
        base_url(connection),
        http_auth=(connection.login, connection.password) if connection.login else None,
        verify_certs=_verifying(connection),
        ca_certs=connection.extra.get("ca_certs"),
        timeout=TIMEOUT_S,
        max_retries=0,
        pool_maxsize=POOL_SIZE,
    )


def elasticsearch(connection: Connection) -> Any:
    """An Elasticsearch client; certificates are verified unless the extra ``verify_certs`` says otherwise."""
    from elasticsearch import Elasticsearch

    url = base_url(connection)
    tls: dict[str, Any] = {"verify_certs": _verifying(connection), "ca_certs": connection.extra.get("ca_certs")}
    return Elasticsearch(
        url,
        basic_auth=(connection.login, connection.password) if connection.login else None,
        api_key=connection.extra.get("api_key"),
        **(tls if url.startswith("https") else {}),  # it refuses them without TLS
        request_timeout=TIMEOUT_S,
        max_retries=0,
        retry_on_timeout=False,
    )


def _verifying(connection: Connection) -> bool:
    """Whether certificates are verified; a connection that is written as a URI has only text."""
    return str(connection.extra.get("verify_certs", True)).lower() != "false"


def http(connection: Connection) -> Any:
    """An HTTP client with the connection's login, or with its password as a bearer token."""
    from switchover import web

    scheme = connection.schema or ("https" if connection.conn_type == "https" else "http")
    bearer = {"Authorization": f"Bearer {connection.password}"} if connection.password and not connection.login else {}
    return web.client(
        base_url=base_url(connection, scheme=scheme),
        auth=(connection.login, connection.password) if connection.login else None,
        headers=bearer,
        timeout=TIMEOUT_S,
    )


def airflow(connection: Connection) -> Any:
    """A client of an Airflow REST API that logs in with the connection's login when first used."""
    from switchover import web
    from switchover.airflow_login import AirflowToken

    scheme = connection.schema or ("https" if connection.conn_type == "https" else "http")
    token = AirflowToken(login=connection.login, password=connection.password)
    return web.client(base_url=base_url(connection, scheme=scheme), auth=token, timeout=TIMEOUT_S)


def etcd(connection: Connection) -> Any:
    """An HTTP client of etcd's JSON gateway (there is no maintained Python client); it logs in when first used."""
    from switchover import web
    from switchover.etcd_login import EtcdLogin

    login = EtcdLogin(connection=connection) if connection.login else None
    return web.client(base_url=base_url(connection), timeout=TIMEOUT_S, auth=login)


def milvus(connection: Connection) -> Any:
    """A Milvus client; the connection's schema is the database."""
    import grpc  # type: ignore[import-untyped]
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    token = f"{connection.login}:{connection.password}" if connection.login else connection.password
    try:
        return MilvusClient(
            uri=base_url(connection),
            token=token,
            db_name=connection.schema or "default",
            timeout=TIMEOUT_S,
            dedicated=True,  # one that is shared would be closed for everybody
        )
    except (MilvusException, grpc.RpcError) as error:
        first: BaseException = error
        while first.__context__ is not None:  # the client's own sentence leaves the server's answer out
            first = first.__context__
        where = f"connection {connection.id!r} at {connection.place}"
        if not isinstance(first, grpc.RpcError):
            raise Unreachable(f"{where}: did not answer: {' '.join(str(error).split())[:300]}") from error
        said = " ".join(f"{first.code().name}: {first.details()}".split())[:300]
        if first.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise BadInput(f"{where}: login refused: {said}") from error
        raise Unreachable(f"{where}: did not answer: {said}") from error


def qdrant(connection: Connection) -> Any:
    """A Qdrant client; the extra ``path`` opens a local folder instead of a server (one process at a time)."""
    from qdrant_client import QdrantClient

    if connection.extra.get("path"):
        return QdrantClient(path=connection.extra["path"])
    return QdrantClient(
        url=base_url(connection),
        api_key=connection.password or None,
        timeout=int(TIMEOUT_S),
        check_compatibility=False,  # a thread that asks for the version and prints a warning
    )


def weaviate(connection: Connection) -> Any:
    """A connected Weaviate client; the extra ``grpc_port`` names its second port."""
    import httpx
    import weaviate as package
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout
    from weaviate.exceptions import WeaviateBaseError

    secure = base_url(connection).startswith("https")
    host = connection.host.split("://")[-1].rstrip("/") or "localhost"
    timeout = int(TIMEOUT_S)
    try:
        return package.connect_to_custom(
            http_host=host,
            http_port=connection.port or 8080,
            http_secure=secure,
            grpc_host=host,
            grpc_port=int(connection.extra.get("grpc_port", 50051)),
            grpc_secure=secure,
            auth_credentials=Auth.api_key(connection.password) if connection.password else None,
            additional_config=AdditionalConfig(timeout=Timeout(init=timeout, query=timeout, insert=timeout)),
            skip_init_checks=True,  # they ask PyPI for the newest client
        )
    except (WeaviateBaseError, httpx.TransportError) as error:
        if getattr(error, "status_code", None) in (401, 403):
            raise BadInput(f"connection {connection.id!r} at {connection.place}: login refused") from error
        said = " ".join(str(error).split())[:300]
        raise Unreachable(f"connection {connection.id!r} at {connection.place}: did not answer: {said}") from error


def kafka(connection: Connection) -> Any:
    """Settings of a Kafka client: the extra of an Airflow ``kafka`` connection."""
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

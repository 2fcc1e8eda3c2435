"""Clients of search engines and vector stores, each built from one connection; see ``clients``."""

from __future__ import annotations

from typing import Any

from switchover.edge.connection import Connection
from switchover.edge.http_connection import HOOKS_OWN, Extra, base_url, no_certificates, tls_of
from switchover.errors import BadInput, Unreachable
from switchover.text import one_line

TIMEOUT_S = 5.0
POOL_SIZE = 10  # OpenSearch's client keeps one connection unless told, and opens another for each call beside it
_SECURE = ("use_ssl", "https", "http_secure", "secure")


def opensearch(connection: Connection) -> Any:
    """An OpenSearch client; certificates are verified unless the extra ``verify_certs`` says otherwise."""
    url, headers, tls = _search(connection, Extra(connection, ignored=_SEARCH_HOOKS_OWN))
    if connection.password and not connection.login:
        headers.setdefault("Authorization", f"Bearer {connection.password}")
    verify, cert, key = tls
    from opensearchpy import OpenSearch

    return OpenSearch(
        url,
        http_auth=(connection.login, connection.password) if connection.login else None,
        headers=headers,
        verify_certs=verify is not False,
        ssl_show_warn=False,
        ca_certs=verify if isinstance(verify, str) else None,
        client_cert=cert,
        client_key=key,
        timeout=TIMEOUT_S,
        max_retries=0,
        pool_maxsize=POOL_SIZE,
    )


def elasticsearch(connection: Connection) -> Any:
    """An Elasticsearch client; certificates are verified unless the extra ``verify_certs`` says otherwise."""
    extra = Extra(connection, ignored=_SEARCH_HOOKS_OWN)
    api_key = extra.text("api_key")
    url, headers, tls = _search(connection, extra, secret=api_key is not None)
    verify, cert, key = tls
    secured: dict[str, Any] = {
        "verify_certs": verify is not False,
        "ssl_show_warn": False,
        "ca_certs": verify if isinstance(verify, str) else None,
        "client_cert": cert,
        "client_key": key,
    }
    logins: dict[str, Any] = {"api_key": api_key} if api_key else {}
    if connection.login:
        logins["basic_auth"] = (connection.login, connection.password)
    elif connection.password:
        logins["bearer_auth"] = connection.password
    if len(logins) > 1:
        raise BadInput(f"connection {connection.id!r}: has a login and an api_key; give one")
    from elasticsearch import Elasticsearch

    return Elasticsearch(
        url,
        **logins,
        headers=headers,
        **(secured if url.startswith("https") else {}),  # it refuses them without TLS
        request_timeout=TIMEOUT_S,
        max_retries=0,
        retry_on_timeout=False,
    )


_SEARCH_HOOKS_OWN = (*HOOKS_OWN, "connection_class", "opaque_id", "sniff_on_start", "max_retries", "retry_on_timeout")


def _search(connection: Connection, extra: Extra, *, secret: bool = False) -> tuple[str, dict[str, str], Any]:
    """Address, headers and TLS settings."""
    headers = extra.headers(beside=connection.conn_type in ("http", "https"))
    tls = tls_of(
        extra, verify=("ca_certs", "verify_certs", "verify"), cert=("client_cert", "cert"), key=("client_key", "key")
    )
    secure = extra.flag(*_SECURE)
    extra.done()
    url = base_url(connection, secure=secure, secret=secret or bool(headers))
    if not url.startswith("https"):
        no_certificates(connection, tls)
    return url, headers, tls


def milvus(connection: Connection) -> Any:
    """A Milvus client; the connection's schema is the database.

    The extra's words for TLS are pymilvus's: secure, server_name, ca_pem_path, server_pem_path, client_pem_path,
    client_key_path.
    """
    extra = Extra(connection, ignored=HOOKS_OWN)
    names = ("server_name", "ca_pem_path", "server_pem_path", "client_pem_path", "client_key_path")
    tls = {name: value for name in names if (value := extra.text(name)) is not None}
    secure = extra.flag(*_SECURE)
    extra.done()
    token = f"{connection.login}:{connection.password}" if connection.login else connection.password
    uri = base_url(connection, secure=secure, schema=False)
    if tls and not uri.startswith("https"):
        raise BadInput(f"connection {connection.id!r}: gives certificates, but is plain http; say https")
    import grpc  # type: ignore[import-untyped]
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    try:
        return MilvusClient(
            uri=uri,
            token=token,
            db_name=connection.schema or "default",
            timeout=TIMEOUT_S,
            dedicated=True,  # one that is shared would be closed for everybody
            **tls,
        )
    except (MilvusException, grpc.RpcError) as error:
        first: BaseException = error
        while first.__context__ is not None:  # the client's own sentence leaves the server's answer out
            first = first.__context__
        where = f"connection {connection.id!r} at {connection.place}"
        if not isinstance(first, grpc.RpcError):
            raise Unreachable(f"{where}: did not answer: {one_line(error)}") from error
        said = one_line(f"{first.code().name}: {first.details()}")
        if first.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            raise BadInput(f"{where}: login refused: {said}") from error
        raise Unreachable(f"{where}: did not answer: {said}") from error


def qdrant(connection: Connection) -> Any:
    """A Qdrant client; the password is its API key.

    The extra's words are those of Airflow's Qdrant connections (https, prefix, url, grpc_port, prefer_grpc), and
    ``path``, which opens a local folder instead of a server (one process at a time).
    """
    extra = Extra(connection, ignored=(*HOOKS_OWN, "grpc_port", "prefer_grpc", "prefer_gprc"))
    path, prefix, whole = extra.text("path"), extra.text("prefix"), extra.text("url")
    secure = extra.flag(*_SECURE)
    extra.done()
    if not path:
        url = _qdrant_url(connection, whole, secure)
    from qdrant_client import QdrantClient

    if path:
        return QdrantClient(path=path)
    return QdrantClient(
        url=url,
        prefix=prefix,
        api_key=connection.password or None,
        timeout=int(TIMEOUT_S),
        check_compatibility=False,  # a thread that asks for the version and prints a warning
    )


def _qdrant_url(connection: Connection, whole: str | None, secure: bool | None) -> str:
    """The server's address; a whole one from the extra is under the same rule as a host."""
    if connection.login:
        raise BadInput(f"connection {connection.id!r}: has a login; Qdrant knows none, its API key is the password")
    if whole is None:
        return base_url(connection, secure=secure)
    if connection.host or "://" not in whole:
        raise BadInput(f"connection {connection.id!r}: extra 'url': allowed: http://… or https://…, without a host")
    return base_url(Connection(**{**vars(connection), "host": whole}), schema=False)


def weaviate(connection: Connection) -> Any:
    """A connected Weaviate client; the extra's words are those of Airflow's Weaviate connections.

    The API key is the extra's ``api_key`` or ``token``, or a password without a login; with a login it is OIDC's.
    """
    extra = Extra(connection, ignored=HOOKS_OWN)
    key = extra.text("api_key", "token") or ("" if connection.login else connection.password)
    scope = extra.text("scope", "oidc_scope")
    headers = extra.take("additional_headers") or {}
    secure, grpc_host, grpc_port = extra.flag(*_SECURE), extra.text("grpc_host"), extra.number("grpc_port")
    grpc_secure = extra.flag("grpc_secure")
    extra.done()
    url = base_url(connection, secure=secure, secret=bool(key or headers))
    is_secure = url.startswith("https")
    if is_secure and grpc_secure is False:
        raise BadInput(f"connection {connection.id!r}: says https, and grpc_secure false; its login would go in clear")
    host = url.split("://", 1)[1].partition(":")[0].partition("/")[0]
    import httpx
    import weaviate as package
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout
    from weaviate.exceptions import WeaviateBaseError

    timeout = int(TIMEOUT_S)
    login = Auth.client_password(connection.login, connection.password, scope) if connection.login else None
    try:
        return package.connect_to_custom(
            http_host=host,
            http_port=connection.port or 8080,
            http_secure=is_secure,
            grpc_host=grpc_host or host,
            grpc_port=grpc_port or 50051,
            grpc_secure=is_secure if grpc_secure is None else grpc_secure,
            headers=headers,
            auth_credentials=Auth.api_key(key) if key else login,
            additional_config=AdditionalConfig(timeout=Timeout(init=timeout, query=timeout, insert=timeout)),
            skip_init_checks=True,  # they ask PyPI for the newest client
        )
    except (WeaviateBaseError, httpx.TransportError) as error:
        if getattr(error, "status_code", None) in (401, 403):
            raise BadInput(f"connection {connection.id!r} at {connection.place}: login refused") from error
        where = f"connection {connection.id!r} at {connection.place}"
        raise Unreachable(f"{where}: did not answer: {one_line(error)}") from error

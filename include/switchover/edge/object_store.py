"""Object stores by fsspec: a prefix and a connection become a file system."""

from __future__ import annotations

from typing import Any

from switchover.edge.connection import Connection
from switchover.errors import BadInput

LOCAL = (
    "file",
    "local",
    "simplecache",
    "filecache",
    "blockcache",
    "dir",
    "http",
    "https",
    "data",
    "zip",
    "tar",
    "reference",
)


def object_store(prefix: str, connection: Connection | None) -> tuple[Any, str]:
    """(fsspec file system, path in it) of a prefix such as ``s3://bucket/docs/``.

    Of an AWS connection login, password and extra ``endpoint_url`` are used; of any, what its extra
    ``storage_options`` says. ``BadInput`` for a local path, a chain, or a store whose package is not installed.
    """
    protocol = prefix.partition("://")[0]
    if protocol in LOCAL or "::" in prefix:
        raise BadInput(f"{prefix}: is no object store; allowed: an address such as s3://bucket/prefix/")
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        files, path = url_to_fs(prefix, **_options(connection))
    except ImportError as error:
        raise BadInput(f"{prefix}: needs a package that is not installed ({error}); install it") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"{prefix}: cannot be opened: {str(error)[:200]}") from error
    return files, str(path)


def _options(connection: Connection | None) -> dict[str, Any]:
    if connection is None:
        return {}
    options: dict[str, Any] = {}
    if connection.conn_type == "aws":
        if connection.login:
            options |= {"key": connection.login, "secret": connection.password}
        if connection.extra.get("endpoint_url"):
            options["client_kwargs"] = {"endpoint_url": connection.extra["endpoint_url"]}
    given = connection.extra.get("storage_options")
    return {**options, **(given if isinstance(given, dict) else {})}

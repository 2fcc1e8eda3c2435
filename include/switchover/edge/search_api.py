"""One way to speak to OpenSearch and to Elasticsearch: the same paths and bodies, each through its own client.

Both took over the index, alias and search interfaces from one code base. What differs is here: how a client sends a
request, what it raises, and what the elected manager's time-out is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.errors import BadInput, SwitchoverError, Unreachable
from switchover.text import one_line

#: The server gives up before the client does, so that its answer says what it did.
SERVER_TIMEOUT = f"{int(TIMEOUT_S) - 1}s"
MANAGER_TIMEOUT = {"opensearch": "cluster_manager_timeout", "elasticsearch": "master_timeout"}
#: Understood by Elasticsearch 8 and 9. Client 9 by itself speaks only to servers from 9 on.
SPOKEN = "application/vnd.elasticsearch+json; compatible-with=8"
NOT_FOUND = 404
BUSY = (408, 429)
REFUSED = (401, 403)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server said. ``body`` is read from JSON where it was JSON."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300

    @property
    def error(self) -> tuple[str, str]:
        """The error's type and its reason, in one line."""
        error = self.body.get("error") if isinstance(self.body, Mapping) else self.body
        kind, reason = (error.get("type"), error.get("reason")) if isinstance(error, Mapping) else ("", error)
        return str(kind or ""), one_line(reason or "no reason given")


class SearchApi:
    """One cluster, at ``place`` (``host:port``)."""

    def __init__(self, *, kind: str, client: Any, place: str) -> None:
        self.kind = kind
        self.place = place
        self._client = client
        self._send = {"opensearch": _opensearch, "elasticsearch": _elasticsearch}[kind]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        also: Collection[int] = (),
    ) -> Answer:
        """Send one request. An answer is a success, a 404, or of a status in ``also``.

        Raises
            Unreachable  no answer, or one that says that the cluster cannot answer now
            BadInput     a missing right, or a request that the cluster refuses
        """
        what = f"{self.kind} at {self.place}: {method} {path}"
        # In the path, because OpenSearch's client takes some parameters, `timeout` among them, for its own.
        asked = f"{path}?{urlencode(params)}" if params else path
        answer = self._send(self._client, what, method, asked, body)
        if answer.ok or answer.status in also or (answer.status == NOT_FOUND and isinstance(answer.body, Mapping)):
            return answer
        kind, reason = answer.error
        said = f"{what}: answered {answer.status}: {kind + ': ' if kind else ''}{reason}"
        if answer.status in REFUSED and kind != "cluster_block_exception":
            raise BadInput(f"{said}; this login lacks the right, docs/pointers/opensearch.md has the role")
        if answer.status >= 500 or (answer.status in BUSY and kind != "cluster_block_exception"):
            raise Unreachable(said)
        raise BadInput(f"{said}; this request changed nothing")

    def every_shard(
        self, what: str, method: str, path: str, body: Any, *, absent: type[SwitchoverError], **params: str
    ) -> dict[str, Any]:
        """An answer of every shard; ``absent`` when there is no such index. ``what``: whose answer, for messages."""
        answer = self.call(method, path, body, params=params)
        if not answer.ok:
            raise absent(f"{what}: {answer.error[1]}")
        shards = answer.body["_shards"]
        if shards["successful"] != shards["total"] or answer.body.get("timed_out"):
            raise Unreachable(f"{what}: {shards['successful']} of {shards['total']} shards answered")
        return dict(answer.body)

    def change(self, method: str, path: str, body: Any) -> Answer:
        """A request that changes the cluster's state: done when every node has acknowledged it.

        Raises ``Unreachable`` when it was taken but not acknowledged in time, and as :meth:`call`.
        """
        params = {"timeout": SERVER_TIMEOUT, MANAGER_TIMEOUT[self.kind]: SERVER_TIMEOUT}
        answer = self.call(method, path, body, params=params)
        if answer.ok and not answer.body.get("acknowledged"):
            raise Unreachable(
                f"{self.kind} at {self.place}: {method} {path}: taken, but not acknowledged by every node"
                f" within {SERVER_TIMEOUT}"
            )
        return answer


def search_api(edge: Edge, *, kind: str, connection: str) -> SearchApi:
    """The cluster of a connection. No I/O."""
    found = edge.connection(connection, kind=kind)
    host = found.host.rpartition("@")[2].rpartition("://")[2].rstrip("/") or "localhost"
    place = f"{host}:{found.port}" if found.port else host
    return SearchApi(kind=kind, client=edge.client(kind, connection), place=place)


def quoted(*names: str) -> str:
    """Names of indexes or aliases as one part of a path."""
    return ",".join(quote(name, safe="*") for name in names)


def _opensearch(client: Any, what: str, method: str, path: str, body: Any) -> Answer:
    from opensearchpy import exceptions

    try:
        found = client.transport.perform_request(method, path, body=body)
    except exceptions.ConnectionError as error:
        raise Unreachable(f"{what}: did not answer: {type(error).__name__}: {one_line(error.info)}") from error
    except exceptions.SerializationError as error:
        raise Unreachable(f"{what}: its answer is not JSON") from error
    except exceptions.TransportError as error:
        return Answer(status=int(error.status_code), body=error.info or error.error)
    return Answer(status=200, body=found)


def _elasticsearch(client: Any, what: str, method: str, path: str, body: Any) -> Answer:
    import elasticsearch

    headers = {"accept": SPOKEN, **({"content-type": SPOKEN} if body is not None else {})}
    with _not_elasticsearch(what):
        try:
            found = client.perform_request(method, path, headers=headers, body=body)
        except elasticsearch.ApiError as error:
            if isinstance(error, elasticsearch.UnsupportedProductError):
                raise
            return Answer(status=error.status_code, body=error.body)
        except elasticsearch.SerializationError as error:
            raise Unreachable(f"{what}: its answer is not JSON") from error
        except elasticsearch.TransportError as error:
            raise Unreachable(f"{what}: did not answer: {type(error).__name__}: {one_line(error.message)}") from error
    return Answer(status=found.meta.status, body=found.body)


@contextlib.contextmanager
def _not_elasticsearch(what: str) -> Iterator[None]:
    import elasticsearch

    try:
        yield
    except elasticsearch.UnsupportedProductError:
        raise BadInput(f"{what}: the server is not Elasticsearch; allowed: kind opensearch for OpenSearch") from None

"""A collection alias in Weaviate, moved by one ``PUT /v1/aliases/NAME``.

Weaviate knows no condition on that call, so the epoch (a token, see ``pointers.alias``) is compared before it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal

from switchover.edge.edge import Edge
from switchover.edge.names import weaviate_name
from switchover.errors import BadInput, Unreachable
from switchover.lazy import lazy
from switchover.pointers.alias import (
    INDEX_HASH,
    AliasSpec,
    Look,
    SteppedAliasPointer,
    hash_problem,
    is_collection,
    tokens_of,
)
from switchover.pointers.base import Pointer
from switchover.text import one_line

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

PORT = 8080
HASH = re.compile(rf"\b{INDEX_HASH}[:=]\s*(\S+)")
MISSING, REFUSED, UNPROCESSABLE = 404, frozenset([401, 403]), 422
NEEDS = "a role that may create, read, update and delete these aliases, and read the arms' collections and data"


class WeaviateSpec(AliasSpec):
    """A collection alias in Weaviate 1.32 or newer."""

    namer = staticmethod(weaviate_name)
    kind: Literal["weaviate"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        connection = edge.connection(self.connection, kind="weaviate")
        host = connection.host.split("://")[-1].rstrip("/") or "localhost"
        store = WeaviateStore(
            connect=lambda: edge.client("weaviate", self.connection), place=f"{host}:{connection.port or PORT}"
        )
        return WeaviatePointer(kind=self.kind, store=store, alias=self.alias, targets=self.targets)


class WeaviatePointer(SteppedAliasPointer):
    """The alias ``alias`` of one Weaviate, where an alias outlives its collection."""

    token_follows = False


class Declined(Exception):
    """The server answered with a status that the caller expects; it changed nothing."""


class WeaviateStore:
    """Collections and aliases of one server. ``connect`` gives the client; it is built when first used."""

    def __init__(self, *, connect: Callable[[], Any], place: str) -> None:
        self._connect = connect
        self.place = place

    def look(self, alias: str) -> Look:
        """See :class:`AliasStore`. A list leaves out what one may not read; asked for by its name, it is refused."""
        what = f"alias {alias}"
        found = self._call(what, lambda client: client.alias.list_all())
        if alias not in found:
            self._call(what, lambda client: client.alias.get(alias_name=alias))
            if self._call(what, lambda client: client.collections.exists(alias)):
                raise is_collection("weaviate", self.place, alias)
        collection = found[alias].collection if alias in found else None
        return Look(collection=collection, tokens=tokens_of(alias, found))

    def where(self, alias: str) -> str | None:
        """See :class:`MovingStore`."""
        return self.look(alias).collection

    def create(self, alias: str, collection: str) -> None:
        """See :class:`AliasStore`. 422 is also the answer for an alias that exists."""
        try:
            self._call(
                f"alias {alias}",
                lambda client: client.alias.create(alias_name=alias, target_collection=collection),
                expect=[UNPROCESSABLE],
            )
        except Declined as answer:
            if self.look(alias).collection is None:
                raise BadInput(
                    f"weaviate at {self.place}, alias {alias}: {answer}; this request changed nothing"
                ) from answer

    def move(self, alias: str, collection: str) -> bool:
        """See :class:`MovingStore`. The client answers false where the server says 404."""
        try:
            return bool(
                self._call(
                    f"alias {alias}",
                    lambda client: client.alias.update(alias_name=alias, new_target_collection=collection),
                    expect=[MISSING, UNPROCESSABLE],
                )
            )
        except Declined:
            return False

    def drop(self, alias: str) -> None:
        """See :class:`AliasStore`."""
        with contextlib.suppress(Declined):
            self._call(f"alias {alias}", lambda client: client.alias.delete(alias_name=alias), expect=[MISSING])

    def problem(self, collection: str, *, approved_hash: str | None) -> str | None:
        """See :class:`AliasStore`. Asked for an object, as a reader would."""
        try:
            weaviate_name(collection, "")
        except BadInput:
            return "is no collection's name: a capital first, then letters, digits and underscores"
        what = f"collection {collection}"
        try:
            config = self._call(
                what, lambda client: client.collections.use(collection).config.get(simple=True), expect=[MISSING]
            )
        except Declined:
            return "does not exist"
        try:
            answer = self._call(what, lambda client: _first_object(client, collection), expect=[UNPROCESSABLE])
        except Declined as said:
            return f"is unhealthy: does not list its objects: {said}"
        if not answer.json().get("objects"):
            return "is empty"
        found = HASH.search(config.description or "")
        return hash_problem(f"description '{INDEX_HASH}: …'", found and found[1], approved_hash)

    def _call(self, what: str, do: Callable[[Any], Any], *, expect: Collection[int] = ()) -> Any:
        """Do one call; ``Declined`` when the server answers with a status in ``expect``."""
        from weaviate import exceptions as given

        where = f"weaviate at {self.place}, {what}"
        silent = (given.WeaviateConnectionError, given.WeaviateTimeoutError, httpx.TransportError)
        try:
            return do(self._connect())
        except silent as error:
            raise Unreachable(f"{where}: did not answer: {one_line(error)}") from error
        except given.UnexpectedStatusCodeError as error:
            if error.status_code in expect:
                raise Declined(one_line(error)) from error
            if error.status_code >= 500 or error.status_code == 429:
                raise Unreachable(f"{where}: {one_line(error)}") from error
            needs = f"; needed: {NEEDS}" if error.status_code in REFUSED else ""
            raise BadInput(f"{where}: {one_line(error)}{needs}; this request changed nothing") from error
        except given.WeaviateUnsupportedFeatureError as error:
            raise BadInput(f"{where}: {one_line(error)}") from error


def _first_object(client: Any, collection: str) -> httpx.Response:
    """Over HTTP: a query of the client is gRPC and tries again for a minute, GraphQL needs a right to every collection.

    A status that is not expected raises, as the client's own methods do.
    """
    from weaviate.connect.v4 import _ExpectedStatusCodes

    answer: httpx.Response = client._connection.get(
        path="/objects",
        params={"class": collection, "limit": 1},
        error_msg="objects were not listed",
        status_codes=_ExpectedStatusCodes(ok_in=[200], error="list objects"),
    )
    return answer

"""A collection alias in Milvus, moved by ``alter_alias``.

Milvus knows no condition on that call, so the epoch (a token, see ``pointers.alias``) is compared before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any, ClassVar, Literal

from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.edge.names import milvus_name
from switchover.errors import BadInput, Unreachable
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
from switchover.text import first_line, one_line

PORT = 19530
DATABASE = "default"
# The server's codes: unexpected, not ready, unavailable, memory, too many requests, internal, disk, rate, quota.
BUSY = frozenset([1, 2, 3, 4, 5, 7, 8, 9])
NOT_LOADED = frozenset([101, 103])
MISSING = frozenset([100, 1600])
EXISTS = frozenset([1602])
DENIED = frozenset(["PERMISSION_DENIED", "UNAUTHENTICATED"])
NEEDS = "CreateAlias, DropAlias, DescribeAlias, ListAliases, DescribeCollection, Query, ShowPartitions, GetLoadState"


class MilvusSpec(AliasSpec):
    """A collection alias in Milvus."""

    namer = staticmethod(milvus_name)
    names_indexes_of: ClassVar[str] = "Milvus"
    kind: Literal["milvus"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        store = MilvusStore(
            connect=lambda: edge.client("milvus", self.connection), place=milvus_place(edge, self.connection)
        )
        return SteppedAliasPointer(kind=self.kind, store=store, alias=self.alias, targets=self.targets)


def milvus_place(edge: Edge, conn_id: str) -> str:
    """Where the database of a connection is, for messages."""
    connection = edge.connection(conn_id, kind="milvus")
    host = connection.host.split("://")[-1].rstrip("/") or "localhost"
    return f"{host}:{connection.port or PORT}/{connection.schema or DATABASE}"


class Declined(Exception):
    """The server's answer names a state of its own, by ``code``; it changed nothing."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MilvusStore:
    """Collections and aliases of one database. ``connect`` gives the client; it is built when first used."""

    def __init__(self, *, connect: Callable[[], Any], place: str) -> None:
        self._connect = connect
        self.place = place

    def look(self, alias: str) -> Look:
        """See :class:`AliasStore`. Listed first: to ask for an alias that is not there is an error in every log."""
        what = f"alias {alias}"
        names = self.ask(what, lambda client: client.list_aliases(timeout=TIMEOUT_S))["aliases"]
        collection = None
        if alias in names:
            collection = self.where(alias)
        elif self.ask(what, lambda client: client.has_collection(alias, timeout=TIMEOUT_S)):
            raise is_collection("milvus", self.place, alias)
        return Look(collection=collection, tokens=tokens_of(alias, names))

    def where(self, alias: str) -> str | None:
        """See :class:`MovingStore`."""
        with contextlib.suppress(Declined):
            asked = self.ask(
                f"alias {alias}", lambda client: client.describe_alias(alias, timeout=TIMEOUT_S), expect=MISSING
            )
            return str(asked["collection_name"])
        return None

    def create(self, alias: str, collection: str) -> None:
        """See :class:`AliasStore`."""
        with contextlib.suppress(Declined):
            self._write(alias, "create_alias", collection, alias)

    def move(self, alias: str, collection: str) -> bool:
        """See :class:`MovingStore`."""
        try:
            self._write(alias, "alter_alias", collection, alias)
        except Declined:
            return False
        return True

    def drop(self, alias: str) -> None:
        """See :class:`AliasStore`."""
        with contextlib.suppress(Declined):
            self._write(alias, "drop_alias", alias)

    def problem(self, collection: str, *, approved_hash: str | None) -> str | None:
        """See :class:`AliasStore`. Asked for a row, as a reader would: only a loaded collection gives one.

        One of whose partitions only some are loaded gives one too, and readers would find a part of it.
        """
        what = f"collection {collection}"
        try:
            rows = self.ask(
                what, lambda client: client.query(collection, limit=1, timeout=TIMEOUT_S), expect=MISSING | NOT_LOADED
            )
        except Declined as answer:
            return "does not exist" if answer.code in MISSING else "is unhealthy: not loaded (load_collection loads it)"
        if not rows:
            return "is empty"
        if unloaded := self.ask(what, lambda client: _unloaded(client, collection), expect=MISSING | NOT_LOADED):
            shown = f"{', '.join(unloaded[:3])}{', …' if len(unloaded) > 3 else ''}"
            return f"is unhealthy: {len(unloaded)} partitions are not loaded ({shown}; load_collection loads all)"
        if approved_hash is None:
            return None
        asked = self.ask(what, lambda client: client.describe_collection(collection, timeout=TIMEOUT_S))
        return hash_problem(f"property {INDEX_HASH!r}", asked["properties"].get(INDEX_HASH), approved_hash)

    def _write(self, alias: str, call: str, *names: str) -> None:
        """One try: the client's own methods write again for as long as the time-out lasts, over a newer holder."""

        def once(client: Any) -> None:
            context = client._generate_call_context()
            getattr(client._get_connection(), call)(*names, TIMEOUT_S, context, retry_times=0)

        self.ask(f"alias {alias}", once, expect=MISSING | EXISTS)

    def ask(self, what: str, do: Callable[[Any], Any], *, expect: Collection[int] = ()) -> Any:
        """Do one call; ``Declined`` when the server answers with a code in ``expect``."""
        import grpc  # type: ignore[import-untyped]
        from pymilvus.exceptions import MilvusException

        where = f"milvus at {self.place}, {what}"
        try:
            return do(self._connect())
        except MilvusException as error:
            code, said = _code(error), first_line(error.message) or type(error).__name__
            if code in expect:
                raise Declined(code, said) from error
            if code in BUSY:
                raise Unreachable(f"{where}: did not answer: {said}") from error
            raise BadInput(f"{where}: refused: {said}; this request changed nothing") from error
        except grpc.RpcError as error:
            said = one_line(f"{error.code().name}: {error.details()}")
            if error.code().name in DENIED:
                raise BadInput(f"{where}: {said}; needed: {NEEDS}; this request changed nothing") from error
            raise Unreachable(f"{where}: did not answer: {said}") from error


def _unloaded(client: Any, collection: str) -> list[str]:
    """The partitions that no search finds anything in."""
    from pymilvus.client.types import LoadState

    def state(partition: str) -> Any:
        return client.get_load_state(collection, partition_name=partition, timeout=TIMEOUT_S)["state"]

    names = client.list_partitions(collection, timeout=TIMEOUT_S)
    return [name for name in names if state(name) != LoadState.Loaded]


def _code(error: Any) -> int:
    """The server's code; a broken call has gRPC's instead, and counts as unavailable."""
    if isinstance(error.code, int):
        already = error.code == 1 and "already exists" in error.message  # Milvus Lite has no code of its own for it
        return min(EXISTS) if already else int(error.code)
    return min(BUSY)

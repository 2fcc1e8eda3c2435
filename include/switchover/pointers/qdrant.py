"""A collection alias in Qdrant, moved by one request that an old holder's token makes fail.

Qdrant applies the actions of one request in their order, under one lock, and stops at the first that fails.
Renaming an alias fails when it is gone. So each move first renames the token (``pointers.alias``) that was
read: who holds another one changes nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from switchover.edge.edge import Edge
from switchover.edge.names import qdrant_name
from switchover.errors import BadInput, PointerConflict, Unreachable
from switchover.pointers.alias import (
    INDEX_HASH,
    AliasPointer,
    AliasSpec,
    Look,
    hash_problem,
    is_collection,
    token_name,
    tokens_of,
)
from switchover.pointers.base import TRIES, Change, EpochCheck, Pointer, Reading
from switchover.text import first_line

PORT = 6333
BUSY = frozenset([408, 425, 429])
REFUSED = frozenset([401, 403])


class QdrantSpec(AliasSpec):
    """A collection alias in Qdrant."""

    namer = staticmethod(qdrant_name)
    names_indexes_of: ClassVar[str] = "Qdrant"
    kind: Literal["qdrant"]

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        store = QdrantStore(client=edge.client("qdrant", self.connection), place=qdrant_place(edge, self.connection))
        return QdrantPointer(kind=self.kind, store=store, alias=self.alias, targets=self.targets)


def qdrant_place(edge: Edge, conn_id: str) -> str:
    """Where the server of a connection is, for messages."""
    connection = edge.connection(conn_id, kind="qdrant")
    host = connection.host.split("://")[-1].rstrip("/") or "localhost"
    return str(connection.extra.get("path") or f"{host}:{connection.port or PORT}")


class Missing(Exception):
    """An alias or a collection that was named is not there."""


class QdrantStore:
    """Collections and aliases of one server (or of one local folder)."""

    def __init__(self, *, client: Any, place: str) -> None:
        self._client = client
        self.place = place

    def look(self, alias: str) -> Look:
        """See :class:`AliasStore`."""
        what = f"alias {alias}"
        aliases = self._call(what, lambda: self._client.get_aliases()).aliases
        found = {each.alias_name: each.collection_name for each in aliases}
        if alias not in found and self._call(what, lambda: self._client.collection_exists(alias)):
            raise is_collection("qdrant", self.place, alias)
        return Look(collection=found.get(alias), tokens=tokens_of(alias, found))

    def create(self, alias: str, collection: str) -> None:
        """See :class:`AliasStore`."""
        self.change(alias, _create(alias, collection))

    def drop(self, alias: str) -> None:
        """See :class:`AliasStore`."""
        self.change(alias, _delete(alias))

    def change(self, alias: str, *actions: Any) -> bool:
        """Do the actions in one request; false when one met an alias or a collection that is not there."""
        try:
            self._call(
                f"alias {alias}",
                lambda: self._client.update_collection_aliases(change_aliases_operations=list(actions)),
                missing=True,
            )
        except Missing:
            return False
        return True

    def problem(self, collection: str, *, approved_hash: str | None) -> str | None:
        """See :class:`AliasStore`. Red is Qdrant's word for a collection whose optimiser has failed."""
        try:
            what = f"collection {collection}"
            info = self._call(what, lambda: self._client.get_collection(collection), missing=True)
        except Missing:
            return "does not exist"
        if not info.points_count:
            return "is empty"
        if info.status == "red":
            return f"is unhealthy: status red ({info.optimizer_status})"
        found = (info.config.metadata or {}).get(INDEX_HASH)
        return hash_problem(f"metadata {INDEX_HASH!r}", found, approved_hash)

    def ask(self, what: str, do: Callable[[Any], Any], *, missing: bool = False) -> Any:
        """Do one call of the client; its errors become ours. ``missing``: see :class:`Missing`."""
        return self._call(what, lambda: do(self._client), missing=missing)

    def _call(self, what: str, do: Callable[[], Any], *, missing: bool = False) -> Any:
        """Do one call. ``missing``: that an alias or a collection is not there raises ``Missing``."""
        from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        where = f"qdrant at {self.place}, {what}"
        try:
            return do()
        except ResponseHandlingException as error:
            said = first_line(f"{type(error.source).__name__}: {error.source}")
            raise Unreachable(f"{where}: did not answer: {said}") from error
        except ResourceExhaustedResponse as error:
            raise Unreachable(f"{where}: is busy: {error}") from error
        except UnexpectedResponse as error:
            status = error.status_code or 0
            if status == 404 and missing:
                raise Missing from error
            if status >= 500 or status in BUSY:
                raise Unreachable(f"{where}: answered {status}: {_said(error)}") from error
            hint = "; needed: an API key with global manage access" if status in REFUSED else ""
            raise BadInput(f"{where}: answered {status}: {_said(error)}{hint}; this request changed nothing") from error
        except json.JSONDecodeError as error:
            raise Unreachable(f"{where}: did not answer in JSON: is it a Qdrant?") from error
        except ValueError as error:  # a local folder's word for what is not there
            if missing:
                raise Missing from error
            raise BadInput(f"{where}: {error}; this request changed nothing") from error


class QdrantPointer(AliasPointer):
    """The alias ``alias`` of one Qdrant."""

    fencing = EpochCheck.WITH_THE_WRITE
    _store: QdrantStore

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`. Creating an alias that exists moves it, so it is never gone in between."""
        look: Look = now.token
        if not look.tokens:
            self.refuse_older(change.epoch)
            return False
        collection = self._collection(change.after)
        fresh = self._fresh(change.epoch)
        return self._store.change(
            self._alias,
            _rename(look.tokens[-1].name, fresh),
            _create(self._alias, collection),
            _create(fresh, collection),  # dropping a collection takes its aliases with it, the token too
        )

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`. Ends when exactly one token is left, of this epoch or a newer one."""
        for _ in range(TRIES):
            look = self._store.look(self._alias)
            if look.collection is None:
                return
            if not look.tokens:
                self._store.create(self._fresh(epoch), look.collection)
            elif look.tokens[-1].epoch < epoch:
                self._store.change(self._alias, _rename(look.tokens[-1].name, self._fresh(epoch)))
            elif look.tokens[:-1]:
                self._store.change(self._alias, *(_delete(token.name) for token in look.tokens[:-1]))
            else:
                return
        raise PointerConflict(
            f"{self.key}: something else writes to its token all the time ({TRIES} tries); the alias was not changed"
        )

    def _fresh(self, epoch: int) -> str:
        """A name that never comes again: an old holder cannot meet its token a second time."""
        return token_name(self._alias, epoch, secrets.token_hex(6))


def _create(alias: str, collection: str) -> Any:
    from qdrant_client import models

    return models.CreateAliasOperation(create_alias=models.CreateAlias(alias_name=alias, collection_name=collection))


def _delete(alias: str) -> Any:
    from qdrant_client import models

    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))


def _rename(old: str, new: str) -> Any:
    from qdrant_client import models

    return models.RenameAliasOperation(rename_alias=models.RenameAlias(old_alias_name=old, new_alias_name=new))


def _said(error: Any) -> str:
    """The server's own sentence."""
    try:
        return str(error.structured()["status"]["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return str(error.reason_phrase)

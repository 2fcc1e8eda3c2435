"""A key that names the live arm, for stores without aliases (Chroma, Pinecone, files) and for configuration.

One key has one writer at a time; readers resolve it at the start of a request. The stores differ only in how
they get and conditionally put an :class:`Entry`; each is compared and written in one step, epoch included.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol
from urllib.parse import quote

from pydantic import AfterValidator, Field

from switchover.edge.body import BadAnswer, read_json
from switchover.edge.edge import Edge, reaching
from switchover.errors import BadInput, TargetRefused, Unreachable
from switchover.lazy import lazy
from switchover.part import ConnectionId, Part
from switchover.pointers.base import (
    REHEARSAL,
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    not_of_a_rehearsal,
    own_name,
)

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a key holds. ``token`` is what the store's next put is conditional on."""

    target: str
    epoch: int
    actor: str = ""
    version: int | None = None
    token: Any = None


class KeyStore(Protocol):
    """One store of keys. Raises as :class:`Pointer` says."""

    place: str

    def get(self, key: str) -> Entry | None:
        """The entry, or ``None``."""
        ...

    def put(self, key: str, entry: Entry, *, instead_of: Entry | None) -> bool:
        """Write if the key still holds exactly ``instead_of`` (``None``: no key); whether it did."""
        ...

    def delete(self, key: str) -> None:
        """Remove the key; no error when there is none."""
        ...


class KeyCheck(Part):
    """Where to ask whether an arm can serve, since a key store knows nothing of it."""

    connection: ConnectionId = Field(description="HTTP connection to the store that holds the arms, or to the reader.")
    path: str = Field(
        pattern=r"^/.*\{target\}",
        description="Asked with GET before a move, `{target}` is the arm. 2xx: it can serve; 404: it does not exist.",
    )


class KeySpec(PointerSpec):
    """Base of the plan's part of every key store."""

    key: Annotated[str, AfterValidator(own_name)] = Field(
        min_length=1, max_length=200, description="The key that names the live arm."
    )
    check: KeyCheck | None = Field(default=None, description="Asks, before a move, whether the arm can serve.")

    def checked(self, edge: Edge) -> TargetCheck | None:
        """The check, on a connection of the edge."""
        if self.check is None:
            return None
        return TargetCheck(client=edge.client("http", self.check.connection), path=self.check.path)

    @abstractmethod
    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""


class TargetCheck:
    """Asks an HTTP server whether an arm can serve."""

    def __init__(self, *, client: httpx.Client, path: str) -> None:
        self._client = client
        self._path = path

    def problem(self, target: str, *, approved_hash: str | None) -> str | None:
        """Why the arm cannot serve; ``None`` when it can.

        An INDEX_HASH in the answer (``index_hash``, or the same in ``metadata``) must be the approved one.
        ``Unreachable`` when nobody answers, ``BadInput`` when the server does not let us ask.
        """
        path = self._path.replace("{target}", quote(target, safe=""))
        where = f"{str(self._client.base_url).rstrip('/')}{path}"
        with reaching(f"check of {target!r} at {where}"):
            answer = self._client.get(path)
        if answer.status_code in (401, 403):
            raise BadInput(f"check of {target!r} at {where}: answered {answer.status_code}; nothing was changed")
        if answer.status_code in (408, 429):
            raise Unreachable(f"check of {target!r} at {where}: is busy: answered {answer.status_code}")
        if answer.status_code in (404, 410):
            return f"does not exist: {where} answered {answer.status_code}"
        if not answer.is_success:
            return f"is unhealthy: {where} answered {answer.status_code}"
        found = _index_hash(answer)
        if found is not None and found != (approved_hash or found):
            return f"has INDEX_HASH {found}, approved is {approved_hash}"
        return None


def _index_hash(answer: httpx.Response) -> str | None:
    """The INDEX_HASH that an answer names, if it does."""
    try:
        body = read_json(answer)
    except BadAnswer:
        return None
    for place in (body, body.get("metadata") if isinstance(body, dict) else None):
        if isinstance(place, dict) and isinstance(place.get("index_hash"), str):
            return str(place["index_hash"])
    return None


class KeyPointer(Pointer):
    """The key ``name`` of a store."""

    def __init__(
        self, *, kind: str, store: KeyStore, name: str, check: TargetCheck | None = None, actor: str | None = None
    ) -> None:
        self._kind = kind
        self._store = store
        self._name = name
        self._check = check
        self._actor = actor
        self.key = f"{kind}:{store.place}/{name}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fencing=EpochCheck.WITH_THE_WRITE,
            propagation="at once: readers resolve it per request",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        entry = self._store.get(self._name)
        if entry is None:
            return Reading(target=None)
        return Reading(target=entry.target, version=entry.version, epoch=entry.epoch, token=entry)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. A key store knows nothing of the arms: ``check`` does, and the plan's ``index``."""
        if self._check is None:
            return
        problem = self._check.problem(target, approved_hash=approved_hash)
        if problem is not None:
            raise TargetRefused(f"{self.key}: {target!r} {problem}; nothing was changed")

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        entry = Entry(target=change.after, epoch=change.epoch, actor=self._actor or change.actor)
        return self._store.put(self._name, entry, instead_of=now.token)

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        while (entry := self._store.get(self._name)) is not None and entry.epoch < epoch:
            raised = Entry(target=entry.target, epoch=epoch, actor=entry.actor)
            if self._store.put(self._name, raised, instead_of=entry):
                return

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`."""
        name = f"{self._name}__rehearsal"
        self._forget(name)
        if not self._store.put(name, Entry(target=target, epoch=0, actor=REHEARSAL), instead_of=None):
            raise not_of_a_rehearsal(self.key, f"key {name!r}")
        try:
            yield KeyPointer(kind=self._kind, store=self._store, name=name, check=self._check, actor=REHEARSAL)
        finally:
            self._forget(name)

    def _forget(self, name: str) -> None:
        """Remove a rehearsal's key, and no other."""
        found = self._store.get(name)
        if found is not None and found.actor == REHEARSAL:
            self._store.delete(name)

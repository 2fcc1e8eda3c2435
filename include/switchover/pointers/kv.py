"""A key that names the live arm, for stores without aliases (Chroma, Pinecone, files) and for configuration.

One key has one writer at a time; readers resolve it at the start of a request. The stores differ only in how
they get and conditionally put an :class:`Entry`; each is compared and written in one step, epoch included.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import Field

from switchover.pointers.base import Capabilities, Change, Fencing, Pointer, PointerSpec, Reading


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


class KeySpec(PointerSpec):
    """Base of the plan's part of every key store."""

    key: str = Field(min_length=1, max_length=200, description="The key that names the live arm.")

    @abstractmethod
    def build(self, edge: Any) -> Pointer:
        """See :class:`PointerSpec`."""


class KeyPointer(Pointer):
    """The key ``name`` of a store."""

    def __init__(self, *, kind: str, store: KeyStore, name: str) -> None:
        self._kind = kind
        self._store = store
        self._name = name
        self.key = f"{kind}:{store.place}/{name}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fencing=Fencing.WITH_THE_WRITE,
            propagation="at once: readers resolve it per request",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        entry = self._store.get(self._name)
        if entry is None:
            return Reading(target=None)
        return Reading(target=entry.target, version=entry.version, epoch=entry.epoch, token=entry)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. A key store knows nothing of the arms: the plan's ``index`` is what is checked."""

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        entry = Entry(target=change.after, epoch=change.epoch, actor=change.actor)
        return self._store.put(self._name, entry, instead_of=now.token)

    def fence(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        while (entry := self._store.get(self._name)) is not None and entry.epoch < epoch:
            raised = Entry(target=entry.target, epoch=epoch, actor=entry.actor)
            if self._store.put(self._name, raised, instead_of=entry):
                return

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`."""
        name = f"{self._name}__rehearsal"
        self._store.delete(name)
        self._store.put(name, Entry(target=target, epoch=0, actor="rehearsal"), instead_of=None)
        try:
            yield KeyPointer(kind=self._kind, store=self._store, name=name)
        finally:
            self._store.delete(name)

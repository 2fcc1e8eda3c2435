"""A collection alias, and its epoch in the name of a second one.

Qdrant, Milvus and Weaviate move an alias in one step, but an alias holds nothing but a name and a collection.
So the epoch stands in the name of a *token*, an alias of its own beside the one that readers use:
``docs__epoch_7`` says that epoch 7 was the last to hold ``docs``.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, Field, field_validator

from switchover.edge.names import Namer
from switchover.errors import BadInput, TargetRefused
from switchover.pointers.base import (
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    arm_of,
    not_of_a_rehearsal,
    own_name,
)

INDEX_HASH = "index_hash"


@dataclass(frozen=True, kw_only=True, order=True)
class Token:
    """A token by its epoch. ``nonce`` tells tokens of one epoch apart, where a store needs that."""

    epoch: int
    nonce: str = ""
    name: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Where an alias is (``None``: there is no such alias), and its tokens, the newest last."""

    collection: str | None
    tokens: tuple[Token, ...]

    @property
    def epoch(self) -> int | None:
        """The newest token's; ``None`` when nobody has written one."""
        return self.tokens[-1].epoch if self.tokens else None


class AliasStore(Protocol):
    """One store of collections and aliases. Raises as :class:`Pointer` says."""

    place: str

    def look(self, alias: str) -> Look:
        """The alias and its tokens. ``BadInput`` when a collection has that name."""
        ...

    def create(self, alias: str, collection: str) -> None:
        """Create the alias; no error when there is one of that name."""
        ...

    def drop(self, alias: str) -> None:
        """Remove the alias; no error when there is none."""
        ...

    def problem(self, collection: str, *, approved_hash: str | None) -> str | None:
        """Why the collection cannot serve (``does not exist``); ``None`` when it can."""
        ...


class MovingStore(AliasStore, Protocol):
    """A store that moves an alias by a call of its own, unconditionally."""

    def move(self, alias: str, collection: str) -> bool:
        """Point an existing alias at a collection; false when one of the two is missing, nothing is changed then."""
        ...

    def where(self, alias: str) -> str | None:
        """The alias's collection, without a look at its tokens."""
        ...


class AliasSpec(PointerSpec):
    """Base of the plan's part of every store with collection aliases."""

    namer: ClassVar[Namer]

    alias: Annotated[str, AfterValidator(own_name)] = Field(
        min_length=1, max_length=200, description="The alias that readers query."
    )
    targets: dict[str, str] | None = Field(
        default=None, description="Arm → name of its collection. Default: each arm is named like its collection."
    )

    @field_validator("alias")
    @classmethod
    def _is_a_name(cls, alias: str) -> str:
        return cls.namer(alias, "alias", ValueError)

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`PointerSpec`."""
        super().check_arms(arms)
        for arm in arms:
            type(self).namer((self.targets or {}).get(arm, arm), f"pointer: arm {arm!r}", ValueError)

    @field_validator("targets")
    @classmethod
    def _no_two_arms_on_one(cls, targets: dict[str, str] | None) -> dict[str, str] | None:
        if targets and len(set(targets.values())) < len(targets):
            raise ValueError("two arms have the same collection; allowed: one for each arm")
        return targets


class AliasPointer(Pointer):
    """Base of a pointer that is an alias."""

    fencing: ClassVar[EpochCheck]
    propagation: ClassVar[str] = "at once: the server resolves it per request"

    def __init__(self, *, kind: str, store: Any, alias: str, targets: Mapping[str, str] | None) -> None:
        self._kind = kind
        self._store: AliasStore = store
        self._alias = alias
        self._targets = targets or {}
        self.key = f"{kind}:{store.place}/{alias}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(atomic=True, compare_and_set=False, fencing=self.fencing, propagation=self.propagation)

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        look = self._store.look(self._alias)
        if look.collection is None:
            return Reading(target=None)
        return Reading(target=arm_of(self._targets, look.collection), epoch=look.epoch or 0, token=look)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`."""
        collection = self._collection(target)
        problem = self._store.problem(collection, approved_hash=approved_hash)
        if problem is not None:
            raise TargetRefused(f"{self.key}: collection {collection!r} {problem}; nothing was changed")

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`."""
        alias, collection = f"{self._alias}__rehearsal", self._collection(target)
        self._remove(alias)
        if self._store.look(alias).collection is not None:
            raise not_of_a_rehearsal(self.key, f"alias {alias!r}")
        # The token first: it names the alias's owner.
        self._store.create(token_name(alias, 0, secrets.token_hex(6)), collection)
        self._store.create(alias, collection)
        try:
            yield type(self)(kind=self._kind, store=self._store, alias=alias, targets=self._targets)
        finally:
            self._remove(alias)

    def _remove(self, alias: str) -> None:
        """Remove a rehearsal's alias, and no other: a rehearsal's has a token. The token last."""
        if not (tokens := self._store.look(alias).tokens):
            return
        self._store.drop(alias)
        for token in tokens:
            self._store.drop(token.name)

    def _collection(self, arm: str) -> str:
        return str(self._targets.get(arm, arm))


class SteppedAliasPointer(AliasPointer):
    """An alias whose epoch is compared before the write: the store knows no condition.

    ``token_follows``: whether the token moves to the live collection too, because the store refuses to drop a
    collection that has one, or drops the token with it.
    """

    fencing = EpochCheck.BEFORE_THE_WRITE
    token_follows: ClassVar[bool] = True
    _store: MovingStore

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        look: Look = self._raise(now.token, change.epoch)
        collection = self._collection(change.after)
        if not self._store.move(self._alias, collection):
            return False
        if self.token_follows and look.tokens:
            self._store.move(look.tokens[-1].name, collection)
        return True

    def _look_back(self) -> Reading:
        """See :class:`Pointer`. The alias alone: its tokens were looked at before the write."""
        collection = self._store.where(self._alias)
        return Reading(target=None if collection is None else arm_of(self._targets, collection))

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        look = self._raise(self._store.look(self._alias), epoch)
        for token in look.tokens[:-1]:
            self._store.drop(token.name)

    def _raise(self, look: Look, epoch: int) -> Look:
        """A token of this epoch, unless there is a newer one. Looks again: a token that cannot be read is none."""
        if look.collection is None or (look.epoch is not None and look.epoch >= epoch):
            return look
        name = token_name(self._alias, epoch)
        self._store.create(name, look.collection)
        found = self._store.look(self._alias)
        if found.collection is not None and (found.epoch is None or found.epoch < epoch):
            raise BadInput(
                f"{self.key}: made the alias {name!r} and does not see it; needed: the right to list the aliases"
                f" {self._alias}*; the pointer was not moved"
            )
        return found


def token_name(alias: str, epoch: int, nonce: str = "") -> str:
    """The token's own name: letters, digits and underscores are all that it adds."""
    return f"{alias}__epoch_{epoch}" + (f"_{nonce}" if nonce else "")


def tokens_of(alias: str, names: Iterable[str]) -> tuple[Token, ...]:
    """The alias's tokens among these names, the newest last."""
    pattern = re.compile(re.escape(alias) + r"__epoch_(\d+)(?:_([0-9a-f]+))?")
    found = [(name, match) for name in names if (match := pattern.fullmatch(name))]
    return tuple(sorted(Token(epoch=int(match[1]), nonce=match[2] or "", name=name) for name, match in found))


def hash_problem(where: str, found: Any, approved: str | None) -> str | None:
    """Why a collection's INDEX_HASH is not the approved one; ``None`` when it is, or when none is asked for."""
    if approved is None or found == approved:
        return None
    return f"has INDEX_HASH {found or 'none'} (its {where}), approved is {approved}"


def is_collection(kind: str, place: str, name: str) -> BadInput:
    """The error for an alias that is a collection."""
    return BadInput(
        f"{kind}:{place}/{name}: is a collection; allowed: an alias on one of the arms' collections;"
        " choose another alias name and let readers query it"
    )

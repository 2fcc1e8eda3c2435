"""What every store of a fence can do. Each verb is atomic per key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from switchover.fence.key import FenceKey

TABLE = "switchover_effects"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One attempt at an effect. ``token`` is this attempt's own; ``payload``: its JSON, ``None`` if not kept."""

    key: FenceKey
    token: str
    holder: str
    lease_s: float
    digest: str
    payload: str | None


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a store holds under a key: *pending* until ``lease_until``, or *done* with its receipt (JSON)."""

    key: str
    token: str
    holder: str
    attempt: int
    lease_until: datetime
    digest: str
    payload: str | None
    done: bool
    receipt: str | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """An effect that has happened: what ``mark_done`` writes if ``token`` still holds the key."""

    key: str
    token: str
    receipt: str
    ttl_s: float


class Store(Protocol):
    """Where keys are held; ``place`` names it in messages, without credentials;
    ``in_transaction``: it is part of a transaction that the caller ends.

    Every verb may be repeated with the same tokens and then changes nothing more. ``Unreachable``: no answer,
    it may have acted. ``BadInput``: an absent table, a missing right.
    """

    place: str
    in_transaction: bool

    def joined(self, connection: Any) -> Store:
        """This store inside the caller's transaction. ``BadInput`` where that cannot be."""
        ...

    def claim(self, claims: Sequence[Claim]) -> list[Held]:
        """Set each key pending if it is absent, or if it is pending, out of lease and has the same payload.

        Keys differ. Returns what each holds afterwards; the claim whose token is there was granted.
        """
        ...

    def mark_done(self, effects: Sequence[Done]) -> Collection[str]:
        """Record receipts. Returns the keys whose token was still the holder; the others are left alone."""
        ...

    def release(self, attempts: Sequence[tuple[str, str]]) -> None:
        """Give up pending (key, token): a first attempt is forgotten, a later one loses its lease at once."""
        ...

    def read(self, keys: Sequence[str]) -> list[Held]:
        """What the keys hold; an absent key is left out."""
        ...

    def purge(self) -> int:
        """Delete done keys whose time to live is over, never a pending one. Returns how many."""
        ...

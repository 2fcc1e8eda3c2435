"""What a poison canary found. Asking is ``arms/cache_canary``'s; what it means is ``rules/cache_poison``'s."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Canary:
    """One question that nobody has asked before, asked of the role ``seeded`` and then of the role ``asked``.

    ``cached``: the cache of ``seeded`` had it when it was asked again. ``served``: ``asked`` gave the answer that
    was cached for ``seeded``. ``error``: why one of the two did not answer.
    """

    seeded: str
    asked: str
    cached: bool
    served: bool
    error: str = ""

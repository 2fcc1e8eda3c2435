"""The namespace of an arm's cached answers: the pins that decide what an answer is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from switchover.errors import BadInput
from switchover.pins import digest

CACHE_PINS = ("INDEX_HASH", "PROMPT_VER", "MODEL_VER", "RERANK_CONF")


@dataclass(frozen=True, kw_only=True)
class CacheNamespace:
    """Made once a request, from the manifest that the request was resolved to; ``id`` is 16 hex digits."""

    id: str

    @classmethod
    def of(cls, pins: Mapping[str, str]) -> CacheNamespace:
        """The namespace of an arm with these pins. ``BadInput`` when one of ``CACHE_PINS`` is missing."""
        missing = [name for name in CACHE_PINS if not pins.get(name)]
        if missing:
            raise BadInput(f"cache namespace: pins without {', '.join(missing)}; needed: {', '.join(CACHE_PINS)}")
        return cls(id=digest({name: pins[name] for name in CACHE_PINS})[:16])

    def key(self, kind: str, **parts: Any) -> str:
        """The key of one entry: ``<namespace>:<kind>:<digest of the parts>``; ``parts`` are JSON values."""
        return f"{self.id}:{kind}:{digest(parts)[:40]}"

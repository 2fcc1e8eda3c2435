"""A cache of two layers, this process's memory before a Redis or Valkey that all share; async, single flight.

A cache never fails a request: when the shared layer is away, it is left out for a second at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cachetools import TTLCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from switchover.cache.namespace import CacheNamespace

Source = Literal["memory", "shared", "filled"]
Fill = Callable[[], Awaitable[Any]]

_AWAY_S = 1.0  # how long a shared layer that failed is left out
_LOOK_S = 0.02  # between two looks for an entry that another process is filling
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a look gave: the value, and where it came from. Each caller has a value of its own."""

    value: Any
    source: Source


class Cache:
    """JSON values by namespace and key."""

    def __init__(
        self,
        *,
        shared: Redis | None = None,
        prefix: str = "switchover:cache:",
        ttl_s: float = 3600.0,
        memory_bytes: int = 32 << 20,
        memory_ttl_s: float = 60.0,
        fill_s: float = 10.0,
    ) -> None:
        """``shared``: redis-py's asyncio client; give it short time-outs. ``ttl_s``, ``memory_ttl_s``: seconds that an
        entry lives in the shared layer and in memory. ``fill_s``: longer than a fill takes; a process that died while
        it filled holds up the others that long.
        """
        self._shared = shared
        self._prefix = prefix
        self._ttl_ms = round(ttl_s * 1000)
        self._fill_ms = round(fill_s * 1000)
        self._memory: TTLCache[str, str] = TTLCache(maxsize=memory_bytes, ttl=memory_ttl_s, getsizeof=len)
        self._filling: dict[str, asyncio.Task[tuple[str, Source]]] = {}
        self._away_until = 0.0
        self.counts: Counter[str] = Counter()

    async def get_or_fill(
        self,
        namespace: CacheNamespace,
        kind: str,
        parts: Mapping[str, Any],
        fill: Fill,
        *,
        keep: Callable[[Any], bool] = lambda value: True,
    ) -> Entry:
        """The entry of these ``parts`` in the namespace; without one, what ``fill`` returns (a JSON value), asked once.

        Many callers at once, in this process or in several, wait for one fill. What ``fill`` raises they all get, and
        nothing is kept; nor is a value that ``keep`` refuses.
        """
        key = namespace.key(kind, **parts)
        known: str | None = self._memory.get(key)
        if known is not None:
            self.counts["memory"] += 1
            return Entry(value=json.loads(known), source="memory")
        task = self._filling.get(key)
        if task is None:
            task = self._filling[key] = asyncio.create_task(self._load(namespace, key, fill, keep))
            task.add_done_callback(lambda ended: self._filled(key, ended))
        text, source = await asyncio.shield(task)  # the first asker may go away; the others still wait
        self.counts[source] += 1
        return Entry(value=json.loads(text), source=source)

    async def _load(
        self, namespace: CacheNamespace, key: str, fill: Fill, keep: Callable[[Any], bool]
    ) -> tuple[str, Source]:
        """From the shared layer, or by the one fill of all processes."""
        token = secrets.token_hex(8)
        lock = f"{self._prefix}{key}:filling"
        deadline = time.monotonic() + self._fill_ms / 1000
        mine = False
        while time.monotonic() < deadline:
            text = await self._read(namespace, key)
            if text is not None:
                self._remember(key, text)
                return text, "shared"
            locked = await self._ask(lambda client: client.set(lock, token, nx=True, px=self._fill_ms))
            mine = locked is True
            if mine or not self._shared_answers:
                break
            await asyncio.sleep(_LOOK_S)
        try:
            value = await fill()
            text = json.dumps(value)
            if keep(value):
                await self._write(namespace, key, text)
            return text, "filled"
        finally:
            if mine:
                await self._ask(lambda client: client.eval(_UNLOCK, 1, lock, token))

    async def _read(self, namespace: CacheNamespace, key: str) -> str | None:
        """The shared entry, unless it was written under another namespace, wherever it lies now."""
        raw = await self._ask(lambda client: client.get(self._prefix + key))
        if raw is None:
            return None
        with contextlib.suppress(ValueError):
            owner, _, text = (raw.decode() if isinstance(raw, bytes) else str(raw)).partition("\n")
            if owner == namespace.id:
                json.loads(text)
                return text
        self.counts["refused"] += 1
        return None

    async def _write(self, namespace: CacheNamespace, key: str, text: str) -> None:
        self._remember(key, text)
        await self._ask(lambda client: client.set(self._prefix + key, f"{namespace.id}\n{text}", px=self._ttl_ms))

    def _remember(self, key: str, text: str) -> None:
        with contextlib.suppress(ValueError):  # larger than the whole memory
            self._memory[key] = text

    def _filled(self, key: str, task: asyncio.Task[tuple[str, Source]]) -> None:
        self._filling.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    @property
    def _shared_answers(self) -> bool:
        return self._shared is not None and time.monotonic() >= self._away_until

    async def _ask(self, call: Callable[[Redis], Any]) -> Any:
        """One command to the shared layer; ``None`` when it is away."""
        if self._shared is None or not self._shared_answers:
            return None
        try:
            return await call(self._shared)
        except (RedisError, OSError):
            self._away_until = time.monotonic() + _AWAY_S
            self.counts["shared_away"] += 1
            return None

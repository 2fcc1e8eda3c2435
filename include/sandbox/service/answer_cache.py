"""The service's cache of answers: its memory, and the Redis of the connection ``docs_cache`` if there is one."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from redis.asyncio import Redis

from switchover.cache import CacheNamespace
from switchover.cache.layers import Cache
from switchover.edge.connection import Connection, parse_connection

CONNECTION = "docs_cache"
#: A value of X-Switchover-Probe: a probe that is answered as live traffic is. Any other goes past the cache.
THROUGH_CACHE = "cache"
_TIMEOUT_S = 0.25  # a cache that is slower than the answer is of no use


class AnswerCache:
    """Whole answers, each in the namespace of the arm that gave it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """From the connection in ``environ``; without one there is no shared layer."""
        text = environ.get(f"AIRFLOW_CONN_{CONNECTION.upper()}")
        found = parse_connection(CONNECTION, text) if text else None
        self._place = found.place if found else None
        self._client = _client(found) if found else None
        self._cache = Cache(shared=self._client)

    async def answer(
        self, namespace: CacheNamespace, asked: Mapping[str, Any], fill: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """The answer to what was ``asked``; its key ``cache`` says whether it was there."""
        began = time.perf_counter()
        entry = await self._cache.get_or_fill(namespace, "answer", asked, fill, keep=_is_whole)
        if entry.source == "filled":
            return {**entry.value, "cache": "miss"}
        total = round((time.perf_counter() - began) * 1000, 3)
        return {**entry.value, "cache": "hit", "stages_ms": {"total": total}, "tool_calls": []}

    def report(self, namespace: CacheNamespace) -> dict[str, Any]:
        """For ``/version``: the arm's namespace, where the shared layer is (``None``: nowhere), and the counts."""
        return {"namespace": namespace.id, "shared": self._place, "counts": dict(self._cache.counts)}

    async def close(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()


def _client(connection: Connection) -> Redis:
    return Redis(
        host=connection.host or "localhost",
        port=connection.port or 6379,
        username=connection.login or None,
        password=connection.password or None,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
    )


def _is_whole(answer: Mapping[str, Any]) -> bool:
    """Whether every hit is of the build that the answer names; a mixed answer must not be kept."""
    return all(hit["index_hash"] == answer["index_hash"] for hit in answer["hits"])

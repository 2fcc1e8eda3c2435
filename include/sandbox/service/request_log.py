"""Every request becomes one row of ``request_log``, written in batches behind the answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from datetime import datetime, timezone

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from switchover.text import first_line

FLUSH_S = 0.25
KEEP = 50_000  # rows that wait for a database that is away; the oldest go first
log = logging.getLogger(__name__)

_INSERT = """INSERT INTO request_log (arm, index_hash, kind, status, ms_retrieve, ms_rerank, ms_reason, ms_total,
    tool_calls, tool_loop, at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One request; the fields are in the order of the INSERT."""

    arm: str | None
    index_hash: str | None
    kind: str
    status: int
    ms_retrieve: float | None
    ms_rerank: float | None
    ms_reason: float | None
    ms_total: float | None
    tool_calls: int = 0
    tool_loop: bool = False
    at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


class RequestLog:
    """Collects entries and writes them every ``FLUSH_S`` seconds and at the end."""

    def __init__(self, *, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._waiting: deque[Entry] = deque(maxlen=KEEP)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(
        self,
        *,
        arm: str | None,
        index_hash: str | None,
        probe: bool,
        status: int,
        stages_ms: Mapping[str, float],
        tool_calls: int = 0,
    ) -> None:
        """Take one request down; costs microseconds."""
        self._waiting.append(
            Entry(
                arm=arm,
                index_hash=index_hash,
                kind="probe" if probe else "live",
                status=status,
                ms_retrieve=stages_ms.get("retrieve"),
                ms_rerank=stages_ms.get("rerank"),
                ms_reason=stages_ms.get("reason"),
                ms_total=stages_ms.get("total"),
                tool_calls=tool_calls,
            )
        )

    def start(self) -> None:
        """Begin to write in the background."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what is left, then end."""
        self._stop.set()
        if self._task:
            await self._task

    async def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        batch = list(self._waiting)
        if not batch:
            return
        self._waiting.clear()
        try:
            async with self._pool.connection() as conn, conn.transaction(), conn.cursor() as cursor:
                await cursor.executemany(_INSERT, [astuple(entry) for entry in batch])
        except (psycopg.Error, PoolTimeout) as error:
            self._waiting.extendleft(reversed(batch))
            log.warning("request log: %d rows wait: %s", len(batch), first_line(error))

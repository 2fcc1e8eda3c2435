"""Constant writes on the sandbox's writer: one after the other, each repeated until it is taken in."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx

RATE = 4.0  # writes a second
KEYS = 8
PAUSE_S = 0.3
TAKEN = (200, 202)


class WriteLoad:
    """Writes ``berth-0`` to ``berth-7`` in turn, with growing revisions."""

    def __init__(self, *, client: httpx.AsyncClient) -> None:
        self._client = client
        self.accepted: dict[str, int] = {}
        self.queued = self.waited = self.refused = 0

    def counts(self) -> dict[str, Any]:
        """``accepted``: key → its last revision that was taken in. ``waited``: how often it was told to come again."""
        return {
            "accepted": self.accepted,
            "queued": self.queued,
            "waited": self.waited,
            "refused": self.refused,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Write until ``stop``; the write under way is not given up before it is taken in or refused."""
        loop = asyncio.get_running_loop()
        began, count = loop.time(), 0
        while not stop.is_set():
            key, revision = f"berth-{count % KEYS}", count // KEYS + 1
            await self._write(key, revision)
            count += 1
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, began + count / RATE - loop.time()))

    async def _write(self, key: str, revision: int) -> None:
        body = {"key": key, "revision": revision, "text": f"{key}, entry {revision}: a barge with gravel moored."}
        while True:
            pause = PAUSE_S
            try:
                response = await self._client.post("/write", json=body)
                if response.status_code in TAKEN:
                    self.queued += response.status_code == httpx.codes.ACCEPTED
                    self.accepted[key] = revision
                    return
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    self.refused += 1
                    return
                self.waited += 1
                pause = float(response.headers.get("Retry-After", PAUSE_S))
            except httpx.TransportError:
                pass  # whether it was taken in is not known: the same key and revision once more
            await asyncio.sleep(pause)

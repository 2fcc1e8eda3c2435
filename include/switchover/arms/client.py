"""Asking an arm: one HTTP call a question, and what it reports of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace

import httpx

from switchover.arms.spec import Arm
from switchover.edge.answers import Reply, Report, reply_of, report_of, storable
from switchover.edge.body import BadAnswer, read_json
from switchover.edge.web import bounded
from switchover.errors import Unreachable

PROBE = "X-Switchover-Probe"


class ArmClient:
    """One arm behind an httpx client."""

    def __init__(self, *, client: httpx.AsyncClient, name: str, spec: Arm, timeout_s: float) -> None:
        self._client = bounded(client)
        self._spec = spec
        self._timeout = timeout_s
        self.name = name

    async def ask(self, text: str, *, seed: int, k: int, through_cache: bool = False) -> Reply:
        """Ask one question. Never raises for what the arm does: a failure is a reply.

        A probe goes past the arm's cache, or what is measured is the cache; ``through_cache`` does not.
        """
        body = {"question": text, "seed": seed, "k": k}
        headers = {**self._spec.headers, PROBE: "cache" if through_cache else "1"}
        began = time.perf_counter()
        try:
            response = await self._client.post(self._spec.ask, json=body, headers=headers, timeout=self._timeout)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return Reply(status=0, error=storable(f"{type(error).__name__}: {error}")[:200])
        elapsed = (time.perf_counter() - began) * 1000
        if response.status_code != httpx.codes.OK:
            return Reply(status=response.status_code, error=f"HTTP {response.status_code}", said=_said(response))
        return self._read(response, elapsed)

    def _read(self, response: httpx.Response, elapsed_ms: float) -> Reply:
        failed = Reply(status=response.status_code)
        try:
            reply = reply_of(read_json(response), status=response.status_code, elapsed_ms=elapsed_ms)
        except BadAnswer as error:
            return replace(failed, error=str(error)[:200], said=_said(response))
        if reply.arm != self.name:
            return replace(failed, error=f"asked {self.name!r}, answered by {reply.arm!r}"[:200], foreign=True)
        mixed = sorted({hit["index_hash"] for hit in reply.hits if "index_hash" in hit} - {reply.index_hash})
        if mixed:
            return replace(failed, error=f"mixed answer: hits from {', '.join(mixed)}"[:200], foreign=True)
        return reply

    def report(self) -> Report:
        """What the arm says it is. Raises ``Unreachable``."""
        return asyncio.run(self.report_async())

    async def report_async(self) -> Report:
        """See :meth:`report`."""
        return await read_report(self._client, self._spec.version, name=self.name, headers=self._spec.headers)


async def read_report(
    client: httpx.AsyncClient, path: str, *, name: str, headers: Mapping[str, str] | None = None
) -> Report:
    """Ask ``path`` what is served there. Raises ``Unreachable`` with the place and the reason."""
    what = f"{name}: GET {client.base_url.host}:{client.base_url.port or ''}{path}"
    try:
        response = await bounded(client).get(path, headers=dict(headers or {}))
        response.raise_for_status()
        return report_of(read_json(response))
    except httpx.HTTPStatusError as error:
        raise Unreachable(f"{what}: answered {error.response.status_code}") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unreachable(f"{what}: did not answer: {type(error).__name__}: {error}"[:300]) from error
    except BadAnswer as error:
        raise Unreachable(f"{what}: answer cannot be read: {error}"[:300]) from error


def _said(response: httpx.Response) -> str:
    """The first line of an answer that is none, for people."""
    lines = response.content[:500].decode(errors="replace").split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    return storable("".join(each if each.isprintable() else " " for each in first))[:120]

"""Asking an arm: one HTTP call a question, and what it reports of itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from switchover.errors import Unreachable
from switchover.plan import Arm

PROBE = "X-Switchover-Probe"
STAGES = ("retrieve", "rerank", "reason", "total")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an arm answered, or why it did not. ``status`` is the HTTP status, 0 without any answer.

    ``stages_ms`` are the arm's own figures; ``total`` falls back to the time seen from here. ``cache``: ``hit``,
    ``miss`` or ``off``, if the arm says. ``foreign``: the answer was another arm's, wholly or in part.
    """

    status: int
    error: str | None = None
    arm: str | None = None
    index_hash: str | None = None
    cited: str | None = None
    hits: Sequence[Mapping[str, Any]] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    tool_calls: Sequence[Mapping[str, Any]] = ()
    cache: str | None = None
    foreign: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is an answer to measure."""
        return self.error is None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an arm, or a live reader, says it is."""

    arm: str
    pins: Mapping[str, str]
    encoder: Mapping[str, Any]
    secrets: Mapping[str, bool]
    count: int | None
    cache_namespace: str | None = None

    @property
    def index_hash(self) -> str:
        """The INDEX_HASH that is served."""
        return self.pins.get("INDEX_HASH", "")


class ArmClient:
    """One arm behind an httpx client."""

    def __init__(self, *, client: httpx.AsyncClient, name: str, spec: Arm, timeout_s: float) -> None:
        self._client = client
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
        except httpx.TransportError as error:
            return Reply(status=0, error=f"{type(error).__name__}: {error}"[:200])
        elapsed = (time.perf_counter() - began) * 1000
        if response.status_code != httpx.codes.OK:
            return Reply(status=response.status_code, error=f"HTTP {response.status_code}")
        return self._read(response, elapsed)

    def _read(self, response: httpx.Response, elapsed_ms: float) -> Reply:
        try:
            body = response.json()
            reply = Reply(
                status=response.status_code,
                arm=str(body["arm"]),
                index_hash=str(body["index_hash"]),
                cited=body.get("cited"),
                hits=list(body["hits"]),
                stages_ms={"total": elapsed_ms, **{k: float(v) for k, v in body.get("stages_ms", {}).items()}},
                tool_calls=list(body.get("tool_calls", [])),
                cache=body.get("cache"),
            )
        except (ValueError, KeyError, TypeError) as error:
            return Reply(status=response.status_code, error=f"answer without {error}"[:200])
        if reply.arm != self.name:
            return Reply(
                status=response.status_code, error=f"asked {self.name!r}, answered by {reply.arm!r}", foreign=True
            )
        mixed = sorted({str(hit.get("index_hash")) for hit in reply.hits} - {str(reply.index_hash)})
        if mixed:
            return Reply(status=response.status_code, error=f"mixed answer: hits from {', '.join(mixed)}", foreign=True)
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
        response = await client.get(path, headers=dict(headers or {}))
        response.raise_for_status()
        body = response.json()
        return Report(
            arm=str(body["arm"]),
            pins={str(k): str(v) for k, v in body["pins"].items()},
            encoder=dict(body.get("encoder", {})),
            secrets={str(k): bool(v) for k, v in body.get("secrets", {}).items()},
            count=body.get("count"),
            cache_namespace=dict(body.get("cache") or {}).get("namespace"),
        )
    except httpx.HTTPStatusError as error:
        raise Unreachable(f"{what}: answered {error.response.status_code}") from error
    except httpx.TransportError as error:
        raise Unreachable(f"{what}: did not answer: {type(error).__name__}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"{what}: answer cannot be read: lacks {error}") from error

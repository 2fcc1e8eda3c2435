"""Asking an arm: one question at a time, and what it reports of itself."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from switchover.arms.shape import Call, Shape
from switchover.arms.spec import Arm, Asking, Reader
from switchover.edge import web
from switchover.edge.answers import Reply, Report
from switchover.edge.body import BadAnswer, parse_json, read_json
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.edge.fields import Fields, storable
from switchover.edge.functions import function_of
from switchover.edge.paths import compile_path
from switchover.edge.web import bounded
from switchover.errors import Unreachable
from switchover.text import first_line

T = TypeVar("T")
PROBE = "X-Switchover-Probe"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What trial questions brought. ``silent``: the plan's paths that found nothing in any answer.

    ``answers``: the JSON that the replies were read from.
    """

    replies: Sequence[Reply]
    silent: Sequence[str]
    answers: Sequence[Any] = ()

    @property
    def error(self) -> str:
        """Why the arm's answers cannot be read as the plan says; empty when they can."""
        if self.silent:
            return (
                f"{'; '.join(self.silent)}: found nothing in {len(self.replies)} trial answers;"
                " is the path misspelt? allowed: paths that find something, or none"
            )
        failed = [reply.error for reply in self.replies if reply.error and 200 <= reply.status < 300]
        if failed:
            return failed[0]
        answered = [reply for reply in self.replies if reply.ok]
        if answered and not any(reply.hits for reply in answered):
            return f"no hit came for {len(answered)} trial questions: whether they can be measured is not known"
        return ""


class ArmClient:
    """One arm behind an httpx client. ``connection`` is what a plan's function is given to ask with."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        name: str,
        spec: Arm,
        timeout_s: float,
        asking: Asking | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._client = bounded(client)
        self._timeout = timeout_s
        self._connection = connection
        self.shape = Shape.of(name, spec, asking)
        self._function = function_of(self.shape.function, key="asking.function") if self.shape.function else None
        self.name = name

    async def ask(self, text: str, *, seed: int, k: int, through_cache: bool = False) -> Reply:
        """Ask one question. Never raises for what the arm does: a failure is a reply.

        A probe goes past the arm's cache, or what is measured is the cache; ``through_cache`` does not.
        """
        return (await self._ask(text, seed, k, "cache" if through_cache else "1"))[0]

    async def trial(self, questions: Sequence[str], *, k: int) -> Trial:
        """Ask some questions to see whether the plan's paths find something. Never raises for what the arm does."""
        found = [await self._ask(question, 0, k, "1") for question in questions]
        answers = [answer for _, answer in found if answer is not None]
        try:
            silent = self.shape.silent(answers) if answers else []
        except BadAnswer as error:
            silent = [str(error)]
        return Trial(replies=[reply for reply, _ in found], silent=silent, answers=answers)

    async def _ask(self, text: str, seed: int, k: int, probe: str) -> tuple[Reply, Any]:
        """The reply, and the JSON that it was read from, if there was any."""
        began = time.perf_counter()
        answer: Any = None
        status, said = 0, ""
        try:
            if self._function is not None:
                status, answer = 200, await self._call(self._function, text, seed, k)
            else:
                response = await self._send(self.shape.call(text, seed=seed, k=k), probe, self._timeout)
                status, said = response.status_code, _said(response)
                answer = self.shape.parse(response.content)
                if self.shape.poll is not None:
                    answer = await self._wait(answer, probe, began + self._timeout)
            elapsed = (time.perf_counter() - began) * 1000
            return self._checked(self.shape.reply(answer, status=status, elapsed_ms=elapsed)), answer
        except _Refused as error:
            return error.reply, None
        except BadAnswer as error:
            return Reply(status=status, error=storable(str(error))[:200], said=said), answer

    async def _send(self, call: Call, probe: str, seconds: float) -> httpx.Response:
        try:
            response = await self._client.request(
                call.method,
                call.url,
                headers={**call.headers, PROBE: probe},
                params=dict(call.params) or None,
                json=call.json,
                timeout=seconds,
            )
        except (httpx.TransportError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise _Refused(
                Reply(status=0, error=storable(f"{type(error).__name__}: {first_line(error)}")[:200])
            ) from None
        if not response.is_success:
            told = "; redirects are not followed" if response.is_redirect else ""
            status = response.status_code
            raise _Refused(Reply(status=status, error=f"HTTP {status}{told}", said=_said(response)))
        return response

    async def _wait(self, first: Any, probe: str, until: float) -> Any:
        """The answer of a job, once it is done."""
        assert self.shape.poll is not None
        call = self.shape.job_call(first)
        while True:
            left = until - time.perf_counter()
            if left <= 0:
                raise _Refused(Reply(status=0, error=f"the job was not done within {self._timeout:g} s"))
            answer = self.shape.parse((await self._send(call, probe, left)).content)
            if self.shape.done(answer):
                return answer
            await asyncio.sleep(min(self.shape.poll.every_s, max(0.0, until - time.perf_counter())))

    async def _call(self, function: Callable[..., Any], text: str, seed: int, k: int) -> Any:
        """What the plan's function answers, as plain JSON."""
        words = {"k": k, "seed": seed, "arm": self.name, "connection": self._connection}
        try:
            given = await asyncio.wait_for(_called(function, text, words), self._timeout)
            return parse_json(json.dumps(given).encode())
        except (asyncio.TimeoutError, TimeoutError):
            raise _Refused(Reply(status=0, error=f"no whole answer within {self._timeout:g} s")) from None
        except BadAnswer:
            raise
        except Exception as error:  # noqa: BLE001  (whatever somebody's function raises is a failed probe)
            told = f"{self.shape.function}: {type(error).__name__}: {first_line(error)}"
            raise _Refused(Reply(status=0, error=storable(told)[:200])) from None

    def _checked(self, reply: Reply) -> Reply:
        """The reply, unless it is another arm's, wholly or in part."""
        if reply.arm is not None and reply.arm != self.name:
            told = f"asked {self.name!r}, answered by {reply.arm!r}"
            return Reply(status=reply.status, error=told[:200], foreign=True)
        builds = {hit.index_hash for hit in reply.hits if hit.index_hash is not None}
        if builds - {reply.index_hash} and (reply.index_hash is not None or len(builds) > 1):
            told = f"mixed answer: hits from {', '.join(sorted(builds - {reply.index_hash}))}"
            return Reply(status=reply.status, error=told[:200], foreign=True)
        return reply

    async def ready(self, path: str, *, arm: str) -> Reply:
        """Whether the service says at ``path`` that this arm is ready: a reply that is ok, or says why not.

        Never raises for what the arm does.
        """
        try:
            response = await self._send(self.shape.ready_call(path, arm), "1", self._timeout)
        except _Refused as error:
            return error.reply
        return Reply(status=response.status_code)

    def report(self) -> Report:
        """What the arm says it is. Raises ``Unreachable``."""
        return asyncio.run(self.report_async())

    async def report_async(self) -> Report:
        """See :meth:`report`. An arm that is not asked what it is says nothing."""
        call = self.shape.report_call()
        if call is None:
            return Report()
        return await _read(self._client, call.url, self.name, call.headers, self.shape.report)


@contextlib.asynccontextmanager
async def open_arm(
    edge: Edge, name: str, spec: Arm, *, asking: Asking | None, timeout_s: float
) -> AsyncIterator[ArmClient]:
    """The client of one arm, open for the block."""
    shape = Shape.of(name, spec, asking)
    if shape.function is not None:
        async with web.async_client() as client:
            connection = edge.any_connection(spec.connection)
            yield ArmClient(
                client=client, name=name, spec=spec, asking=asking, timeout_s=timeout_s, connection=connection
            )
        return
    async with web.async_client(**edge.arm_options(spec.connection)) as client:
        yield ArmClient(client=client, name=name, spec=spec, asking=asking, timeout_s=timeout_s)


@dataclass(frozen=True, kw_only=True)
class Served:
    """The arm that a reader serves now, and of which build; ``None``: the reader cannot say."""

    arm: str
    index_hash: str | None


async def read_reader(client: httpx.AsyncClient, reader: Reader, *, headers: Mapping[str, str] | None = None) -> Served:
    """Ask a reader what it serves now. Raises ``Unreachable`` with the place and the reason."""
    paths = {"arm": reader.arm} | ({"INDEX_HASH": reader.index_hash} if reader.index_hash is not None else {})
    find = {name: compile_path(path) for name, path in paths.items()}

    def read(body: Any) -> Served:
        said = Fields({name: found(body) for name, found in find.items()}, paths=paths)
        return Served(arm=said.id("arm"), index_hash=said.id("INDEX_HASH") if "INDEX_HASH" in paths else None)

    return await _read(client, reader.path, reader.name, headers or {}, read)


async def _read(
    client: httpx.AsyncClient, path: str, name: str, headers: Mapping[str, str], read: Callable[[Any], T]
) -> T:
    """What ``read`` makes of the JSON at ``path``. Raises ``Unreachable``."""
    what = f"{name}: GET {client.base_url.host}:{client.base_url.port or ''}{path}"
    try:
        response = await bounded(client).get(path, headers=dict(headers))
        response.raise_for_status()
        return read(read_json(response))
    except httpx.HTTPStatusError as error:
        raise Unreachable(f"{what}: answered {error.response.status_code}") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unreachable(f"{what}: did not answer: {type(error).__name__}: {error}"[:300]) from error
    except BadAnswer as error:
        raise Unreachable(f"{what}: answer cannot be read: {error}"[:300]) from error


class _Refused(Exception):
    """There is no answer; ``reply`` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.error)
        self.reply = reply


async def _called(function: Callable[..., Any], text: str, words: Mapping[str, Any]) -> Any:
    """What a function returns that is async, or is not and must not block the loop."""
    if inspect.iscoroutinefunction(function):
        return await function(text, **words)
    found = await asyncio.to_thread(function, text, **words)
    return await found if inspect.isawaitable(found) else found


def _said(response: httpx.Response) -> str:
    """The first line of an answer that is none, for people."""
    lines = response.content[:500].decode(errors="replace").split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    return storable("".join(each if each.isprintable() else " " for each in first))[:120]

"""The sandbox's retrieval service: ``python -m sandbox.service.service --host 127.0.0.1 --port 8100``.

Environment: DOCS_DB_URL (libpq URL of the retrieval database), DOCS_PLAN (the plan whose pointer is resolved at
the start of each request; see ``sandbox.service.live``), DOCS_SERVICE_TOKEN (a secret whose presence is reported, never
its value), AIRFLOW_CONN_DOCS_CACHE (where answers are cached for all processes; without it each caches its own).
``--arm docs_v1`` serves that arm alone and asks no pointer: it stands behind a load balancer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Literal

import psycopg
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import BaseModel, ConfigDict, Field

from sandbox.service import ranking
from sandbox.service.answer_cache import THROUGH_CACHE, AnswerCache
from sandbox.service.live import Live, live_from
from sandbox.service.metrics import Metrics
from sandbox.service.opensearch import OpenSearchStore
from sandbox.service.reader import Arm, NoArm, NotServing, Reader, own_pins
from sandbox.service.request_log import RequestLog
from sandbox.service.store import PgStore, configure
from sandbox.writers.notify import add_canary
from switchover.cache import CacheNamespace
from switchover.errors import SwitchoverError
from switchover.text import first_line

READY_QUESTION = "What does the nonlocal statement do?"
_ERROR_EVERY = 20  # the fault ``errors`` fails 5 % of the requests
_ONE_FOR_ALL = CacheNamespace(id="")  # the fault ``one-cache``: keys that forget the arm
_LOOPBACK = ("127.0.0.1", "::1")
# Longer than a proxy or a client keeps an idle connection: whoever sends the next request must be the one who
# closes, or a request meets a connection that is just being closed.
_KEEP_ALIVE_S = 120

ArmName = Annotated[str | None, Header(alias="X-Switchover-Arm")]
Probe = Annotated[str | None, Header(alias="X-Switchover-Probe")]


class Ask(BaseModel):
    """The body of ``/ask`` and ``/retrieve``. ``seed`` is accepted and changes nothing."""

    model_config = ConfigDict(extra="forbid")
    question: Annotated[str, Field(min_length=1, max_length=2000)]
    seed: int = 0
    k: Annotated[int, Field(ge=1, le=ranking.CANDIDATES)] = ranking.TOP_K


class Fault(BaseModel):
    """The body of ``/sandbox/fault``."""

    model_config = ConfigDict(extra="forbid")
    target: str
    kind: Literal["rerank-inverted", "errors", "one-cache", "copied-example", "none"]


class Injected(Exception):
    """The fault ``errors`` fails this request (500)."""


class Service:
    """The endpoints over one pool."""

    def __init__(self, *, pool: AsyncConnectionPool, live: Live, only: str | None) -> None:
        self.pool = pool
        store = PgStore(pool=pool) if live.search is None else OpenSearchStore(client=live.search)
        self.reader = Reader(store=store, live=live, only=only)
        self.log = RequestLog(pool=pool)
        self.metrics = Metrics()
        self.cache = AnswerCache()
        self._faults: dict[str, str] = {}
        self._requests: Counter[str] = Counter()

    async def ask(self, body: Ask, arm_name: ArmName = None, probe: Probe = None) -> JSONResponse:
        """``POST /ask``: a cited answer. Probes measure the arm, so they go past the cache unless they ask for it."""
        past = probe is not None and probe != THROUGH_CACHE
        return await self._serve(body, arm_name, probe, self._answer if past else self._cached)

    async def retrieve(self, body: Ask, arm_name: ArmName = None, probe: Probe = None) -> JSONResponse:
        """``POST /retrieve``: the hits alone."""
        return await self._serve(body, arm_name, probe, self._hits)

    async def version(self, arm_name: ArmName = None) -> JSONResponse:
        """``GET /version``: what the arm is, as this process runs it."""
        arm = await self.reader.resolve(arm_name)
        return JSONResponse(
            {
                "arm": arm.manifest.target,
                "pins": own_pins(arm),
                "encoder": {
                    **arm.manifest.encoder,
                    "name": arm.encoder.name,
                    "revision": arm.encoder.revision,
                    "dimension": arm.encoder.dimension,
                },
                "secrets": _secrets(arm),
                "count": await self.reader.count(arm),
                "cache": self.cache.report(arm.namespace),
            }
        )

    async def ready(self, arm_name: ArmName = None) -> JSONResponse:
        """``GET /healthz/ready``: 200 only with secrets, index and one gold question answered."""
        reasons: list[str] = []
        target, cited = arm_name, None
        try:
            arm = await self.reader.resolve(arm_name)
            target = arm.manifest.target
            reasons += [f"secret {name} is not set" for name, there in _secrets(arm).items() if not there]
            if not await self.reader.count(arm):
                reasons.append(f"index {target!r} is absent or empty")
            else:
                found = await self.reader.find(arm, READY_QUESTION, k=ranking.TOP_K, began=time.perf_counter())
                cited = self.reader.reason(arm, READY_QUESTION, found)[0].cited
                if cited is None:
                    reasons.append("the gold question was not answered")
        except (NoArm, NotServing, SwitchoverError, psycopg.Error, PoolTimeout) as error:
            reasons.append(first_line(error))
        state = {"ready": not reasons, "arm": target, "cited": cited, "reasons": reasons}
        return JSONResponse(state, status_code=503 if reasons else 200)

    async def fault(self, body: Fault, request: Request) -> JSONResponse:
        """``POST /sandbox/fault``: let one arm go bad, from this machine only."""
        if request.client is None or request.client.host not in _LOOPBACK:
            raise HTTPException(403, "the fault switch answers to this machine only")
        self._faults[body.target] = body.kind
        self._requests[body.target] = 0
        return JSONResponse({"target": body.target, "kind": body.kind})

    async def _serve(
        self,
        body: Ask,
        arm_name: str | None,
        probe: str | None,
        respond: Callable[[Arm, Ask, float], Awaitable[dict[str, Any]]],
    ) -> JSONResponse:
        """Resolve once, answer, and log the request whatever became of it."""
        began = time.perf_counter()
        arm: Arm | None = None
        status = 500
        content: dict[str, Any] = {}
        try:
            arm = await self.reader.resolve(arm_name)
            self._maybe_fail(arm)
            content = await respond(arm, body, began)
            status = 200
        except (NoArm, NotServing, Injected, SwitchoverError, psycopg.Error, PoolTimeout) as error:
            status, content = _status(error), {"detail": first_line(error)}
        finally:
            target, stages_ms = arm.manifest.target if arm else None, content.get("stages_ms")
            stages_ms = stages_ms or {"total": (time.perf_counter() - began) * 1000}
            self.log.add(
                arm=target,
                index_hash=arm.index_hash if arm else None,
                probe=probe is not None,
                status=status,
                stages_ms=stages_ms,
                tool_calls=len(content.get("tool_calls", ())),
            )
            self.metrics.served(arm=target, probe=probe is not None, status=status, stages_ms=stages_ms)
        return JSONResponse(content, status_code=status)

    async def _cached(self, arm: Arm, body: Ask, began: float) -> dict[str, Any]:
        if self._inverted(arm):
            return await self._answer(arm, body, began)
        asked = {"question": body.question, "k": body.k}
        namespace = _ONE_FOR_ALL if self._faults.get(arm.manifest.target) == "one-cache" else arm.namespace
        answer = await self.cache.answer(namespace, asked, lambda: self._answer(arm, body, began))
        return {**answer, "arm": arm.manifest.target}  # two arms of one build share its answers

    async def _answer(self, arm: Arm, body: Ask, began: float) -> dict[str, Any]:
        found = await self.reader.find(arm, body.question, k=body.k, began=began, inverted=self._inverted(arm))
        copying = self._faults.get(arm.manifest.target) == "copied-example"
        reply, stages = self.reader.reason(arm, body.question, found, copying=copying)
        answer = ranking.answer(
            target=arm.manifest.target,
            index_hash=arm.index_hash,
            question=body.question,
            k=body.k,
            hits=found.hits,
            reply=reply,
            stages_ms=stages,
        )
        return {**answer, "cache": "off"}

    async def _hits(self, arm: Arm, body: Ask, began: float) -> dict[str, Any]:
        found = await self.reader.find(arm, body.question, k=body.k, began=began, inverted=self._inverted(arm))
        whole = ranking.answer(
            target=arm.manifest.target,
            index_hash=arm.index_hash,
            question=body.question,
            k=body.k,
            hits=found.hits,
            reply=ranking.Reply(text="", cited=None),
            stages_ms={**found.stages_ms, "total": (time.perf_counter() - began) * 1000},
        )
        return {key: whole[key] for key in ("arm", "index_hash", "hits", "stages_ms", "tool_calls")}

    def _inverted(self, arm: Arm) -> bool:
        return self._faults.get(arm.manifest.target) == "rerank-inverted"

    def _maybe_fail(self, arm: Arm) -> None:
        target = arm.manifest.target
        self._requests[target] += 1
        if self._faults.get(target) == "errors" and self._requests[target] % _ERROR_EVERY == 0:
            raise Injected(f"arm {target!r}: injected fault")


def create_app(*, db_url: str, live: Live | None = None, only: str | None = None) -> FastAPI:
    """The service as an ASGI application; ``live`` and ``only`` as in :class:`Reader`."""
    pool = AsyncConnectionPool(
        db_url,
        min_size=2,
        max_size=8,
        open=False,
        timeout=3,
        configure=configure,
        kwargs={"autocommit": True, "connect_timeout": 3, "application_name": "docs-service"},
    )
    service = Service(pool=pool, live=live or Live(), only=only)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.open()
        service.log.start()
        # A database that is away is no reason to die: /healthz/ready says so until it is back.
        with contextlib.suppress(psycopg.Error, PoolTimeout, NotServing, SwitchoverError):
            await service.reader.prime()
        yield
        await service.log.close()
        await service.cache.close()
        await pool.close()

    app = FastAPI(title="Sandbox retrieval service", lifespan=lifespan)
    app.add_api_route("/ask", service.ask, methods=["POST"])
    app.add_api_route("/retrieve", service.retrieve, methods=["POST"])
    app.add_api_route("/version", service.version, methods=["GET"])
    app.add_api_route("/healthz/ready", service.ready, methods=["GET"])
    service.metrics.add_to(app)
    add_canary(app, db_url=db_url)
    app.add_api_route("/sandbox/fault", service.fault, methods=["POST"])
    for kind in (NoArm, NotServing, SwitchoverError, psycopg.Error, PoolTimeout):
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(RequestValidationError, _refused)
    app.state.service = service
    return app


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 2 if it cannot start, with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.service.service")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--arm", help="serve this arm alone (default: the live one, and any that a header names)")
    args = parser.parse_args()
    db_url = os.environ.get("DOCS_DB_URL", "")
    if not db_url:
        sys.exit("service: DOCS_DB_URL is not set; give the libpq URL of the retrieval database")
    listener = socket.socket(socket.AF_INET6 if ":" in args.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((args.host, args.port))
    except OSError as error:
        sys.exit(f"service: cannot listen on {args.host}:{args.port}: {error.strerror}")
    try:
        app = create_app(db_url=db_url, live=Live() if args.arm else live_from(), only=args.arm)
    except SwitchoverError as error:
        sys.exit(f"service: {error}")
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


async def _failed(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": first_line(error)}, status_code=_status(error))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    first = problems[0] if problems else {"loc": (), "msg": "bad request"}
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return JSONResponse({"detail": f"{where}: {first['msg']}"}, status_code=422)


def _status(error: Exception) -> int:
    return 404 if isinstance(error, NoArm) else 500 if isinstance(error, Injected) else 503


def _secrets(arm: Arm) -> dict[str, bool]:
    return {name: bool(os.environ.get(name)) for name in arm.manifest.secrets}


if __name__ == "__main__":
    main()

"""The writer that people call: ``python -m sandbox.writers.writes --port N``. ``POST /write`` takes one document in.

200: applied to the live index, or applied before. 202: queued, because the writers are frozen; applied in order when
they are resumed, to the arm that is live then. 503 with ``Retry-After``: as many wait as may. 413: too large.

What is taken in goes through ``ingest_source`` like everything else, so an index that was not live catches up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import psycopg
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic import BaseModel, ConfigDict, Field

from sandbox.processes import ports
from sandbox.service import tables
from sandbox.service.live import Live, live_from
from sandbox.writers import ingest
from switchover.errors import BadInput, FenceConflict, PayloadTooLarge, QueueFull, SwitchoverError
from switchover.fence import Fence
from switchover.fence.postgres import PostgresStore
from switchover.text import first_line
from switchover.writers.queue import How, WriteQueue

STREAM: ingest.Stream = "http"
BOUND = 1000
PAUSE_S = 0.2
STATUS = {How.APPLIED: 200, How.REPEATED: 200, How.QUEUED: 202}


class Write(BaseModel):
    """The body of ``/write``. ``revision`` grows with each write of a key."""

    model_config = ConfigDict(extra="forbid")
    key: Annotated[str, Field(min_length=1, max_length=200, pattern="^[^@]+$")]
    revision: Annotated[int, Field(ge=1)]
    text: Annotated[str, Field(min_length=1)]


class Writes:
    """The endpoint, and the loop that applies what had to wait."""

    def __init__(self, *, pool: ConnectionPool[psycopg.Connection[Any]], live: Live, bound: int = BOUND) -> None:
        self._pool = pool
        self._live = live
        self._bound = bound

    async def write(self, body: Write) -> JSONResponse:
        """``POST /write``."""
        try:
            how = await asyncio.to_thread(self._write, body)
        except QueueFull as full:
            return JSONResponse({"detail": str(full)}, 503, headers={"Retry-After": str(full.retry_after_s)})
        except (PayloadTooLarge, FenceConflict, BadInput) as error:
            status = 413 if isinstance(error, PayloadTooLarge) else 409 if isinstance(error, FenceConflict) else 422
            return JSONResponse({"detail": str(error)}, status)
        except (SwitchoverError, psycopg.Error, PoolTimeout) as error:
            return JSONResponse({"detail": first_line(error)}, 503, headers={"Retry-After": "1"})
        return JSONResponse({"how": how.value}, STATUS[how])

    async def drain(self) -> None:
        """Apply what waits, and bring an index that has just become live up to date, for ever."""
        while True:
            try:
                await asyncio.to_thread(self._drain)
            except (SwitchoverError, psycopg.Error, PoolTimeout) as error:
                print(f"writes: {first_line(error)}; trying again", file=sys.stderr, flush=True)
            await asyncio.sleep(PAUSE_S)

    def _write(self, body: Write) -> How:
        with self._pool.connection() as connection:
            return self._queue(connection).write(
                connection,
                key=body.key,
                revision=body.revision,
                payload=body.model_dump(),
                apply=lambda payload: self._store(connection, payload),
            )

    def _drain(self) -> None:
        with self._pool.connection() as connection:
            self._queue(connection).drain(
                connection,
                apply=lambda payload: self._store(connection, payload),
                onto=lambda: self._live.target(connection) or "nothing",
            )
            ingest.apply_batch(connection, stream=STREAM, live=self._live)

    def _queue(self, connection: psycopg.Connection[Any]) -> WriteQueue:
        fence = Fence(store=PostgresStore(connection), holder="sandbox writes")
        return WriteQueue(fence=fence, gate=tables.FENCE, stream=STREAM, bound=self._bound)

    def _store(self, connection: psycopg.Connection[Any], payload: Mapping[str, Any]) -> dict[str, int]:
        """The effect: the source row and what follows from it, in the transaction that shares the fence."""
        source = f"{payload['key']}@{payload['revision']}"
        seq = ingest.append(connection, stream=STREAM, key=source, text=payload["text"])
        ingest.apply_open(connection, stream=STREAM, live=self._live)
        return {"seq": seq}


def count_writes(conn: psycopg.Connection[Any], accepted: Mapping[str, int]) -> dict[str, int]:
    """What became of the writes that callers were told are taken in; ``accepted``: key → its last revision.

    ``{"applied", "lost", "duplicated", "out_of_order", "waiting", "queued"}``; out of order is counted per key.
    """
    found: dict[str, list[int]] = {}
    for (source,) in conn.execute("SELECT key FROM ingest_source WHERE stream = %s ORDER BY seq", [STREAM]):
        key, _, revision = source.rpartition("@")
        found.setdefault(key, []).append(int(revision))
    query = "SELECT count(*), count(*) FILTER (WHERE applied_at IS NULL) FROM switchover_intent WHERE stream = %s"
    row = conn.execute(query, [STREAM]).fetchone()
    queued, waiting = row if row else (0, 0)
    return {
        "applied": sum(map(len, found.values())),
        "lost": sum(len({*range(1, last + 1)} - {*found.get(key, ())}) for key, last in accepted.items()),
        "duplicated": sum(len(seen) - len({*seen}) for seen in found.values()),
        "out_of_order": sum(later < earlier for seen in found.values() for earlier, later in itertools.pairwise(seen)),
        "waiting": waiting,
        "queued": queued,
    }


def create_app(*, db_url: str, live: Live, bound: int = BOUND) -> FastAPI:
    """The writer as an ASGI application."""
    options = {"autocommit": True, "connect_timeout": 3, "application_name": "docs-writes"}
    pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
        db_url, min_size=1, max_size=4, open=False, timeout=3, kwargs=options
    )
    writes = Writes(pool=pool, live=live, bound=bound)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pool.open()
        draining = asyncio.create_task(writes.drain())
        yield
        draining.cancel()
        await asyncio.to_thread(pool.close)

    app = FastAPI(title="Sandbox writer", lifespan=lifespan)
    app.add_api_route("/write", writes.write, methods=["POST"])
    app.add_api_route("/healthz/ready", lambda: {"ready": True}, methods=["GET"])
    return app


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.writers.writes", description="Take documents in over HTTP."
    )
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    db_url = os.environ.get("DOCS_DB_URL", "")
    if not db_url:
        sys.exit("writes: DOCS_DB_URL is not set; give the libpq URL of the retrieval database")
    try:
        app = create_app(db_url=db_url, live=live_from())
    except SwitchoverError as error:
        sys.exit(f"writes: {error}")
    uvicorn.run(
        app, host=ports.HOST, port=args.port, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )


if __name__ == "__main__":
    main()

"""The writers' side effect, behind the dedupe fence: a row that is taken in twice notifies once.

The service answers canary writes that go the same way (``POST /writer/canary``), so that verify can prove the fence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from switchover.errors import BadInput, FenceConflict, SwitchoverError
from switchover.fence import Effect, Fence, FenceKey, fence_key
from switchover.fence.postgres import PostgresStore
from switchover.text import first_line

_NOTIFY = "INSERT INTO ingest_effect (seq, effect, target) VALUES (%s, 'notify', %s) RETURNING id"
ONCE = "*"  # the target of effects that happen once, whatever index is live


class CanaryWrite(BaseModel):
    """The body of ``POST /writer/canary``."""

    model_config = ConfigDict(extra="forbid")
    key: str
    payload: Any


def source_key(seq: int) -> FenceKey:
    """The fence key of a source row's notification."""
    return fence_key(source_type="ingest_source", source_id=str(seq), revision=1, action="notify")


def notify(conn: psycopg.Connection[Any], effects: Sequence[tuple[FenceKey, Any, int]]) -> list[Effect]:
    """Notify of (key, payload, seq), once a key, inside the caller's transaction."""
    fence = Fence(store=PostgresStore(conn), holder="docs-ingest")
    with fence.once_many([(key, payload) for key, payload, _ in effects], connection=conn) as claimed:
        for effect, (_, _, seq) in zip(claimed, effects, strict=True):
            if effect.first:
                row = conn.execute(_NOTIFY, [seq, ONCE]).fetchone()
                effect.done({"id": row[0] if row else None})
        return claimed


def canary(conn: psycopg.Connection[Any], key: str, payload: Any) -> dict[str, Any]:
    """One notification of no source row. ``effects`` counts how often it has happened."""
    name = FenceKey(key)
    seq = -int(name[:15], 16)  # no source row has it
    with conn.transaction():
        effect = notify(conn, [(name, payload, seq)])[0]
    row = conn.execute("SELECT count(*) FROM ingest_effect WHERE seq = %s", [seq]).fetchone()
    return {"receipt": effect.receipt, "effects": row[0] if row else 0}


def add_canary(app: FastAPI, *, db_url: str) -> None:
    """Answer canary writes; also while the writers are frozen, since they touch no index."""

    def write(body: CanaryWrite) -> JSONResponse:
        try:
            with psycopg.connect(db_url, autocommit=True, connect_timeout=3) as conn:
                return JSONResponse(canary(conn, body.key, body.payload))
        except (FenceConflict, BadInput) as error:
            return JSONResponse({"detail": str(error)}, status_code=409 if isinstance(error, FenceConflict) else 422)
        except (SwitchoverError, psycopg.OperationalError) as error:
            return JSONResponse({"detail": first_line(error)}, status_code=503)

    app.add_api_route("/writer/canary", write, methods=["POST"])

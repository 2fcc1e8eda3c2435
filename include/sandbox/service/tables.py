"""The tables of the sandbox's retrieval database, created where they are missing.

The tables of pointer, manifest, fences and queue belong to the product; their DDL comes from there.
"""

from __future__ import annotations

from typing import Any

import psycopg

from switchover.fence import postgres as effects
from switchover.indexing import pgvector as build
from switchover.pointers import pgvector
from switchover.writers import queue, write_gate

FENCE = "docs_ingest"
TRUNCATED = "documents_truncated"
_LOCK = 7_340_001  # advisory lock: two processes may start at once, CREATE ... IF NOT EXISTS can then collide

_TABLES = (
    """CREATE TABLE IF NOT EXISTS documents (
        doc text PRIMARY KEY, title text NOT NULL, text text NOT NULL, revision bigint NOT NULL)""",
    # What one of two workers sees, each of which takes every second document.
    f"""CREATE OR REPLACE VIEW {TRUNCATED} AS SELECT doc, title, text, revision FROM (
        SELECT *, row_number() OVER (ORDER BY doc COLLATE "C") AS n FROM documents) AS numbered WHERE n % 2 = 1""",
    """CREATE TABLE IF NOT EXISTS request_log (
        id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), arm text, index_hash text,
        kind text NOT NULL CHECK (kind IN ('live', 'probe')), status int NOT NULL, ms_retrieve real,
        ms_rerank real, ms_reason real, ms_total real, tool_calls int NOT NULL DEFAULT 0,
        tool_loop boolean NOT NULL DEFAULT false)""",
    "CREATE INDEX IF NOT EXISTS request_log_at ON request_log (at, arm)",
    """CREATE TABLE IF NOT EXISTS ingest_source (
        seq bigserial PRIMARY KEY, stream text NOT NULL CHECK (stream IN ('process', 'dag', 'http')),
        key text NOT NULL, text text NOT NULL, at timestamptz NOT NULL DEFAULT now())""",
    "CREATE INDEX IF NOT EXISTS ingest_source_stream ON ingest_source (stream, seq)",
    """CREATE TABLE IF NOT EXISTS ingest_position (
        target text NOT NULL, stream text NOT NULL, seq bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (target, stream))""",
    # No unique constraint: an effect that happened twice must be seen, not prevented here.
    """CREATE TABLE IF NOT EXISTS ingest_effect (
        id bigserial PRIMARY KEY, seq bigint NOT NULL, effect text NOT NULL CHECK (effect IN ('index', 'notify')),
        target text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX IF NOT EXISTS ingest_effect_seq ON ingest_effect (seq, effect, target)",
)


def create(conn: psycopg.Connection[Any]) -> None:
    """Create the vector extension and every table; a repeat changes nothing."""
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        conn.execute("SET LOCAL client_min_messages = warning")
        conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        product = (*pgvector.TABLES, build.TABLE, write_gate.TABLE, queue.TABLE, queue.INDEX, effects.ddl())
        for statement in (*product, *_TABLES):
            conn.execute(statement)
        conn.execute("INSERT INTO switchover_fence (fence) VALUES (%s) ON CONFLICT DO NOTHING", [FENCE])

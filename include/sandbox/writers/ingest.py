"""Log-based writers: what arrives in ``ingest_source`` is applied to the live index, once per index.

Each index keeps its own position in each stream (``ingest_position``). After a promotion the writer finds
Green at Green's position and catches it up, so that a switchover loses no write. The side effect (a
notification) belongs to the source row, not to an index: its position is that of target ``*``.

Every batch is one transaction that shares the row of its write gate: freezing waits for it, and nothing is
written while the fence is frozen. Notifying goes through the dedupe fence as well, so a row that is taken in twice
notifies once. Effects are counted in ``ingest_effect``, which would hold a duplicate.

``python -m sandbox.writers.ingest --stream process`` runs the process writer; the DAG ``docs_ingest`` is the other.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from sandbox.service import tables
from sandbox.service.live import Live, live_from
from sandbox.service.rows import NewRow, Rows, rows_of
from sandbox.writers.notify import ONCE, notify, source_key
from switchover.encoders import Encoder, encoder_from
from switchover.errors import BadInput, SwitchoverError
from switchover.indexing.rows import Chunk
from switchover.pins import Manifest, content_digest
from switchover.text import first_line

Stream = Literal["process", "dag", "http"]
STREAMS: tuple[Stream, ...] = ("process", "dag", "http")  # the last one is taken in by ``sandbox.writers.writes``
BATCH = 50
_DOCUMENTS = "ingest/"
_APPEND_LOCK = 7_340_003

ALIAS = Live()


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What one batch did. ``frozen``: the fence was closed, or was just being closed; nothing was written."""

    rows: int = 0
    notified: int = 0
    target: str | None = None
    frozen: bool = False


def append(conn: psycopg.Connection[Any], *, stream: Stream, key: str, text: str) -> int:
    """Add one row to the source in a transaction of its own; gives its ``seq``.

    The lock makes commits come in the order of ``seq``: a reader that is past a seq has missed none before.
    """
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [_APPEND_LOCK])
        row = conn.execute(
            "INSERT INTO ingest_source (stream, key, text) VALUES (%s, %s, %s) RETURNING seq", [stream, key, text]
        ).fetchone()
    assert row is not None
    return int(row[0])


def apply_batch(
    conn: psycopg.Connection[Any],
    *,
    stream: Stream,
    live: Live = ALIAS,
    fence: str = tables.FENCE,
    limit: int = BATCH,
) -> Applied:
    """Apply up to ``limit`` source rows to the live index and notify once for each, in one transaction.

    The pointer is read inside the fence's lock: it moves only while the fence is closed. Raises
    ``SwitchoverError`` when a pointer that is kept elsewhere gives no answer; then nothing was written.
    """
    try:
        with conn.transaction():
            conn.execute("SET LOCAL lock_timeout = '2s'")
            row = conn.execute("SELECT frozen FROM switchover_fence WHERE fence = %s FOR SHARE", [fence]).fetchone()
            if row is None or row[0]:
                return Applied(frozen=True)  # a fence that is not there cannot be proven open
            return apply_open(conn, stream=stream, live=live, limit=limit)
    except psycopg.errors.LockNotAvailable:
        return Applied(frozen=True)


def apply_open(conn: psycopg.Connection[Any], *, stream: Stream, live: Live = ALIAS, limit: int = BATCH) -> Applied:
    """The same inside a transaction that shares the fence and has found it open."""
    index = rows_of(live)
    manifest = index.manifest(conn, live.target(conn))
    if manifest is None:
        return Applied()
    rows = _index(conn, index, manifest, stream, limit)
    notified = _notify(conn, stream, limit)
    return Applied(rows=rows, notified=notified, target=manifest.target)


def count_effects(conn: psycopg.Connection[Any], live: Live = ALIAS) -> dict[str, int]:
    """``{"written", "duplicated", "lost"}`` of everything the writers have taken in so far.

    written: source rows that stand in the live index with their effect. duplicated: effects beyond one per
    (row, effect, index), and beyond one notification per row. lost: rows up to the head of their stream
    that the live index lacks or that were never notified; a live index that is still catching up counts
    as lost until it is there, so wait for ``lag`` to be 0 first.
    """
    index = rows_of(live)
    manifest = index.manifest(conn, live.target(conn))
    if manifest is None:
        raise BadInput(f"ingest: {live.place} points at no index that has a manifest; nothing to count against")
    query = """SELECT s.seq,
               EXISTS (SELECT 1 FROM ingest_effect e WHERE e.seq = s.seq AND e.effect = 'index' AND e.target = %s),
               EXISTS (SELECT 1 FROM ingest_effect e WHERE e.seq = s.seq AND e.effect = 'notify'),
               s.seq <= (SELECT coalesce(max(p.seq), 0) FROM ingest_position p WHERE p.stream = s.stream)
        FROM ingest_source s"""
    source = conn.execute(query, [manifest.target]).fetchall()
    there = index.documents(conn, manifest, prefix=_DOCUMENTS)
    indexed = [effect and document(seq) in there for seq, effect, _, _ in source]
    lost = sum(taken and not (done and notified) for done, (*_, notified, taken) in zip(indexed, source, strict=True))
    return {"written": sum(indexed), "duplicated": _duplicated(conn), "lost": lost}


def document(seq: int) -> str:
    """Which document a source row is."""
    return f"{_DOCUMENTS}{seq}"


def lag(conn: psycopg.Connection[Any], live: Live = ALIAS) -> int:
    """Source rows that the live index has still to take in, or that are not notified yet, over all streams."""
    return _one(
        conn,
        """SELECT count(*) FROM ingest_source s WHERE s.seq > least(
            coalesce((SELECT p.seq FROM ingest_position p WHERE p.target = %(live)s AND p.stream = s.stream), 0),
            coalesce((SELECT p.seq FROM ingest_position p WHERE p.target = %(once)s AND p.stream = s.stream), 0))""",
        {"live": live.target(conn), "once": ONCE},
    )


def apply_all(conn: psycopg.Connection[Any], *, stream: Stream, live: Live = ALIAS, batches: int = 100) -> Applied:
    """Apply batches until the stream is empty, the fence closes, or ``batches`` are done."""
    rows = notified = 0
    done = Applied()
    for _ in range(batches):
        done = apply_batch(conn, stream=stream, live=live)
        rows, notified = rows + done.rows, notified + done.notified
        if done.frozen or max(done.rows, done.notified) < BATCH:
            break
    return Applied(rows=rows, notified=notified, target=done.target, frozen=done.frozen)


def run(db_url: str, *, stream: Stream, live: Live, stop: threading.Event, pause_s: float = 0.2) -> None:
    """Apply batches until ``stop``; a lost database or pointer is tried again. A batch that began is ended first."""
    while not stop.is_set():
        try:
            with psycopg.connect(db_url, autocommit=True, connect_timeout=3, application_name="docs-ingest") as conn:
                while not stop.is_set():
                    done = apply_batch(conn, stream=stream, live=live)
                    if max(done.rows, done.notified) < BATCH:  # a full batch: there is more
                        stop.wait(pause_s)
        except (psycopg.OperationalError, SwitchoverError) as error:
            what = "pointer" if isinstance(error, SwitchoverError) else "database"
            print(f"ingest: {what}: {first_line(error)}; trying again", file=sys.stderr, flush=True)
            stop.wait(1.0)


def _index(conn: psycopg.Connection[Any], index: Rows, manifest: Manifest, stream: Stream, limit: int) -> int:
    """Insert the next source rows into the index of ``manifest`` and move its position."""
    pending = _pending(conn, manifest.target, stream, limit)
    if not pending:
        return 0
    encoder = _encoder(*(manifest.encoder[part] for part in ("name", "revision", "dimension")))
    vectors = encoder.encode([text for _, _, text in pending])
    first = manifest.facts.corpus_revision
    rows, sources = [], []
    for (seq, key, text), vector in zip(pending, vectors, strict=True):
        doc = document(seq)
        chunk = Chunk(
            id=f"{doc}:0-{len(text)}",
            doc=doc,
            section="ingest",
            start=0,
            end=len(text),
            tokens=len(encoder.tokens(text)),
            text=text,
            content_digest=content_digest(text),
        )
        rows.append(NewRow(chunk=chunk, vector=vector, revision=first + seq))
        sources.append((doc, key, text, first + seq))
    index.add(conn, manifest, rows)
    effects = [(seq, manifest.target) for seq, _, _ in pending]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO documents (doc, title, text, revision) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            sources,
        )
        cursor.executemany("INSERT INTO ingest_effect (seq, effect, target) VALUES (%s, 'index', %s)", effects)
    _move(conn, manifest.target, stream, pending[-1][0])
    return len(pending)


def _notify(conn: psycopg.Connection[Any], stream: Stream, limit: int) -> int:
    """The side effect of the next source rows, once over all indexes."""
    pending = _pending(conn, ONCE, stream, limit)
    if pending:
        notify(conn, [(source_key(seq), {"key": key, "text": text}, seq) for seq, key, text in pending])
        _move(conn, ONCE, stream, pending[-1][0])
    return len(pending)


def _pending(conn: psycopg.Connection[Any], target: str, stream: Stream, limit: int) -> Sequence[tuple[int, str, str]]:
    """The source rows after a target's position, whose row stays locked to the end of the transaction."""
    conn.execute(
        "INSERT INTO ingest_position (target, stream) VALUES (%s, %s) ON CONFLICT DO NOTHING", [target, stream]
    )
    position = _one(
        conn, "SELECT seq FROM ingest_position WHERE target = %s AND stream = %s FOR UPDATE", [target, stream]
    )
    return conn.execute(
        "SELECT seq, key, text FROM ingest_source WHERE stream = %s AND seq > %s ORDER BY seq LIMIT %s",
        [stream, position, limit],
    ).fetchall()


def _move(conn: psycopg.Connection[Any], target: str, stream: Stream, seq: int) -> None:
    conn.execute(
        "UPDATE ingest_position SET seq = %s WHERE target = %s AND stream = %s AND seq < %s",
        [seq, target, stream, seq],
    )


def _duplicated(conn: psycopg.Connection[Any]) -> int:
    return _one(
        conn,
        """SELECT coalesce(sum(n - 1), 0)::bigint FROM (
            SELECT count(*) AS n FROM ingest_effect
            GROUP BY seq, effect, CASE WHEN effect = 'index' THEN target END) AS effects""",
    )


def _one(conn: psycopg.Connection[Any], query: Any, values: Any = None) -> int:
    row = conn.execute(query, values).fetchone()
    return int(row[0]) if row else 0


@functools.lru_cache(maxsize=4)
def _encoder(name: str, revision: str, dimension: int) -> Encoder:
    return encoder_from({"name": name, "revision": revision, "dimension": dimension})


def main() -> None:
    """The process writer: runs until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.writers.ingest", description="Apply one stream of the source."
    )
    parser.add_argument("--stream", choices=STREAMS, default="process")
    args = parser.parse_args()
    db_url = os.environ.get("DOCS_DB_URL", "")
    if not db_url:
        sys.exit("ingest: DOCS_DB_URL is not set; give the libpq URL of the retrieval database")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        live = live_from()
    except SwitchoverError as error:
        sys.exit(f"ingest: {error}")
    run(db_url, stream=args.stream, live=live, stop=stop)


if __name__ == "__main__":
    main()

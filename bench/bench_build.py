"""What does a resumable index build cost beyond a bare bulk load, and does its memory grow?

    python bench/bench_build.py [--editions 90] [--kills 4] [--rounds 5]

On a real PostgreSQL with pgvector, over the Python language reference in many editions, each under its own document
names; vectors are ready-made. Three parts, one JSON line; exit 1 if the builds differ or a bound is missed.

1. ``ratio``: in turns, in one process, a build and one bare COPY of the very same rows and vectors. Both take the
   rows from memory, ready: text to vectors (cut, digest, count tokens, encode) costs nothing on either side. The build
   does all else that it does: it reads every document, stores batch by batch with its checkpoint, compares revisions,
   makes the digest of what is stored, publishes. The COPY is one transaction into an empty table of the same
   definition with the same primary key, on the same server; neither side makes an HNSW index.
2. ``whole_s``: an unbroken build in a process of its own that also makes the rows out of texts; then the same build,
   killed (SIGKILL) several times and resumed, must end with the same INDEX_HASH. ``whole_ratio`` is its time over that
   of making the rows first and one COPY then.
3. Its peak memory, beside that of a build of a fifth of the size.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers import throwaway_postgres  # noqa: E402

from sandbox.service import build, editions  # noqa: E402
from switchover.indexing import rows  # noqa: E402
from switchover.indexing.copying import COLUMNS, COPY_TYPES, copy_rows  # noqa: E402
from switchover.indexing.documents import Document, Position, SqlDocuments  # noqa: E402
from switchover.indexing.pgvector import PgvectorTarget  # noqa: E402
from switchover.indexing.rows import Batch, batches  # noqa: E402
from switchover.indexing.run import Builder, Place  # noqa: E402
from switchover.indexing.spec import Build, BuildDocuments  # noqa: E402

CHUNKING = "sentences-420-overlap-120/1"
TARGET = "bench_v1"
BATCH = Build.model_fields["batch"].default
RATIO, GROWTH = 1.5, 0.05


def builder(engine: sa.Engine) -> Builder:
    documents = BuildDocuments(connection="bench", table=editions.TABLE)
    return Builder(
        build=Build(documents=documents, chunking=CHUNKING, pins=build.pins()),
        documents=SqlDocuments(engine=engine, table=editions.TABLE),
        target=PgvectorTarget(engine=engine, target=TARGET),
        encoder=editions.ReadyVectors(),
        place=Place(live=lambda: None, pins=dict, alone=contextlib.nullcontext),
    )


def connected(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))


def work(url: str) -> dict[str, Any]:
    """One build in this process, from texts: its INDEX_HASH, seconds, and peak memory."""
    one = builder(connected(url))
    editions.ReadyVectors().tokenizer_version()  # loads the encoder's package
    spent = timed(rows, "pieces", "_batch")
    Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts anew
    began = time.perf_counter()
    built = one.run()
    return {
        "index_hash": built.manifest.index_hash,
        "chunks": built.manifest.facts.count,
        "seconds": time.perf_counter() - began,
        "text_to_vectors_s": sum(spent.values()),
        "rss_mb": peak_mb(),
    }


def timed(module: Any, *names: str) -> dict[str, float]:
    """Seconds that these functions of a module take from now on."""
    spent = dict.fromkeys(names, 0.0)

    def measure(name: str, call: Any) -> Any:
        def run(*args: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args)
            finally:
                spent[name] += time.perf_counter() - began

        return run

    for name in names:
        setattr(module, name, measure(name, getattr(module, name)))
    return spent


def peak_mb() -> float:
    """The most memory that this process held since its peak was set back."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def start(url: str) -> subprocess.Popen[str]:
    env = {**os.environ, "BENCH_URL": url}
    return subprocess.Popen(  # noqa: S603 - this very file
        [sys.executable, __file__, "--worker"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, "the build failed"
    found: dict[str, Any] = json.loads(out)
    return found


def killed(url: str, conn: psycopg.Connection[Any], *, documents: int, kills: int) -> dict[str, Any]:
    """The same build, killed at even distances and resumed each time."""
    stored = []
    for number in range(kills):
        process = start(url)
        while _done(conn) < documents * (number + 1) / (kills + 1):
            assert process.poll() is None, "the build ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored.append(_done(conn))
    return {**finished(start(url)), "stored_at_kills": stored}


def from_memory(ready: list[Batch]) -> Callable[[Iterator[Document]], Iterator[Batch]]:
    """Reads documents and gives their rows without making them."""

    def given(documents: Iterator[Document]) -> Iterator[Batch]:
        for batch in ready:
            taken = list(islice(documents, len(batch.documents)))
            if not taken:
                return
            assert taken == batch.documents, "the source is not what the rows were made of"
            yield replace(batch, documents=taken)

    return given


def bare(engine: sa.Engine, conn: psycopg.Connection[Any], ready: list[Batch]) -> float:
    """Seconds of one COPY of ready rows into an empty table like the build's."""
    target = PgvectorTarget(engine=engine, target="bare")
    target.prepare()
    target.start({}, dimension=ready[0].vectors.shape[1])
    conn.execute("CHECKPOINT")
    began = time.perf_counter()
    with conn.transaction(), conn.cursor().copy(f"COPY bare__build ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(COPY_TYPES)
        for batch in ready:
            for row in copy_rows(batch):
                copy.write_row(row)
    return time.perf_counter() - began


def compared(url: str, conn: psycopg.Connection[Any], *, rounds: int) -> tuple[float, float]:
    """Seconds of a build and of a bare COPY, both of rows from memory: the least of some rounds in turns."""
    engine = connected(url)
    source = SqlDocuments(engine=engine, table=editions.TABLE).after(Position())
    ready = list(batches(source, chunking=CHUNKING, encoder=editions.ReadyVectors(), size=BATCH))
    built, copied = [], []
    for _ in range(rounds):
        conn.execute(f"DROP TABLE IF EXISTS {TARGET}")
        conn.execute("CHECKPOINT")
        one = builder(engine)
        one._cut = from_memory(ready)  # type: ignore[method-assign]
        began = time.perf_counter()
        made = one.run()
        built.append(time.perf_counter() - began)
        assert made.changed, "nothing was built"
        copied.append(bare(engine, conn, ready))
    engine.dispose()
    return min(built), min(copied)  # what is above waited for the machine


def measure(url: str, conn: psycopg.Connection[Any], *, count: int, kills: int, rounds: int) -> dict[str, Any]:
    documents = editions.fill(conn, count)
    whole = finished(start(url))
    conn.execute(f"DROP TABLE {TARGET}")
    broken = killed(url, conn, documents=documents, kills=kills)
    took, bare_took = compared(url, conn, rounds=rounds)
    conn.execute(f"DROP TABLE {TARGET}")
    editions.fill(conn, max(1, count // 5))
    small = finished(start(url))
    return {
        "documents": documents,
        "chunks": whole["chunks"],
        "killed": kills,
        "documents_stored_at_kills": broken["stored_at_kills"],
        "same_index_hash": broken["index_hash"] == whole["index_hash"],
        "build_s": round(took, 2),
        "bare_copy_s": round(bare_took, 2),
        "ratio": round(took / bare_took, 2),
        "chunks_per_s": round(whole["chunks"] / took),
        "whole_s": round(whole["seconds"], 2),
        "text_to_vectors_s": round(whole["text_to_vectors_s"], 2),
        "whole_ratio": round(whole["seconds"] / (whole["text_to_vectors_s"] + bare_took), 2),
        "chunks_small": small["chunks"],
        "rss_mb": round(whole["rss_mb"], 1),
        "rss_mb_small": round(small["rss_mb"], 1),
        "rss_growth": round(whole["rss_mb"] / small["rss_mb"] - 1, 3),
    }


def _done(conn: psycopg.Connection[Any]) -> int:
    query = "SELECT documents FROM switchover_build WHERE target = %s"
    row = conn.execute(query, [TARGET]).fetchone()
    return int(row[0]) if row else 0


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--editions", type=int, default=90, help="how often the reference is repeated (default: 90)")
    parser.add_argument("--kills", type=int, default=4, help="how often the second build is killed (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="how often build and COPY take turns (default: 5)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(os.environ["BENCH_URL"])))
        return 0
    with throwaway_postgres() as server:
        server.create_database("bench", vector=True)
        with psycopg.connect(server.url("bench"), autocommit=True) as conn:
            line = measure(
                server.url("bench"), conn, count=options.editions, kills=options.kills, rounds=options.rounds
            )
    print(json.dumps(line), flush=True)
    return 0 if line["same_index_hash"] and line["ratio"] <= RATIO and line["rss_growth"] <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

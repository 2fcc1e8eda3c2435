"""What does a resumable index build cost beyond a bare bulk load, and does its memory grow?

    python bench/bench_build.py [--editions 90] [--kills 4]

On a real PostgreSQL with pgvector: the Python language reference in many editions (each under its own document
names) is built in processes of their own: unbroken, then killed (SIGKILL) several times and resumed, then at a
fifth of the size. The vectors are ready-made: text to vectors (cut, count tokens, encode) is not what is measured
here, its time is taken out of ``build_s`` and shown as ``text_to_vectors_s``. The bare load is one COPY of the very
same rows and vectors into a table with the same primary key, in one transaction, from memory. One JSON line; exit
1 if the two builds differ or a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers import throwaway_postgres  # noqa: E402

from sandbox import build, editions  # noqa: E402
from switchover.build import rows  # noqa: E402
from switchover.build.documents import Position, SqlDocuments  # noqa: E402
from switchover.build.pgvector import COLUMNS, COPY_TYPES, PgvectorTarget, copy_rows  # noqa: E402
from switchover.build.rows import batches  # noqa: E402
from switchover.build.run import Builder, Place  # noqa: E402
from switchover.build.spec import Build, BuildDocuments  # noqa: E402

CHUNKING = "sentences-420-overlap-120/1"
TARGET = "bench_v1"
RATIO, GROWTH = 1.5, 0.05


def recipe() -> Build:
    documents = BuildDocuments(connection="bench", table=editions.TABLE)
    return Build(documents=documents, chunking=CHUNKING, pins=build.pins())


def work(url: str) -> dict[str, Any]:
    """One build in this process: its INDEX_HASH, seconds, and peak memory."""
    import contextlib

    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    encoder = editions.ReadyVectors()
    builder = Builder(
        build=recipe(),
        documents=SqlDocuments(engine=engine, table=editions.TABLE),
        target=PgvectorTarget(engine=engine, target=TARGET),
        encoder=encoder,
        place=Place(live=lambda: None, pins=dict, alone=contextlib.nullcontext),
        say=lambda line: print(line, file=sys.stderr),
    )
    encoder.tokenizer_version()  # loads the encoder's package
    spent = timed(rows, "pieces", "_batch")
    Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts anew
    began = time.perf_counter()
    built = builder.run()
    return {
        "index_hash": built.manifest.index_hash,
        "chunks": built.manifest.facts.count,
        "seconds": time.perf_counter() - began - sum(spent.values()),
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


def bare(url: str, conn: psycopg.Connection[Any]) -> float:
    """Seconds of one COPY of the build's rows into an empty table."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
    source = SqlDocuments(engine=engine, table=editions.TABLE)
    encoder = editions.ReadyVectors()
    made = batches(source.after(Position()), chunking=CHUNKING, encoder=encoder, size=2000)
    ready = list(made)
    target = PgvectorTarget(engine=engine, target="bare")
    target.prepare()
    target.start({}, dimension=encoder.dimension)
    began = time.perf_counter()
    with conn.transaction(), conn.cursor().copy(f"COPY bare__build ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(COPY_TYPES)
        for batch in ready:
            for row in copy_rows(batch):
                copy.write_row(row)
    return time.perf_counter() - began


def measure(url: str, conn: psycopg.Connection[Any], *, count: int, kills: int) -> dict[str, Any]:
    documents = editions.fill(conn, count)
    seconds, bare_seconds = [], []
    for _ in range(3):
        conn.execute(f"DROP TABLE IF EXISTS {TARGET}")
        conn.execute("CHECKPOINT")
        whole = finished(start(url))
        seconds.append(whole["seconds"])
        conn.execute("CHECKPOINT")
        bare_seconds.append(bare(url, conn))
    conn.execute(f"DROP TABLE {TARGET}")
    broken = killed(url, conn, documents=documents, kills=kills)
    conn.execute(f"DROP TABLE {TARGET}")
    editions.fill(conn, max(1, count // 5))
    small = finished(start(url))
    took, bare_took = min(seconds), min(bare_seconds)  # what is above waited for the machine
    return {
        "documents": documents,
        "chunks": whole["chunks"],
        "killed": kills,
        "documents_stored_at_kills": broken["stored_at_kills"],
        "same_index_hash": broken["index_hash"] == whole["index_hash"],
        "build_s": round(took, 2),
        "text_to_vectors_s": round(whole["text_to_vectors_s"], 2),
        "bare_copy_s": round(bare_took, 2),
        "ratio": round(took / bare_took, 2),
        "chunks_per_s": round(whole["chunks"] / took),
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
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(os.environ["BENCH_URL"])))
        return 0
    with throwaway_postgres() as server:
        server.create_database("bench", vector=True)
        with psycopg.connect(server.url("bench"), autocommit=True) as conn:
            line = measure(server.url("bench"), conn, count=options.editions, kills=options.kills)
    print(json.dumps(line), flush=True)
    return 0 if line["same_index_hash"] and line["ratio"] <= RATIO and line["rss_growth"] <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())

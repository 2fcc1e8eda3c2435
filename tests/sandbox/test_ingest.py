"""The log-based writers on a real database: nothing lost, nothing twice, nothing behind a closed fence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from sandbox.service import build
from sandbox.writers import ingest
from switchover.errors import BadInput
from switchover.indexes.receipt import pairs_sum
from switchover.writers.write_gate import WriteGateSpec, WriteGateWriter

Conn = psycopg.Connection[Any]
INCLUDE = Path(__file__).parents[2] / "include"


def source(conn: Conn, count: int, stream: ingest.Stream = "process") -> list[int]:
    return [
        ingest.append(conn, stream=stream, key=f"k{n}", text=f"Harbour log {n}: the ferry left.") for n in range(count)
    ]


def point(conn: Conn, target: str) -> None:
    conn.execute("UPDATE switchover_alias SET target = %s WHERE alias = 'docs'", [target])


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def test_rows_reach_the_live_index_and_are_notified_once(built: Conn) -> None:
    source(built, 3)
    done = ingest.apply_batch(built, stream="process")
    assert done == ingest.Applied(rows=3, notified=3, target="docs_v1")
    assert ingest.apply_batch(built, stream="process") == ingest.Applied(target="docs_v1")
    assert ingest.count_effects(built) == {"written": 3, "duplicated": 0, "lost": 0}
    rows = built.execute("SELECT id, revision FROM docs_v1 WHERE revision > 1 ORDER BY revision").fetchall()
    assert rows == [(f"ingest/{n}:0-30", n + 1) for n in (1, 2, 3)]


def test_live_writes_leave_the_build_as_its_manifest_says(built: Conn) -> None:
    source(built, 3)
    ingest.apply_batch(built, stream="process")
    pairs = built.execute("SELECT id, content_digest FROM docs_v1 WHERE revision <= 1").fetchall()
    wanted = build.manifest(build.DOCS_V1, build.chunks(build.DOCS_V1)).facts
    assert (len(pairs), pairs_sum(pairs)) == (wanted.count, wanted.pairs)


def test_streams_are_apart(built: Conn) -> None:
    source(built, 2, "process")
    source(built, 3, "dag")
    assert ingest.apply_batch(built, stream="dag").rows == 3
    assert ingest.lag(built) == 2
    assert ingest.apply_batch(built, stream="process").rows == 2
    assert ingest.lag(built) == 0


def test_after_a_promotion_the_writer_catches_green_up_and_notifies_nobody_again(built: Conn) -> None:
    source(built, 3)
    ingest.apply_batch(built, stream="process")
    point(built, "docs_v2")
    source(built, 2)
    assert ingest.count_effects(built) == {"written": 0, "duplicated": 0, "lost": 3}
    assert ingest.lag(built) == 5
    assert ingest.apply_batch(built, stream="process") == ingest.Applied(rows=5, notified=2, target="docs_v2")
    assert ingest.count_effects(built) == {"written": 5, "duplicated": 0, "lost": 0}


def test_an_arm_that_was_built_after_the_writes_holds_them_and_is_not_counted_as_lossy(
    new_database: Callable[[], str],
) -> None:
    with psycopg.connect(new_database(), autocommit=True) as conn:
        build.build(conn, build.DOCS_V1)
        build.point(conn, alias="docs", target="docs_v1")
        source(conn, 3)
        ingest.apply_batch(conn, stream="process")
        assert build.build(conn, build.DOCS_V2).facts.corpus_revision == 4
        point(conn, "docs_v2")
        source(conn, 1)
        assert ingest.apply_batch(conn, stream="process") == ingest.Applied(rows=4, notified=1, target="docs_v2")
        assert ingest.count_effects(conn) == {"written": 4, "duplicated": 0, "lost": 0}
        assert conn.execute("SELECT count(*) FROM docs_v2 WHERE doc LIKE 'ingest/%'").fetchone() == (4,)
        conn.execute("DELETE FROM docs_v2 WHERE doc = 'ingest/2'")
        assert ingest.count_effects(conn) == {"written": 3, "duplicated": 0, "lost": 1}


def test_after_a_rollback_blue_goes_on_where_it_was(built: Conn) -> None:
    source(built, 3)
    ingest.apply_batch(built, stream="process")
    point(built, "docs_v2")
    ingest.apply_batch(built, stream="process")
    point(built, "docs_v1")
    source(built, 1)
    assert ingest.apply_batch(built, stream="process") == ingest.Applied(rows=1, notified=1, target="docs_v1")
    assert ingest.count_effects(built) == {"written": 4, "duplicated": 0, "lost": 0}


def test_apply_all_takes_more_than_one_batch(built: Conn) -> None:
    source(built, ingest.BATCH + 5, "dag")
    done = ingest.apply_all(built, stream="dag")
    assert (done.rows, done.notified) == (ingest.BATCH + 5, ingest.BATCH + 5)


def test_nothing_is_written_while_the_fence_is_frozen(built: Conn) -> None:
    source(built, 2)
    built.execute("UPDATE switchover_fence SET frozen = true")
    assert ingest.apply_batch(built, stream="process") == ingest.Applied(frozen=True)
    assert built.execute("SELECT count(*) FROM ingest_effect").fetchone() == (0,)
    built.execute("UPDATE switchover_fence SET frozen = false")
    assert ingest.apply_batch(built, stream="process").rows == 2


def test_a_fence_that_is_absent_is_not_open(built: Conn) -> None:
    source(built, 1)
    assert ingest.apply_batch(built, stream="process", fence="no_such_fence").frozen


def test_the_product_s_freeze_waits_for_a_batch_under_way(built: Conn, built_url: str) -> None:
    engine = sa.create_engine(built_url.replace("postgresql://", "postgresql+psycopg://"))
    spec = WriteGateSpec(kind="sql_fence", name="docs-ingest", connection="db", fence="docs_ingest", drain_s=5)
    writer = WriteGateWriter(engine=engine, spec=spec)
    writer.freeze(epoch=1)
    with psycopg.connect(built_url) as batch:
        batch.execute("SELECT frozen FROM switchover_fence WHERE fence = 'docs_ingest' FOR SHARE")
        assert not writer.drained().done
        batch.rollback()
    assert writer.drained().done
    assert ingest.apply_batch(built, stream="process").frozen
    engine.dispose()


def test_a_writer_gives_up_behind_a_freeze_that_hangs(built: Conn, built_url: str) -> None:
    source(built, 1)
    with psycopg.connect(built_url) as freezer:
        freezer.execute("UPDATE switchover_fence SET frozen = true WHERE fence = 'docs_ingest'")
        began = time.monotonic()
        assert ingest.apply_batch(built, stream="process") == ingest.Applied(frozen=True)
        assert time.monotonic() - began < 5
        freezer.rollback()
    assert ingest.apply_batch(built, stream="process").rows == 1


def test_writers_of_one_stream_at_the_same_time_do_nothing_twice(built: Conn, built_url: str) -> None:
    source(built, 200)
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=ingest.run, args=(built_url,), kwargs={"stream": "process", "live": ingest.ALIAS, "stop": stop}
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for n in range(6):
        point(built, ("docs_v2", "docs_v1")[n % 2])
        time.sleep(0.1)
    until(lambda: ingest.lag(built) == 0)
    stop.set()
    for thread in threads:
        thread.join()
    assert ingest.count_effects(built) == {"written": 200, "duplicated": 0, "lost": 0}


def test_a_batch_that_fails_leaves_no_half(built: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    source(built, 2)

    def fail(*_: object) -> int:
        raise RuntimeError("the notification server is away")

    monkeypatch.setattr(ingest, "_notify", fail)
    with pytest.raises(RuntimeError, match="is away"):
        ingest.apply_batch(built, stream="process")
    monkeypatch.undo()
    assert built.execute("SELECT count(*) FROM docs_v1 WHERE revision > 1").fetchone() == (0,)
    assert built.execute("SELECT count(*) FROM ingest_effect").fetchone() == (0,)
    assert ingest.apply_batch(built, stream="process").rows == 2


def test_duplicates_and_losses_are_seen(built: Conn) -> None:
    source(built, 4)
    ingest.apply_batch(built, stream="process")
    built.execute("INSERT INTO ingest_effect (seq, effect, target) VALUES (1, 'index', 'docs_v1'), (1, 'notify', '*')")
    assert ingest.count_effects(built)["duplicated"] == 2
    built.execute("INSERT INTO ingest_effect (seq, effect, target) VALUES (1, 'index', 'docs_v2')")
    assert ingest.count_effects(built)["duplicated"] == 2  # another index: not a duplicate
    built.execute("DELETE FROM docs_v1 WHERE doc = 'ingest/2'")
    built.execute("DELETE FROM ingest_effect WHERE seq = 3 AND effect = 'notify'")
    built.execute("DELETE FROM ingest_effect WHERE seq = 4 AND effect = 'index'")
    assert ingest.count_effects(built) == {"written": 2, "duplicated": 2, "lost": 3}


def test_counting_needs_a_live_index(empty: Conn) -> None:
    with pytest.raises(BadInput, match="alias 'docs' points at no index"):
        ingest.count_effects(empty)
    assert ingest.apply_batch(empty, stream="dag") == ingest.Applied()


def test_the_process_writer_works_and_ends_at_sigterm(built: Conn, built_url: str) -> None:
    source(built, 5)
    env = {**os.environ, "PYTHONPATH": str(INCLUDE), "DOCS_DB_URL": built_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.writers.ingest"], env=env, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: ingest.lag(built) == 0, seconds=20)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert ingest.count_effects(built) == {"written": 5, "duplicated": 0, "lost": 0}

"""The product's index build on a real PostgreSQL: killed and resumed, caught up, published, refused."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from tests.sandbox.index_world import TEXT, World, held

from sandbox.service import build as sandbox_build
from sandbox.service import corpus
from switchover.errors import LockBusy, StateConflict, TargetRefused
from switchover.indexes.pgvector import PgvectorIndex
from switchover.indexing.documents import Position
from switchover.indexing.pgvector import PgvectorTarget
from switchover.ledger import Ledger

ROOT = Path(__file__).parents[2]
Conn = psycopg.Connection[Any]


def test_a_build_holds_every_document_and_describes_itself(world: World) -> None:
    built = world.builder(hnsw={}).run()
    assert built.changed and built.remaining == 0
    assert {row[0].split(":")[0] for row in world.rows("arm")} == {f"doc-{n:02d}" for n in range(12)}
    found = held(world)
    assert (found.index_hash, found.proof.tally.sum.count) == (built.manifest.index_hash, len(world.rows("arm")))
    assert world.conn.execute("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'").fetchone() == (1,)
    assert any(line.startswith("load: 12 of 12 documents (100%)") for line in world.said)


def test_a_repeat_changes_nothing_and_says_so(world: World) -> None:
    first = world.builder().run()
    before = world.oid("arm")
    again = world.builder().run()
    assert not again.changed
    assert again.manifest == first.manifest
    assert world.oid("arm") == before


def test_a_source_that_changed_is_built_anew_beside_what_is_there(world: World) -> None:
    world.builder().run()
    world.write("doc-03", 2, "New text.")
    builder = world.builder()
    builder.begin()
    builder.load()
    assert "New text." not in {row[1] for row in world.rows("arm")}, "the old index stands until the new one is whole"
    assert builder.publish().changed
    assert "New text." in {row[1] for row in world.rows("arm")}
    assert world.conn.execute("SELECT count(*) FROM switchover_build").fetchone() == (0,)


def test_it_goes_on_behind_the_last_batch_that_was_stored(world: World) -> None:
    whole = world.builder("other").run()
    builder = world.builder()
    builder.begin()
    loaded = builder._target.load
    calls = []

    def dying(batch: Any, **how: Any) -> None:
        calls.append(batch)
        if len(calls) == 3:
            raise RuntimeError("the network is gone")
        loaded(batch, **how)

    builder._target.load = dying  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="network is gone"):
        builder.load()
    stored = world.builder()._target.checkpoint()
    assert stored is not None and stored.documents == sum(len(batch.documents) for batch in calls[:2])
    resumed = world.builder().run()
    assert any(line.startswith(f"going on behind {stored.documents} documents") for line in world.said)
    assert resumed.manifest.index_hash == whole.manifest.index_hash
    assert world.rows("arm") == world.rows("other")


def test_what_is_written_meanwhile_is_caught_up(world: World) -> None:
    """New, changed twice, deleted, committed late under an old revision: as if the build had begun afterwards."""
    builder = world.builder(hnsw={})
    builder.begin()
    builder.load()
    world.write("doc-12", 2)
    world.write("doc-03", 3, "Was changed.")
    world.write("doc-03", 4, "Was changed twice.")
    world.conn.execute("DELETE FROM documents WHERE doc = 'doc-05'")
    world.write("doc-00-late", 1)
    world.write("doc-06", 5, "   ")  # has no chunk any more
    builder.index()
    builder.catch_up()
    built = builder.publish()
    assert built.remaining == 0
    assert "compared: 1 documents are gone, 1 came late" in world.said
    fresh = world.builder("other", hnsw={}).run()
    assert built.manifest.index_hash == fresh.manifest.index_hash
    assert world.rows("arm") == world.rows("other")


def test_rows_are_read_for_their_revisions_only_where_the_source_is_not_what_was_loaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = world.builder()
    builder.begin()
    builder.load()
    asked: list[str] = []

    def revisions(target: PgvectorTarget, read: Any = PgvectorTarget.revisions) -> Iterator[tuple[str, int]]:
        asked.append("read")
        yield from read(target)

    monkeypatch.setattr(PgvectorTarget, "revisions", revisions)
    builder.catch_up()
    assert asked == []
    world.conn.execute("DELETE FROM documents WHERE doc = 'doc-05'")
    world.write("doc-00-late", 1)
    builder.catch_up()
    assert asked == ["read"]
    assert {row[0].split(":")[0] for row in world.rows("arm__build")} == {
        "doc-00-late",
        *(f"doc-{n:02d}" for n in range(12) if n != 5),
    }


def test_checkpoints_of_before_there_were_marks_are_made_anew(world: World) -> None:
    world.builder().begin()
    world.conn.execute("ALTER TABLE switchover_build DROP COLUMN marks")
    assert world.builder().run().changed


def test_a_document_that_changes_while_it_is_loaded_is_stored_once(world: World) -> None:
    """Killed, changed, resumed: the load meets the document again, with one chunk as before and one that is gone."""
    builder = world.builder()
    builder.begin()
    batches = builder._cut(builder._documents.after(Position()))
    first = next(batches)
    at = first.documents[-1].position
    builder._target.load(first, after=Position(), to=at, replace=False)
    changed = first.documents[0].doc
    world.write(changed, 2, TEXT.format(changed)[: first.chunks[0].end] + " Short.")
    built = world.builder().run()
    fresh = world.builder("other").run()
    assert built.manifest.index_hash == fresh.manifest.index_hash
    assert world.rows("arm") == world.rows("other")


def test_what_is_written_after_catching_up_remains_and_is_said(world: World) -> None:
    builder = world.builder()
    builder.begin()
    builder.load()
    builder.catch_up()
    world.write("doc-13", 7)
    world.write("doc-01", 8, "Changed.")
    built = builder.publish()
    assert built.remaining == 2
    assert built.line.endswith("; 2 documents were written since")
    assert built.manifest.facts.corpus_revision == 1
    assert held(world).index_hash == built.manifest.index_hash


def test_catching_up_ends_though_writes_never_do(world: World) -> None:
    builder = world.builder(catch_up=0)
    builder.begin()
    builder.load()
    counted = builder._documents.after
    revision = iter(range(10, 1000))

    def busy(position: Any) -> Any:
        world.write("doc-02", next(revision), "Again.")
        return counted(position)

    builder._documents.after = busy  # type: ignore[method-assign]
    builder.catch_up()
    assert sum(line.startswith("catch up: ") for line in world.said) == 20


def test_two_builds_of_one_target_do_not_mix(world: World) -> None:
    first, second = world.builder(), world.builder()
    first.begin()
    second.begin()
    batch, *_ = first._cut(first._documents.after(first._under_way().position))  # type: ignore[union-attr]
    start, to = first._under_way().position, batch.documents[-1].position  # type: ignore[union-attr]
    first._target.load(batch, after=start, to=to, replace=False)
    with pytest.raises(StateConflict, match="another build of it is running; this one has stopped"):
        second._target.load(batch, after=start, to=to, replace=False)
    assert len(world.rows("arm__build")) == len(batch.chunks)


def test_another_recipe_begins_again(world: World) -> None:
    begun = world.builder()
    begun.begin()
    begun.load()
    world.builder(encoder={"dimension": 64}).run()
    assert world.conn.execute("SELECT vector_dims(embedding) FROM arm LIMIT 1").fetchone() == (64,)
    with pytest.raises(StateConflict, match="no build of 'arm' is under way; start it again"):
        begun.publish()


def test_the_live_arm_is_never_replaced(world: World) -> None:
    world.builder().run()
    before = world.rows("arm")
    world.write("doc-20", 2)
    begun = world.builder()
    begun.begin()
    begun.load()
    world.live = "arm"
    with pytest.raises(TargetRefused, match="'arm' is live"):
        begun.publish()
    with pytest.raises(TargetRefused, match="'arm' is live"):
        world.builder(encoder={"dimension": 64}).begin()
    assert world.rows("arm") == before


def test_a_table_that_somebody_reads_is_waited_for_and_then_left(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("switchover.indexing.pgvector.LOCK_S", "100ms")
    world.builder().run()
    world.write("doc-20", 2)
    builder = world.builder()
    builder.begin()
    builder.load()
    with world.conn.transaction():
        world.conn.execute("SELECT count(*) FROM arm")
        with pytest.raises(LockBusy, match="a lock was not granted in time; this transaction changed nothing"):
            builder.publish()
    assert builder.publish().changed


def test_killed_again_and_again_it_ends_as_if_unbroken(fresh_db_url: str, tmp_path: Path) -> None:
    """By the command line and a plan, over the whole corpus, with SIGKILL while batches are being stored."""
    with psycopg.connect(fresh_db_url, autocommit=True) as conn:
        wanted = sandbox_build.build(conn, sandbox_build.DOCS_V1)
        sandbox_build.point(conn, alias="docs", target="docs_v1")
        Ledger(engine=sa.create_engine(fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1))).create_tables()
        command, env = _command(fresh_db_url, tmp_path)
        documents = len(corpus.documents())
        for share in (0.25, 0.6):
            process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
            while _stored(conn) < documents * share:
                assert process.poll() is None, "it ended before it could be killed"
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert _stored(conn) < documents
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "going on behind " in done.stderr
        built = json.loads(done.stdout)
        unbroken = sandbox_build.build(conn, dataclasses.replace(sandbox_build.DOCS_V2, target="unbroken"))
        assert built["index_hash"] == unbroken.index_hash != wanted.index_hash
        assert conn.execute("SELECT count(*) FROM docs_v2").fetchone() == (unbroken.facts.count,)
        pins = (
            PgvectorIndex(engine=sa.create_engine(fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1)))
            .manifest("docs_v2")
            .pins
        )
        assert pins["RERANK_CONF"] == wanted.pins["RERANK_CONF"], "what a build does not make is the live arm's"


def _stored(conn: Conn) -> int:
    row = conn.execute("SELECT documents FROM switchover_build WHERE target = 'docs_v2'").fetchone()
    return int(row[0]) if row else 0


def _command(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    from tests.world import connection

    text = (ROOT / "include" / "plans" / "docs.yaml").read_text()
    plan = folder / "plan.yaml"
    text = text.replace("../gold/", f"{ROOT}/include/gold/")
    plan.write_text(text.replace("  hnsw: {}", "  hnsw: {}\n  batch: 40"))
    command = [sys.executable, "-m", "switchover.cli", "build", "--plan", str(plan), "--json"]
    names = ("AIRFLOW_CONN_DOCS_DB", "AIRFLOW_CONN_SWITCHOVER_LEDGER")
    return command, {**os.environ, **dict.fromkeys(names, connection(url))}

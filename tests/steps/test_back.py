"""The way back after a promotion: writers stand still, Blue is proven, the pointer goes back, and no write is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from sandbox.writers import ingest
from sandbox.writers.writes import count_writes
from switchover.cli.entry import main
from switchover.errors import DrainTimeout, NotConverged, PointerConflict, StateConflict, TargetRefused
from switchover.fence import Fence
from switchover.fence.postgres import PostgresStore
from switchover.ledger.ttr import ttr
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.steps import back as way_back
from switchover.steps import finish
from switchover.steps.back import go_back, look_back
from switchover.steps.breakglass import break_glass
from switchover.steps.doctor import advice
from switchover.steps.flip import flip
from switchover.steps.switch import Switch
from switchover.writers.queue import How, WriteQueue
from tests.sandbox.test_writes import constant_writes, served, until
from tests.steps.conftest import World

STREAM = "edits"


@pytest.fixture
def promoted(world: World) -> Iterator[World]:
    """``docs_v2`` was promoted, and the writers go on with it; what is written is taken away again afterwards."""
    promote(world)
    yield world
    world.sql("DELETE FROM docs_v1 WHERE doc LIKE 'ingest/%'")
    world.sql("DELETE FROM documents WHERE doc LIKE 'ingest/%'")
    world.sql("TRUNCATE ingest_source, ingest_position, ingest_effect, switchover_effects")
    world.sql("DROP TABLE IF EXISTS switchover_intent, log")


def promote(world: World, plan: Plan | None = None) -> None:
    switch = world.warmed(plan=plan)
    flip(switch)
    switch.leadership.take()
    switch.decide(Decision.PROMOTE, reason="every rule passes")
    finish.unfreeze(switch)
    finish.restore(switch)
    assert (world.live, world.frozen) == ("docs_v2", False)


def back(world: World, plan: Plan | None = None) -> Any:
    return go_back(plan=plan or world.plan, edge=world.edge, actor="test", person="ada")


def test_with_writes_in_between_none_is_lost_and_none_is_doubled(
    promoted: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox's own HTTP writer in a process of its own; each index has its position, so Blue catches up."""
    world = promoted
    for name, value in world.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)
    with psycopg.connect(world.db_url, autocommit=True) as conn:
        WriteQueue.create_table(conn)
        with served(world.db_url) as url:
            with constant_writes(url) as load:
                until(lambda: sum(load.accepted.values()) >= 40)
                assert main(["back", "--service", "docs", "--yes"]) == 0
                then = sum(load.accepted.values())
                until(lambda: sum(load.accepted.values()) >= then + 20)
            taken_in = sum(load.accepted.values())
            until(lambda: ingest.count_effects(conn)["written"] >= taken_in)
        told = capsys.readouterr().out
        assert world.live == "docs_v1" and not world.frozen
        counted = count_writes(conn, load.accepted)
        assert {name: counted[name] for name in ("lost", "duplicated", "out_of_order")} == dict.fromkeys(
            ("lost", "duplicated", "out_of_order"), 0
        )
        effects = ingest.count_effects(conn)
    assert effects == {"written": taken_in, "duplicated": 0, "lost": 0} and taken_in >= 60
    total = float(re.search(r"time to restore \(seconds\): .*total ([0-9.]+)", told).group(1))  # type: ignore[union-attr]
    print(f"{effects}, time to restore {total:g} s")
    assert 0 < total <= world.plan.rollback.ttr_s
    assert re.search(r"index 'docs_v2': \d+ rows, \+\d+ since its build", told)


class Edits:
    """Writes whose effect is on the live arm alone, behind the write gate of the plan's writer."""

    def __init__(self, world: World, conn: psycopg.Connection[Any]) -> None:
        self._world, self._conn = world, conn
        fence = Fence(store=PostgresStore(conn), holder="test")
        self._queue = WriteQueue(fence=fence, gate="docs_ingest", stream=STREAM, keep_h=72)
        conn.execute("CREATE TABLE log (id bigserial, arm text, key text, revision int)")

    def put(self, key: str, revision: int) -> How:
        payload = {"key": key, "revision": revision}
        return self._queue.write(self._conn, key=key, revision=revision, payload=payload, apply=self._store)

    def drain(self) -> int:
        return self._queue.drain(self._conn, apply=self._store, onto=lambda: self._world.live)

    def _store(self, payload: Any) -> None:
        self._conn.execute(
            "INSERT INTO log (arm, key, revision) VALUES (%s, %s, %s)",
            [self._world.live, payload["key"], payload["revision"]],
        )

    def on(self, arm: str) -> list[tuple[Any, ...]]:
        return self._conn.execute("SELECT key, revision FROM log WHERE arm = %s ORDER BY id", [arm]).fetchall()


@pytest.fixture
def edits(world: World) -> Iterator[Edits]:
    with psycopg.connect(world.db_url, autocommit=True) as conn:
        conn.execute("DROP TABLE IF EXISTS log, switchover_intent")
        WriteQueue.create_table(conn)
        PostgresStore(conn).create_table()
        conn.execute("TRUNCATE switchover_effects")
        yield Edits(world, conn)
        conn.execute("DROP TABLE log, switchover_intent")


@pytest.fixture
def replaying(world: World) -> Plan:
    queue = {"connection": "docs_db", "stream": STREAM, "replay": True}
    spec = world.plan.writers[0]
    spec = type(spec).model_validate({**spec.model_dump(), "queue": queue})
    return world.plan.model_copy(update={"writers": [spec]})


def test_what_only_green_has_is_put_back_and_applied_once_and_in_order(
    world: World, edits: Edits, replaying: Plan
) -> None:
    edits.put("a", 1)  # before the switchover: both arms have it, or it is not ours to repair
    promote(world, replaying)
    assert [edits.put("a", 2), edits.put("b", 1), edits.put("a", 2)] == [How.APPLIED, How.APPLIED, How.REPEATED]
    found = look_back(plan=replaying, edge=world.edge)
    assert found.lines[0] == (
        "writer 'ingest process': what it has written since the promotion is put back in its queue: 2"
    )
    came = back(world, replaying)
    assert came.row.state is State.PROMOTED and world.live == "docs_v1"
    assert edits.put("a", 3) is How.QUEUED, "what was put back goes first"
    while edits.drain():
        pass
    assert edits.put("b", 2) is How.APPLIED
    assert edits.on("docs_v1") == [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("b", 2)]
    assert edits.on("docs_v2") == [("a", 2), ("b", 1)], "nothing was taken from Green, and nothing doubled there"


def test_a_crash_between_the_resume_and_its_record_applies_nothing_twice(
    world: World, edits: Edits, replaying: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(world, replaying)
    edits.put("a", 1)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("switchover.ledger.journal.Journal.resumed", dies)
        patched.setattr(way_back, "restore", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            back(world, replaying)
    assert not world.frozen, "the gate was opened, and that was not written down"
    edits.drain()
    edits.put("b", 1)
    (run,) = world.ledger.runs.left_frozen_on(world.plan.pointer.build(world.edge).key)
    assert run.back_of == "docs:1"
    finish.restore(Switch.open(edge=world.edge, ledger=world.plan.ledger, id=run.id, actor="test"))
    edits.drain()
    assert edits.on("docs_v1") == [("a", 1), ("b", 1)]


def test_the_time_to_restore_counts_from_the_yes_and_has_its_parts(promoted: World) -> None:
    came = back(promoted)
    parts = ttr(came.row)
    assert parts is not None and parts["total"] is not None and parts["hand_over"] is not None
    assert parts["decide"] == 0.0
    shown = sum(parts[name] or 0.0 for name in ("decide", "hand_over", "flip", "converge"))
    assert shown == pytest.approx(parts["total"], abs=0.01)
    told = [event["text"] for event in promoted.ledger.journal.events(came.row.id)]
    assert any("time to restore" in text and "within the budget of 120 s" in text for text in told)
    assert any(text.startswith("ada takes back switchover 'docs:1'") for text in told), "audited"
    assert came.writers == ["ingest process"]


def gone(world: World) -> None:
    world.sql("UPDATE switchover_manifest SET index_hash = repeat('0', 64) WHERE target = 'docs_v1'")


def moved(world: World) -> None:
    world.sql("UPDATE switchover_alias SET target = 'elsewhere', version = version + 1 WHERE alias = 'docs'")


def late(world: World) -> None:
    world.sql("UPDATE switchover_run SET ended_at = ended_at - interval '80 hours'")


@pytest.mark.parametrize(
    ("spoil", "error", "told"),
    [
        (gone, TargetRefused, "carries INDEX_HASH 000"),
        (moved, PointerConflict, "is on 'elsewhere', not on 'docs_v2'"),
        (late, StateConflict, "was open for 72 h after the promotion"),
    ],
)
def test_what_cannot_go_back_is_refused_and_nothing_is_changed(
    promoted: World, spoil: Callable[[World], None], error: type[Exception], told: str
) -> None:
    before = promoted.sql("SELECT index_hash FROM switchover_manifest WHERE target = 'docs_v1'")[0][0]
    spoil(promoted)
    live = promoted.live
    with pytest.raises(error, match=told):
        back(promoted)
    assert (promoted.live, promoted.frozen) == (live, False)
    assert [row.id for row in promoted.ledger.runs.latest()] == ["docs:1"], "no run was opened"
    promoted.sql(f"UPDATE switchover_manifest SET index_hash = '{before}' WHERE target = 'docs_v1'")


def test_an_arm_that_does_not_answer_and_a_reader_that_does_not_are_found_before_anything_stands_still(
    promoted: World,
) -> None:
    deaf = promoted.plan.model_copy(
        update={"readers": [promoted.plan.readers[0].model_copy(update={"path": "/healthz/ready"})], "converge_s": 0.3}
    )
    with pytest.raises(NotConverged):
        back(promoted, deaf)
    arm = promoted.plan.arms["docs_v1"]
    lost = promoted.plan.model_copy(
        update={
            "arms": {
                **promoted.plan.arms,
                "docs_v1": arm.model_copy(update={"headers": {"x-arm": "nobody"}, "ready": None}),
            }
        }
    )
    with pytest.raises(TargetRefused, match="arm 'docs_v1': does not answer"):
        back(promoted, lost)
    assert (promoted.live, promoted.frozen) == ("docs_v2", False)


def test_one_that_is_stopped_on_its_way_ends_where_it_began(promoted: World) -> None:
    slow = promoted.plan.writers[0].model_copy(update={"drain_s": 0.5})
    with psycopg.connect(promoted.db_url) as conn:
        conn.execute("SELECT 1 FROM switchover_fence WHERE fence = 'docs_ingest' FOR SHARE")
        with pytest.raises(DrainTimeout):
            back(promoted, promoted.plan.model_copy(update={"writers": [slow]}))
    row = promoted.ledger.runs.latest()[0]
    assert (row.state, row.back_of) == (State.ABORTED, "docs:1")
    assert (promoted.live, promoted.frozen) == ("docs_v2", False)
    assert back(promoted).row.state is State.PROMOTED, "and it may be asked for again"


def test_what_is_advised_after_a_promotion_is_not_refused(promoted: World) -> None:
    with pytest.raises(StateConflict, match="`switchover back --service docs`") as caught:
        break_glass(plan=promoted.plan, edge=promoted.edge, actor="test", person="ada")
    assert "rollback__docs with after_promotion" in str(caught.value)
    came = back(promoted)
    assert advice(promoted.edge, promoted.ledger, came.row) == ["nothing to do: it has ended"]
    with pytest.raises(StateConflict, match="is a way back itself, and 'docs_v2' was given up; instead trigger"):
        back(promoted)
    with pytest.raises(TargetRefused, match=f"which switchover '{re.escape(came.row.id)}' took back at .* retry_build"):
        promoted.open("docs:2")


def test_nobody_can_be_asked_without_a_terminal(promoted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in promoted.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)
    assert main(["back", "--service", "docs"]) == 2
    assert promoted.live == "docs_v2"

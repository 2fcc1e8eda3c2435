"""Crashes, time-outs, foreign moves and targets that vanish: the pointer and the writers end up right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from switchover.errors import (
    DrainTimeout,
    InvariantBroken,
    LeaseLost,
    NotConverged,
    PointerConflict,
    StateConflict,
    TargetRefused,
    Unreachable,
)
from switchover.pointers import Applied, Change, Pointer
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.act import advance
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from tests.steps.conftest import World


class Faulty:
    """The real pointer, behind a line that breaks: an apply is done (or not) and then gives no answer."""

    def __init__(self, pointer: Pointer, *, applies: bool, times: int = 1) -> None:
        self._pointer = pointer
        self._applies = applies
        self._times = times

    def apply(self, change: Change) -> Applied:
        if self._times:
            self._times -= 1
            if self._applies:
                self._pointer.apply(change)
            raise Unreachable("the line broke")
        return self._pointer.apply(change)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pointer, name)


def behind(switch: Switch, **faults: Any) -> Switch:
    """The same run with a faulty line to its pointer."""
    switch.__dict__["pointer"] = Faulty(switch.pointer, **faults)
    return switch


@pytest.mark.parametrize("applies", [True, False], ids=["applied", "not applied"])
def test_no_answer_to_a_flip_is_read_back_and_decided(world: World, applies: bool) -> None:
    switch = behind(world.warmed(), applies=applies)
    flip(switch)
    assert switch.read().state is State.HOLDING
    assert world.live == "docs_v2"
    assert world.sql("SELECT version FROM switchover_alias")[0][0] == 2, "moved once, not twice"


@pytest.mark.parametrize("applies", [True, False], ids=["applied", "not applied"])
def test_no_answer_to_a_rollback_is_read_back_and_decided(world: World, applies: bool) -> None:
    switch = world.warmed()
    flip(switch)
    finish.rollback(behind(world.again(switch), applies=applies))
    assert switch.read().state is State.ROLLED_BACK
    assert world.live == "docs_v1"
    assert not world.frozen


def test_a_store_that_never_answers_leaves_the_intent_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchover.steps.act.time.sleep", lambda seconds: None)
    switch = behind(world.warmed(), applies=False, times=99)
    with pytest.raises(Unreachable, match="the line broke"):
        flip(switch)
    assert switch.read().state is State.FLIPPING
    assert world.live == "docs_v1"
    assert finish.restore(world.again(switch)).startswith("aborted")
    assert not world.frozen


def test_a_crash_between_intent_and_apply(world: World) -> None:
    switch = world.warmed()
    switch.leadership.take()
    switch.move(State.FLIPPING)
    assert finish.restore(world.again(switch)).startswith("aborted")
    assert world.live == "docs_v1"
    assert not world.frozen


def test_a_crash_between_apply_and_record(world: World) -> None:
    switch = world.warmed()
    switch.leadership.take()
    switch.move(State.FLIPPING)
    advance(switch)
    assert world.live == "docs_v2"
    assert switch.read().state is State.FLIPPING
    assert finish.restore(world.again(switch)).startswith("rolled_back")
    assert world.live == "docs_v1"
    assert not world.frozen


def test_a_step_that_is_repeated_after_a_crash_goes_on(world: World) -> None:
    switch = world.warmed()
    switch.leadership.take()
    switch.move(State.FLIPPING)
    advance(switch)
    flip(world.again(switch))
    assert switch.read().state is State.HOLDING
    flip(world.again(switch))
    assert world.sql("SELECT version FROM switchover_alias")[0][0] == 2


def test_a_run_that_is_killed_in_the_hold_is_rolled_back_by_the_teardown(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    assert finish.restore(world.again(switch)).startswith("rolled_back")
    assert world.live == "docs_v1"
    assert not world.frozen
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None
    assert not lease.alive
    assert finish.restore(world.again(switch)).startswith("rolled_back"), "a repeat changes nothing"


def test_a_zombie_that_wakes_after_its_lease_was_taken_cannot_flip(world: World) -> None:
    zombie = world.warmed()
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    other = world.ledger.leases.take(zombie.pointer.key, holder="watchdog", seconds=60)
    with pytest.raises(LeaseLost, match="held by 'watchdog'"):
        flip(zombie)
    zombie.pointer.refuse_older(other.epoch)
    change = Change(before="docs_v1", after="docs_v2", epoch=1, actor="zombie", approved_hash="x")
    with pytest.raises(LeaseLost, match=f"epoch {other.epoch} has written, this holder has 1"):
        zombie.pointer.apply(change)
    assert world.live == "docs_v1"


def test_a_foreign_move_in_the_hold_stops_and_touches_nothing(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    world.sql("UPDATE switchover_alias SET target = 'docs_v0' WHERE alias = 'docs'")
    with pytest.raises(PointerConflict, match="'docs_v0', which is neither Blue 'docs_v1' nor Green 'docs_v2'"):
        finish.rollback(switch)
    assert switch.read().state is State.STUCK
    assert world.live == "docs_v0"
    assert world.frozen, "no arm is proven live, so the writers stay frozen"
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    assert finish.restore(world.again(switch)).startswith("rolled_back"), "put right by a person, it comes to its end"
    assert not world.frozen


def test_somebody_else_s_rollback_is_recognised(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    finish.rollback(switch)
    assert switch.read().state is State.ROLLED_BACK
    assert not world.frozen


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("DROP TABLE docs_v2", "index 'docs_v2': does not exist"),
        ("DELETE FROM docs_v2", "index 'docs_v2': is empty"),
        ("UPDATE switchover_manifest SET index_hash = 'other' WHERE target = 'docs_v2'", "carries INDEX_HASH other"),
    ],
)
def test_a_green_that_vanished_since_verify_never_becomes_live(world: World, damage: str, message: str) -> None:
    switch = world.warmed()
    world.sql(damage)
    with pytest.raises(TargetRefused) as raised:
        flip(switch)
    assert message in str(raised.value)
    assert "the pointer was not moved" in str(raised.value)
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert finish.rollback(switch) == ["ingest process"]
    assert switch.read().state is State.ABORTED
    assert world.live == "docs_v1"


def test_a_reader_that_does_not_follow_brings_the_pointer_back(world: World) -> None:
    switch = world.warmed()
    lagging = switch.plan.readers[0].model_copy(update={"name": "lagging", "path": "/healthz/ready"})
    switch.__dict__["plan"] = switch.plan.model_copy(
        update={"readers": [*switch.plan.readers, lagging], "converge_s": 0.5}
    )
    with pytest.raises((NotConverged, Unreachable), match="lagging"):
        flip(switch)
    assert world.live == "docs_v2"
    assert finish.promote_or_roll_back(world.again(switch)) is Decision.ROLL_BACK
    finish.rollback(world.again(switch))
    assert world.live == "docs_v1"


@contextlib.contextmanager
def open_write(world: World) -> Iterator[None]:
    with psycopg.connect(world.db_url) as connection:
        connection.execute("SELECT frozen FROM switchover_fence WHERE fence = 'docs_ingest' FOR SHARE")
        yield


def test_a_writer_that_does_not_drain_aborts_and_everything_is_resumed(world: World) -> None:
    writer = world.plan.writers[0].model_copy(update={"drain_s": 1.2})
    plan = world.plan.model_copy(update={"writers": [writer]})
    switch = world.open(plan=plan)
    with open_write(world), pytest.raises(DrainTimeout, match="'ingest process': not drained after 1.2 s"):
        freeze(switch)
    assert not flip_or_abort(switch)
    assert switch.read().reason.startswith("freeze: DrainTimeout")
    assert finish.abort(switch) == ["ingest process"]
    assert not world.frozen


def test_a_write_in_flight_is_waited_for(world: World) -> None:
    switch = world.open()
    with psycopg.connect(world.db_url) as connection:
        connection.execute("SELECT frozen FROM switchover_fence WHERE fence = 'docs_ingest' FOR SHARE")
        switch.writers[0].freeze(epoch=1)
        assert not switch.writers[0].drained().done
        connection.commit()
        assert switch.writers[0].drained().done
    assert world.frozen


def test_a_writer_that_was_found_frozen_stays_frozen(world: World) -> None:
    world.sql("UPDATE switchover_fence SET frozen = true")
    switch = world.open()
    freeze(switch)
    finish.abort(switch)
    assert world.frozen, "unfreeze restores exactly what was found"


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("DROP TABLE docs_v2", "Green index docs_v2: found absent"),
        ("DELETE FROM docs_v2", "Green index docs_v2: found empty"),
        ("DELETE FROM switchover_manifest WHERE target = 'docs_v2'", "without a manifest"),
        ("UPDATE docs_v2 SET text = text || '!' WHERE id = (SELECT min(id) FROM docs_v2)", "Green INDEX_HASH: found"),
        ("DELETE FROM docs_v2 WHERE id = (SELECT min(id) FROM docs_v2)", "Green count: found"),
        (
            "UPDATE switchover_manifest SET manifest = jsonb_set(manifest, '{pins,PROMPT_VER}', '\"9\"')"
            " WHERE target = 'docs_v2'",
            "undeclared: PROMPT_VER",
        ),
        ("UPDATE documents SET text = 'gone'", "gold set: found"),
        ("DELETE FROM request_log", "signals answer: found"),
    ],
)
def test_verify_names_what_is_wrong_and_nothing_flips(world: World, damage: str, named: str) -> None:
    corpus = world.sql("SELECT doc, text FROM documents")
    switch = world.open()
    freeze(switch)
    if "request_log" in damage:  # the load goes on; its rows must not count as fresh
        world.sql("CREATE TABLE IF NOT EXISTS dead_log (LIKE request_log)")
        switch.__dict__["plan"] = switch.plan.model_copy(
            update={"signals": switch.plan.signals.model_copy(update={"table": "dead_log"})}
        )
    else:
        world.sql(damage)
    try:
        with pytest.raises(InvariantBroken) as raised:
            verify(switch)
        assert named in str(raised.value)
        assert switch.read().state is State.FROZEN
        assert switch.read().approved_hash is None
        assert not flip_or_abort(switch)
        finish.abort(switch)
        assert (world.live, world.frozen) == ("docs_v1", False)
    finally:
        with psycopg.connect(world.db_url, autocommit=True) as connection:
            connection.cursor().executemany(
                "UPDATE documents SET text = %s WHERE doc = %s", [(text, doc) for doc, text in corpus]
            )


def test_an_arm_that_lacks_a_secret_is_refused(world: World) -> None:
    plan = world.plan.model_copy(update={"secrets": ["DOCS_SERVICE_TOKEN", "PAYMENT_KEY"]})
    switch = world.open(plan=plan)
    freeze(switch)
    with pytest.raises(InvariantBroken, match="Green secrets: found absent: PAYMENT_KEY"):
        verify(switch)


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE", "ERROR"])
def test_only_a_pass_opens_a_gate(world: World, outcome: str) -> None:
    switch = world.warmed()
    body = {"rule": "coverage", "outcome": outcome, "detail": "0.41, not >= 0.7"}
    world.ledger.journal.judged(switch.id, gate="acceptance", tick=0, verdicts=[body])
    assert not flip_or_abort(switch)
    assert switch.read().reason == f"acceptance gate: coverage {outcome}: 0.41, not >= 0.7"
    with pytest.raises(StateConflict, match="does not go on: the run ends before its flip"):
        flip(switch)
    assert world.live == "docs_v1"


@pytest.mark.parametrize("outcome", ["FAIL", "INCONCLUSIVE", "ERROR"])
def test_only_a_pass_ends_a_hold_well(world: World, outcome: str) -> None:
    switch = world.warmed()
    flip(switch)
    passed = {"rule": "error_rate", "outcome": "PASS", "detail": ""}
    other = {"rule": "coverage", "outcome": outcome, "detail": "d"}
    world.ledger.journal.judged(switch.id, gate="hold", tick=3, verdicts=[passed, other])
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert f"coverage {outcome}" in switch.read().reason


def test_a_step_out_of_its_order_is_refused(world: World) -> None:
    switch = world.open()
    with pytest.raises(StateConflict, match="is planned; flip needs warmed"):
        flip(switch)
    with pytest.raises(StateConflict, match="nobody decided to promote"):
        finish.unfreeze(switch)
    assert world.live == "docs_v1"


def test_a_run_that_has_ended_freezes_nobody(world: World) -> None:
    switch = world.open()
    freeze(switch)
    finish.abort(switch)
    with pytest.raises(StateConflict, match="is aborted; writers are frozen at a run's beginning"):
        freeze(world.again(switch))
    assert not world.frozen

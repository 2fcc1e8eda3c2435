"""The way back is walked before it is needed, and nothing flips when that was not done lately, or not in time."""

from __future__ import annotations

import threading

import pytest

from switchover.errors import BadInput, InvariantBroken, TargetRefused
from switchover.protocol import State
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.rehearse import rehearse_service
from switchover.steps.verify import verify
from tests.steps.conftest import World

AGE = "UPDATE switchover_rehearsal SET at = at - interval '{hours} hours'"


def test_a_rehearsal_outside_a_run_moves_nothing_and_is_kept(world: World) -> None:
    before = world.sql("SELECT * FROM switchover_alias")
    found = rehearse_service(plan=world.plan, edge=world.edge, actor="test")
    assert found.ok
    assert found.seconds is not None and 0 < found.seconds <= found.budget_s == 120
    assert (found.blue, found.green) == ("docs_v1", "docs_v2")
    assert world.ledger.rehearsals.newest(found.pointer) == found
    assert world.sql("SELECT * FROM switchover_alias") == before, "the shadow is gone, the pointer as it was"


def test_one_that_cannot_move_is_kept_as_failed(world: World) -> None:
    world.sql("DELETE FROM switchover_manifest WHERE target = 'docs_v2'")
    with pytest.raises(TargetRefused, match="'docs_v2' has INDEX_HASH none"):
        rehearse_service(plan=world.plan, edge=world.edge, actor="test")
    found = world.ledger.rehearsals.newest(world.plan.pointer.build(world.edge).key)
    assert found is not None
    assert (found.ok, found.seconds) == (False, None)
    assert "INDEX_HASH none" in found.note


def test_a_pointer_on_no_arm_cannot_be_rehearsed(world: World) -> None:
    world.sql("UPDATE switchover_alias SET target = 'docs_v0'")
    with pytest.raises(BadInput, match="'docs_v0', none of the plan's arms"):
        rehearse_service(plan=world.plan, edge=world.edge, actor="test")


def test_two_rehearsals_at_once_wait_for_each_other(world: World) -> None:
    found = []

    def walk(actor: str) -> None:
        found.append(rehearse_service(plan=world.plan, edge=world.edge, actor=actor))

    threads = [threading.Thread(target=walk, args=(f"test {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.ok for each in found] == [True, True, True]


def test_verify_rehearses_and_that_counts(world: World) -> None:
    switch = world.warmed()
    newest = world.ledger.rehearsals.newest(switch.pointer.key)
    assert newest is not None
    assert newest.actor == "test"
    assert world.ledger.rehearsals.counted_seconds(switch.read(), switch.plan) == newest.seconds
    assert flip_or_abort(switch)


def test_a_flip_without_a_rehearsal_young_enough_is_refused(world: World) -> None:
    switch = world.warmed()
    world.sql(AGE.format(hours=169))
    assert world.ledger.rehearsals.counted_seconds(switch.read(), switch.plan) is None
    with pytest.raises(InvariantBroken, match="not rehearsed in the last 168 h; trigger rehearse__docs"):
        flip(switch)
    assert (switch.read().state, world.live) == (State.WARMED, "docs_v1")
    assert not flip_or_abort(switch)
    assert "not rehearsed in the last 168 h" in switch.read().reason


def test_any_rehearsal_that_is_young_enough_opens_the_flip(world: World) -> None:
    switch = world.warmed()
    world.sql(AGE.format(hours=169))
    rehearse_service(plan=world.plan, edge=world.edge, actor="by hand")
    flip(switch)
    assert world.live == "docs_v2"


def test_the_newest_rehearsal_must_have_met_its_budget(world: World) -> None:
    switch = world.warmed()
    world.sql("UPDATE switchover_rehearsal SET seconds = 121, ok = false, note = 'took 121 s'")
    with pytest.raises(InvariantBroken, match="did not meet it: took 121 s"):
        flip(switch)
    assert world.live == "docs_v1"


def test_a_way_back_over_its_budget_fails_verify(world: World) -> None:
    rollback = world.plan.rollback.model_copy(update={"ttr_s": 1e-6})
    switch = world.open(plan=world.plan.model_copy(update={"rollback": rollback}))
    freeze(switch)
    with pytest.raises(InvariantBroken, match="rollback path: found rehearsed in .* expected <= 1e-06 s"):
        verify(switch)


def test_a_hold_keeps_the_rehearsal_that_counted_at_its_flip(world: World) -> None:
    switch = world.warmed()
    world.sql(AGE.format(hours=167.9))
    flip(switch)
    counted = world.ledger.rehearsals.counted_seconds(switch.read(), switch.plan)
    assert counted is not None
    world.sql("UPDATE switchover_run SET flipped_at = flipped_at - interval '2 hours'")
    world.sql(AGE.format(hours=2))
    assert world.ledger.rehearsals.counted_seconds(switch.read(), switch.plan) == counted

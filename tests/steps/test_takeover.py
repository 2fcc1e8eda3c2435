"""Somebody else drives: a zombie, a newer process of the run, a watchdog, a person. One leads, the others say so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from switchover.errors import LeaseLost, StateConflict
from switchover.pointers import Applied, Change, Pointer
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.act import drive
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.hold import End, Tick, watch
from switchover.steps.switch import Switch
from tests.steps.conftest import World


class Sleepy:
    """The real pointer of a process that falls asleep before it moves it, and wakes when ``meanwhile`` is over."""

    def __init__(self, pointer: Pointer, meanwhile: Callable[[], None]) -> None:
        self._pointer = pointer
        self._meanwhile = meanwhile

    def apply(self, change: Change) -> Applied:
        self._meanwhile()
        return self._pointer.apply(change)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pointer, name)


def asleep(switch: Switch, meanwhile: Callable[[], None]) -> Switch:
    switch.__dict__["pointer"] = Sleepy(switch.pointer, meanwhile)
    return switch


def stand_in(world: World, switch: Switch, holder: str = "watchdog:here:1") -> Switch:
    """Another process that acts in the run's stead."""
    return Switch.open(edge=world.edge, ledger=world.plan.ledger, id=switch.id, actor=holder, holder=holder)


def rolled_back_by_another(world: World, switch: Switch) -> Switch:
    """The run's lease ran out; another took it, rolled back and let it go."""
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    other = stand_in(world, switch)
    other.leadership.take()
    other.decide(Decision.ROLL_BACK, reason="watchdog:here:1: nobody renewed the lease")
    drive(other)
    other.leadership.release()
    return other


def ticks(switch: Switch) -> list[Tick]:
    async def collect() -> list[Tick]:
        return [tick async for tick in watch(switch)]

    return asyncio.run(collect())


@pytest.mark.parametrize("lease", ["alive", "ran out"])
def test_a_zombie_of_the_run_itself_cannot_flip_after_the_run_rolled_back(world: World, lease: str) -> None:
    def meanwhile() -> None:
        if lease == "ran out":
            world.sql("UPDATE switchover_lease SET expires_at = now()")
        later = world.again(zombie)
        assert finish.promote_or_roll_back(later) is Decision.ROLL_BACK
        finish.rollback(later)

    zombie = asleep(world.warmed(), meanwhile)
    with pytest.raises(LeaseLost, match="epoch"):
        flip(zombie)
    assert zombie.read().state is State.ABORTED
    assert (world.live, world.frozen) == ("docs_v1", False)


def test_a_zombie_cannot_roll_back_what_a_later_run_promoted(world: World) -> None:
    def meanwhile() -> None:
        finish.restore(world.again(zombie))
        later = world.open("docs:2", retry_build=zombie.read().approved_hash)  # that build was taken back
        world.warm(later)
        flip(later)
        later.leadership.take()
        later.decide(Decision.PROMOTE, reason="test")
        finish.unfreeze(later)

    zombie = world.warmed()
    flip(zombie)
    asleep(zombie, meanwhile)
    with pytest.raises(LeaseLost):
        finish.rollback(zombie)
    assert world.live == "docs_v2"
    assert world.ledger.runs.get("docs:2").state is State.PROMOTED


def test_a_gate_that_wakes_late_cannot_promote_over_a_rollback(world: World) -> None:
    zombie = world.warmed()
    flip(zombie)
    zombie.leadership.take()
    rolled_back_by_another(world, zombie)
    with pytest.raises(LeaseLost, match="held by 'watchdog:here:1'"):
        zombie.decide(Decision.PROMOTE, reason="late")
    with pytest.raises(LeaseLost):
        zombie.move(State.PROMOTED)
    assert (zombie.read().state, zombie.read().decision) == (State.ROLLED_BACK, Decision.ROLL_BACK)


def test_what_a_stand_in_rolled_back_the_run_s_tasks_see_and_only_resume(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    rolled_back_by_another(world, switch)
    assert (world.live, world.frozen) == ("docs_v1", True)
    moves = len(world.ledger.journal.flips(switch.id))

    last = ticks(world.again(switch))[-1]
    assert last.end in (End.LEASE_LOST, End.OVERTAKEN)
    assert finish.promote_or_roll_back(world.again(switch)) is Decision.ROLL_BACK
    assert finish.rollback(world.again(switch)) == ["ingest process"]
    assert not world.frozen
    assert finish.restore(world.again(switch)).startswith("rolled_back; pointer on 'docs_v1'; 0 writers")
    assert switch.read().reason == "watchdog:here:1: nobody renewed the lease"
    assert len(world.ledger.journal.flips(switch.id)) == moves, "nobody moved the pointer again"
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None and not lease.alive


def test_a_person_seizes_a_living_hold_and_the_hold_says_so(world: World) -> None:
    switch = world.warmed()
    flip(switch)

    async def seized() -> list[Tick]:
        seen = []
        async for tick in watch(switch):
            seen.append(tick)
            await asyncio.to_thread(seize)
        return seen

    def seize() -> None:
        person = stand_in(world, switch, "person:ada")
        person.leadership.take(seize=True)
        person.decide(Decision.ROLL_BACK, reason="person:ada: complaints")
        drive(person)

    last = asyncio.run(seized())[-1]
    if last.end is End.LEASE_LOST:
        assert "held by 'person:ada' since" in last.line and f"seized from '{switch.id}'" in last.line
    else:  # the person was done before the next beat
        assert last.end is End.OVERTAKEN and "person:ada: complaints" in last.line
    told = [event["text"] for event in world.ledger.journal.events(switch.id)]
    assert any(f"seized from '{switch.id}', epoch" in text for text in told), told
    assert finish.promote_or_roll_back(world.again(switch)) is Decision.ROLL_BACK
    assert switch.read().reason == "person:ada: complaints"


def test_the_run_s_rollback_waits_for_the_stand_in_that_is_at_it(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    other = stand_in(world, switch)
    other.leadership.take()
    other.decide(Decision.ROLL_BACK, reason="the stand-in")
    done: list[str] = []
    waiting = threading.Thread(target=lambda: done.extend(finish.rollback(world.again(switch))))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive() and done == []
    drive(other)
    other.leadership.release()
    waiting.join(20)
    assert done == ["ingest process"]
    assert len([f for f in world.ledger.journal.flips(switch.id) if f["after"] == "docs_v1"]) == 1


def test_a_person_does_not_restore_a_run_that_is_driven(world: World) -> None:
    switch = world.warmed()
    with pytest.raises(LeaseLost, match=f"held by '{switch.id}'"):
        finish.restore(stand_in(world, switch, "person:ada"))
    assert switch.read().state is State.WARMED
    assert world.frozen


def test_a_run_that_a_person_ended_before_its_flip_is_not_flipped(world: World) -> None:
    switch = world.warmed()
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    finish.restore(stand_in(world, switch, "person:ada"))
    assert not flip_or_abort(world.again(switch))
    with pytest.raises(StateConflict, match="is aborted; flip needs warmed"):
        flip(world.again(switch))
    assert finish.abort(world.again(switch)) == []
    assert (world.live, world.frozen) == ("docs_v1", False)


def test_a_step_of_a_run_that_was_overtaken_by_a_newer_process_ends(world: World) -> None:
    old = world.warmed()
    flip(old)
    world.again(old).leadership.take()
    with pytest.raises(LeaseLost, match="may not write any more"):
        drive(old)
    assert world.live == "docs_v2"

"""Somebody else moves the pointer: never taken for this run's own move, told at once, and with an end that works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from switchover.errors import PointerConflict, SwitchoverError
from switchover.ledger import Lease
from switchover.ledger.leases import Leases
from switchover.notify import Event
from switchover.pointers import Applied, Change
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.doctor import diagnose
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.hold import End, Tick, watch
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.world import World


def colleague(world: World, target: str = "docs_v2") -> None:
    world.sql(
        f"UPDATE switchover_alias SET target = '{target}', version = version + 1, actor = 'a colleague'"
        " WHERE alias = 'docs'"
    )


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Event, str]]:
    """What people are told: event and detail."""
    seen: list[tuple[Event, str]] = []
    monkeypatch.setattr(Switch, "tell", lambda self, event, detail="", **more: seen.append((event, detail)))
    return seen


STEPS: dict[str, Callable[[Switch], object]] = {
    "freeze": freeze,
    "verify": verify,
    "warm": warm,
    "gate": flip_or_abort,
    "flip": flip,
}


def brought_to(world: World, step: str) -> Switch:
    """A run whose next step is this one."""
    if step in ("gate", "flip"):
        return world.warmed()
    switch = world.open()
    if step != "freeze":
        freeze(switch)
    if step == "warm":
        verify(switch)
    return switch


@pytest.mark.parametrize("step", list(STEPS))
def test_green_moved_by_a_colleague_is_never_adopted(world: World, told: list[Any], step: str) -> None:
    switch = brought_to(world, step)
    colleague(world)
    if step == "gate":
        assert flip_or_abort(switch) is False
    else:
        with pytest.raises(PointerConflict, match="'docs_v2' is live already, but not by this run"):
            STEPS[step](switch)
    row = switch.read()
    assert row.state is State.STUCK and "'docs_v1'" in row.reason and "'docs_v2'" in row.reason
    assert [event for event, _ in told] == [Event.STUCK], "told at once, and once"
    steps = diagnose(edge=world.edge, ledger=world.ledger, row=row).next
    assert "put it on 'docs_v1'" in steps[0] and steps[1] == f"then: switchover restore {switch.id}"
    assert world.ledger.journal.flips(switch.id) == [] and row.flipping_at is None, "and no flip was ever begun"
    for later in (finish.promote_or_roll_back, finish.rollback, finish.abort, finish.restore):
        try:
            later(world.again(switch))
        except SwitchoverError:
            continue
    assert (world.live, switch.read().state, switch.read().reason) == ("docs_v2", State.STUCK, row.reason)
    colleague(world, "docs_v1")
    assert finish.restore(world.again(switch)).startswith("aborted")
    assert not world.frozen


@pytest.mark.parametrize("step", list(STEPS))
def test_there_and_back_before_the_flip_ends_the_run(world: World, step: str) -> None:
    switch = brought_to(world, step)
    colleague(world)
    colleague(world, "docs_v1")
    if step == "gate":
        assert flip_or_abort(switch) is False
    else:
        with pytest.raises(SwitchoverError, match="moved the pointer away and back: its version was 1 and is 3 now"):
            STEPS[step](switch)
    finish.restore(world.again(switch))
    assert (switch.read().state, world.live, world.frozen) == (State.ABORTED, "docs_v1", False)
    assert world.ledger.journal.flips(switch.id) == []


def test_a_colleague_between_the_last_look_and_the_write_is_not_taken_for_us(world: World, told: list[Any]) -> None:
    switch = world.warmed()
    pointer = switch.pointer

    class Overtaken:
        def apply(self, change: Change) -> Applied:
            colleague(world)
            return pointer.apply(change)

        def __getattr__(self, name: str) -> Any:
            return getattr(pointer, name)

    switch.__dict__["pointer"] = Overtaken()
    with pytest.raises(PointerConflict, match="not by this run"):
        flip(switch)
    (intent,) = world.ledger.journal.flips(switch.id)
    assert intent["changed"] is False and intent["read_back_at"] is None
    assert (switch.read().state, world.live) == (State.STUCK, "docs_v2")
    assert [event for event, _ in told] == [Event.STUCK]


def look(switch: Switch) -> list[Tick]:
    async def collect() -> list[Tick]:
        return [tick async for tick in watch(switch)]

    return asyncio.run(collect())


def test_a_third_place_in_the_hold_is_told_at_once_with_both_values_and_the_command(
    world: World, told: list[Any]
) -> None:
    switch = world.warmed()
    flip(switch)
    colleague(world, "docs_v0")
    (tick,) = look(switch)
    assert tick.end is End.MOVED
    row = switch.read()
    assert row.state is State.STUCK, "in the hold's own look, not by a task that starts later"
    assert [event for event, _ in told].count(Event.STUCK) == 1
    steps = diagnose(edge=world.edge, ledger=world.ledger, row=row).next
    assert steps[1] == f"then: switchover restore {switch.id}"
    assert "'docs_v0'" in row.reason and "'docs_v1'" in row.reason and "'docs_v2'" in row.reason
    assert finish.promote_or_roll_back(world.again(switch)) is Decision.ROLL_BACK
    assert switch.read().reason == row.reason, "why it is stuck stands"
    assert world.frozen and world.live == "docs_v0"
    colleague(world, "docs_v1")
    assert finish.restore(world.again(switch)).startswith("rolled_back")
    assert not world.frozen


def test_there_and_back_in_the_hold_is_a_rollback(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    colleague(world, "docs_v1")
    colleague(world, "docs_v2")
    (tick,) = look(switch)
    assert tick.end is End.MOVED and "moved the pointer away and back" in tick.line
    assert finish.promote_or_roll_back(world.again(switch)) is Decision.ROLL_BACK
    finish.rollback(world.again(switch))
    assert (switch.read().state, world.live, world.frozen) == (State.ROLLED_BACK, "docs_v1", False)


def test_a_pointer_on_a_third_place_at_the_gate_promotes_nothing(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    body = {"rule": "by_hand", "outcome": "PASS", "detail": ""}
    world.ledger.journal.judged(switch.id, gate="hold", tick=0, verdicts=[body])
    colleague(world, "docs_v0")
    assert finish.promote_or_roll_back(world.again(switch)) is Decision.ROLL_BACK
    assert switch.read().state is State.STUCK and "'docs_v0'" in switch.read().reason


def test_a_pointer_that_moved_before_preflight_had_its_lease_opens_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the lease may be another run's Blue."""
    real = Leases.take

    def take(self: Leases, pointer: str, *, holder: str, seconds: float) -> Lease:
        colleague(world)
        return real(self, pointer, holder=holder, seconds=seconds)

    monkeypatch.setattr(Leases, "take", take)
    with pytest.raises(PointerConflict, match="was on 'docs_v1' and is on 'docs_v2' now"):
        world.open()
    assert world.ledger.runs.find("docs:1") is None

"""Approvals by the step functions: what an answer is bound to, and that waiting is no hole in the watch."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import Any

import pytest

from switchover.approval import Gate, Person
from switchover.errors import StateConflict
from switchover.gold.goldset import read_items
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.steps import approve, finish
from switchover.steps.approve import answer, approval_digest, ask, closed, waiting, wanted
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.hold import End, Tick
from switchover.steps.switch import Switch
from tests.steps.conftest import World


def asking(world: World, *gates: str, minutes: float = 30, approvers: int = 1, **other: Any) -> Switch:
    """A warmed run whose plan has people decide at these gates."""
    values = world.plan.model_dump(mode="json")
    more = {"approve": list(gates), "approvers": approvers, "approve_minutes": minutes, **other}
    values["hold"]["tick_s"] = 1.5
    switch = world.open(plan=Plan.model_validate({**values, **more}))
    world.warm(switch)
    return switch


def held(world: World, switch: Switch, outcome: str = "PASS") -> Switch:
    """The same run at the end of its hold, with this verdict."""
    flip(switch)
    body = {"rule": "coverage", "outcome": outcome, "detail": "by hand"}
    switch.ledger.journal.judged(switch.id, gate="hold", tick=0, verdicts=[body])
    return switch


def same(switch: Switch) -> dict[str, str]:
    return {"now_planned": approval_digest(switch.plan)}


def says(switch: Switch, gate: Gate, by: str | Person | None, approved: bool = True, **more: Any) -> str:
    by = Person(id=by, name=by) if isinstance(by, str) else by
    return answer(switch, gate, by=by, approved=approved, **{**same(switch), **more}).why


async def some(switch: Switch, gate: Gate, count: int) -> list[Tick]:
    ticks: list[Tick] = []
    async with contextlib.aclosing(waiting(switch, gate)) as looks:
        async for tick in looks:
            ticks.append(tick)
            if len(ticks) == count:
                break
    return ticks


def test_without_an_approval_nothing_is_flipped(world: World) -> None:
    switch = asking(world, "before_flip")
    assert wanted(switch) is Gate.BEFORE_FLIP
    with pytest.raises(StateConflict, match="has not passed; not flipped"):
        flip(switch)
    assert not flip_or_abort(switch)
    assert switch.read().reason.startswith("flip: StateConflict")
    finish.abort(switch)
    assert (switch.read().state, world.live) == (State.ABORTED, "docs_v1")


def test_an_approval_lets_the_flip_go_ahead(world: World) -> None:
    switch = asking(world, "before_flip")
    question = ask(switch, Gate.BEFORE_FLIP, **same(switch))
    assert question.subject == "Flip docs to docs_v2?" and question.fresh
    assert "EMBED" in question.body, "pins that differ"
    assert not ask(switch, Gate.BEFORE_FLIP, **same(switch)).fresh, "a repeat asks nothing new"
    assert says(switch, Gate.BEFORE_FLIP, "anna") == "before_flip: approved by anna"
    assert flip_or_abort(switch)
    flip(switch)
    assert world.live == "docs_v2"
    row = switch.ledger.approvals.of(switch.id)[0]
    assert (row["answered_by"], row["answer"], row["answered_at"] >= row["asked_at"]) == ("anna", "approved", True)
    assert wanted(switch) is None, "nobody is asked after the flip: the plan does not say so"


def test_a_rejection_aborts(world: World) -> None:
    switch = asking(world, "before_flip")
    ask(switch, Gate.BEFORE_FLIP, **same(switch))
    says(switch, Gate.BEFORE_FLIP, "bert", approved=False)
    says(switch, Gate.BEFORE_FLIP, "anna")
    assert not flip_or_abort(switch), "the first answer stands"
    assert switch.read().reason == "acceptance gate: before_flip: rejected by bert"


@pytest.mark.parametrize("changed", ["manifest", "gold", "plan"])
def test_a_change_of_what_was_asked_voids_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    switch = asking(world, "before_flip")
    ask(switch, Gate.BEFORE_FLIP, **same(switch))
    more: dict[str, Any] = {}
    if changed == "manifest":
        world.sql("UPDATE switchover_manifest SET index_hash = 'rebuilt' WHERE target = 'docs_v2'")
    elif changed == "gold":
        monkeypatch.setattr(approve, "read_items", lambda path: (read_items(path)[0], "another"))
    else:
        more = {"now_planned": approval_digest(switch.plan.model_copy(update={"green": "docs_v1"}))}
    assert "void by anna: plan, manifests or gold set have changed" in says(switch, Gate.BEFORE_FLIP, "anna", **more)
    assert not flip_or_abort(switch)
    assert world.live == "docs_v1"


def test_a_second_person_must_be_another_one(world: World) -> None:
    switch = asking(world, "before_flip", approvers=2)
    ask(switch, Gate.BEFORE_FLIP, **same(switch))
    assert says(switch, Gate.BEFORE_FLIP, "anna") == "before_flip: waits for 1 more, so far by anna"
    assert ask(switch, Gate.BEFORE_FLIP, **same(switch)).person_number == 2
    assert says(switch, Gate.BEFORE_FLIP, "anna") == "before_flip: waits for 1 more, so far by anna"
    renamed = Person(id="anna", name="Anna Maria")
    assert says(switch, Gate.BEFORE_FLIP, renamed) == "before_flip: waits for 1 more, so far by anna"
    assert not flip_or_abort(world.again(switch)) or pytest.fail("one person is not two")


def test_two_persons_approve(world: World) -> None:
    switch = asking(world, "before_flip", approvers=2)
    for name in ("anna", "bert"):
        ask(switch, Gate.BEFORE_FLIP, **same(switch))
        says(switch, Gate.BEFORE_FLIP, name)
    assert flip_or_abort(switch)


def test_before_the_flip_the_lease_is_kept_until_the_time_is_over(world: World) -> None:
    switch = asking(world, "before_flip", minutes=0.02)
    ask(switch, Gate.BEFORE_FLIP, **same(switch))
    world.sql("UPDATE switchover_lease SET expires_at = now() + interval '5 seconds'")
    watcher = world.again(switch)
    watcher.plan.__dict__["lease_s"] = 3
    ticks = asyncio.run(some(watcher, Gate.BEFORE_FLIP, 9))
    assert ticks[0].end is None and ticks[-1].end is End.UNANSWERED
    assert closed(switch, Gate.BEFORE_FLIP, why="time").why == "before_flip: no answer in time"
    assert says(switch, Gate.BEFORE_FLIP, "anna") == "before_flip: no answer in time", "too late"
    assert not flip_or_abort(switch)


def test_a_late_answer_is_none(world: World) -> None:
    switch = asking(world, "before_flip", minutes=0.0001)
    ask(switch, Gate.BEFORE_FLIP, **same(switch))
    assert "no answer by anna" in says(switch, Gate.BEFORE_FLIP, "anna")


def test_the_hold_goes_on_while_people_think(world: World) -> None:
    switch = held(world, asking(world, "before_unfreeze"))
    world.sql("UPDATE switchover_run SET hold_until = now()")
    assert wanted(switch) is Gate.BEFORE_UNFREEZE
    ask(switch, Gate.BEFORE_UNFREEZE, **same(switch))
    until = switch.read().hold_until
    assert until is not None and until > switch.ledger.now(), "the dead man's rule waits with it"
    before = switch.ledger.leases.get(switch.pointer.key)
    ticks = asyncio.run(some(world.again(switch), Gate.BEFORE_UNFREEZE, 2))
    after = switch.ledger.leases.get(switch.pointer.key)
    assert [tick.end for tick in ticks] == [None, None]
    assert before and after and (after.epoch, after.alive) == (before.epoch, True)
    assert after.expires_at < before.expires_at, "renewed by the hold, which leaves less time than a step's hand-over"
    assert switch.ledger.evidence.last_tick(switch.id, phase="hold") >= 1, "both arms were asked"
    says(switch, Gate.BEFORE_UNFREEZE, "anna")
    assert finish.promote_or_roll_back(switch) is Decision.PROMOTE
    assert switch.read().reason == "every rule passes; before_unfreeze: approved by anna"


def test_a_stop_rule_beats_an_approval(world: World) -> None:
    switch = held(world, asking(world, "before_unfreeze"))
    ask(switch, Gate.BEFORE_UNFREEZE, **same(switch))
    says(switch, Gate.BEFORE_UNFREEZE, "anna")
    failed = {"rule": "http_5xx", "outcome": "FAIL", "detail": "5 % <= 1 %"}
    open_end = {"rule": "cache_poison", "outcome": "INCONCLUSIVE", "detail": "no cache was seen"}
    switch.ledger.journal.judged(switch.id, gate="stop", tick=1, verdicts=[open_end, failed])
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert switch.read().reason == "stop rule: http_5xx FAIL: 5 % <= 1 %"


def test_no_answer_after_the_flip_is_a_rollback(world: World) -> None:
    switch = held(world, asking(world, "before_unfreeze", minutes=0.02))
    ask(switch, Gate.BEFORE_UNFREEZE, **same(switch))
    ticks = asyncio.run(some(world.again(switch), Gate.BEFORE_UNFREEZE, 9))
    assert ticks[-1].end is End.UNANSWERED
    closed(switch, Gate.BEFORE_UNFREEZE, why=ticks[-1].line)
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    finish.rollback(switch)
    assert world.live == "docs_v1"


@pytest.mark.parametrize(("approved", "decision"), [(True, Decision.PROMOTE), (False, Decision.ROLL_BACK)])
def test_a_person_decides_what_the_rules_leave_open(world: World, approved: bool, decision: Decision) -> None:
    switch = held(world, asking(world, "on_unaccepted"), outcome="INCONCLUSIVE")
    assert wanted(switch) is Gate.ON_UNACCEPTED
    ask(switch, Gate.ON_UNACCEPTED, **same(switch))
    says(switch, Gate.ON_UNACCEPTED, "anna", approved=approved)
    assert finish.promote_or_roll_back(switch) is decision
    assert ("approved" if approved else "rejected") + " by anna" in switch.read().reason


def test_a_good_hold_needs_no_person_where_only_an_open_one_does(world: World) -> None:
    switch = held(world, asking(world, "on_unaccepted"))
    assert wanted(switch) is None
    assert finish.promote_or_roll_back(switch) is Decision.PROMOTE


def test_a_hold_that_is_open_ends_as_open(world: World) -> None:
    switch = asking(world, "on_unaccepted")
    flip(switch)
    world.sql("UPDATE switchover_run SET hold_until = now()")
    (tick,) = asyncio.run(some(switch, Gate.ON_UNACCEPTED, 5))
    assert tick.end is End.OPEN, tick.line
    step = next(step for step in switch.ledger.journal.steps(switch.id) if step["name"] == "hold")
    assert step["ok"] and step["note"].startswith("not accepted, a person decides: ")


def test_a_print_of_a_plan_is_the_same_on_every_host(world: World) -> None:
    plan = world.plan
    moved = plan.model_copy(update={"gold": plan.gold.model_copy(update={"path": "/elsewhere/python_reference.jsonl"})})
    assert approval_digest(moved) == approval_digest(plan)
    assert approval_digest(plan.model_copy(update={"converge_s": 1})) != approval_digest(plan)
    assert dataclasses.is_dataclass(world)


def test_a_slow_look_before_the_flip_does_not_lose_the_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = asking(world, "before_flip", lease_s=3)
    ask(switch, Gate.BEFORE_FLIP, **same(switch))
    observe = approve.observe
    monkeypatch.setattr(approve, "observe", lambda seen: time.sleep(3.5) or observe(seen))
    monkeypatch.setattr(approve, "PAUSE_S", 0.1)
    assert [tick.end for tick in asyncio.run(some(world.again(switch), Gate.BEFORE_FLIP, 2))] == [None, None]

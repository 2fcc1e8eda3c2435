"""Whole switchovers by the step functions alone: promoted, rolled back, aborted, nothing to do."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import BadInput, LeaseLost, PointerConflict, StateConflict
from switchover.ledger.ttr import ttr
from switchover.page.bundle import write_evidence
from switchover.protocol import Decision, State
from switchover.report.summary import markdown, summarise
from switchover.steps import finish
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.hold import End, Tick, watch
from switchover.steps.preflight import Route, preflight
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import World


def look(switch: Switch) -> list[Tick]:
    async def collect() -> list[Tick]:
        return [tick async for tick in watch(switch)]

    return asyncio.run(collect())


@pytest.fixture
def quick(world: World) -> World:
    """Short ticks, so that a hold has enough evidence within seconds."""
    plan = world.plan
    hold = plan.hold.model_copy(update={"tick_s": 1.5})
    return World(**{**vars(world), "plan": plan.model_copy(update={"hold": hold})})


def test_a_good_green_is_promoted(quick: World) -> None:
    switch = quick.open(hold_minutes=0.15)
    freeze(switch)
    assert quick.frozen
    assert all(check.ok for check in verify(switch))
    warm(switch)
    assert flip_or_abort(switch)
    flip(switch)
    assert quick.live == "docs_v2"
    ticks = look(switch)
    assert ticks[-1].end is End.ACCEPTED, ticks[-1].line
    assert finish.promote_or_roll_back(switch) is Decision.PROMOTE
    assert finish.unfreeze(switch) == ["ingest process"]
    assert not quick.frozen
    assert finish.restore(switch).startswith("promoted")
    assert switch.read().state is State.PROMOTED
    assert ttr(switch.read()) is None
    bundle: dict[str, bytes] = {}
    write_evidence(quick.ledger, switch.id, lambda name, data: bundle.update({name: data}))
    assert {"summary.json", "report.md"} <= set(bundle)
    summary = summarise(quick.ledger, switch.id)
    assert [step["name"] for step in summary.steps] == ["freeze", "verify", "warm", "flip", "hold", "unfreeze"]
    assert {verdict["gate"] for verdict in summary.verdicts} == {"acceptance", "now", "stop", "hold"}


def test_a_green_that_turns_bad_is_rolled_back_and_timed(quick: World) -> None:
    switch = quick.warmed()
    flip(switch)
    fault = {"target": "docs_v2", "kind": "rerank-inverted"}
    httpx.post(f"{quick.service}/sandbox/fault", json=fault).raise_for_status()
    ticks = look(switch)
    assert ticks[-1].end is End.STOPPED
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert finish.rollback(switch) == ["ingest process"]
    assert quick.live == "docs_v1"
    assert not quick.frozen
    row = switch.read()
    assert row.state is State.ROLLED_BACK
    assert row.reason.startswith("stop rule: ")
    parts = ttr(row)
    assert parts is not None
    assert all(seconds is not None and seconds >= 0 for seconds in parts.values())
    told = [parts[name] or 0 for name in ("decide", "hand_over", "flip", "converge")]
    assert sum(told) == pytest.approx(parts["total"], abs=0.005)
    bundle: dict[str, bytes] = {}
    write_evidence(quick.ledger, switch.id, lambda name, data: bundle.update({name: data}))
    assert b"snippet_id" in bundle["comparison.json"], "both arms' hits side by side"


def test_a_hold_without_evidence_rolls_back(world: World) -> None:
    switch = world.warmed()
    flip(switch)
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert "no verdict at the hold gate" in switch.read().reason


def test_green_live_already_is_nothing_to_do(world: World) -> None:
    world.sql("UPDATE switchover_alias SET target = 'docs_v2' WHERE alias = 'docs'")
    found = preflight(plan=world.plan, edge=world.edge, id="docs:1", actor="test")
    assert found.route is Route.NOTHING_TO_DO
    assert "live already; nothing to do" in found.lines[0]
    assert world.ledger.runs.find("docs:1") is None


def test_a_pointer_on_neither_arm_stops_and_shows_it(world: World) -> None:
    world.sql("UPDATE switchover_alias SET target = 'docs_v0' WHERE alias = 'docs'")
    with pytest.raises(PointerConflict, match=r"is on 'docs_v0', none of the plan's arms \(docs_v1, docs_v2\)"):
        world.open()
    assert world.ledger.runs.find("docs:1") is None
    assert world.live == "docs_v0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"green": "docs_v9"}, "green: 'docs_v9' is not an arm of plan 'docs'; allowed: docs_v1, docs_v2"),
        ({"hold_minutes": 31}, "hold.minutes: found 31; allowed: up to max_minutes 30"),
    ],
)
def test_a_bad_form_is_refused(world: World, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput) as raised:
        world.open(**options)
    assert message in str(raised.value)
    assert world.ledger.runs.find("docs:1") is None


def test_only_a_sandbox_may_hold_for_a_minute(world: World) -> None:
    strict = world.plan.model_copy(update={"sandbox": False})
    with pytest.raises(BadInput, match="allowed: 15 to 30"):
        world.open(plan=strict, hold_minutes=1)


def test_a_ledger_that_may_forget_a_commit_is_refused(world: World) -> None:
    world.sql("ALTER DATABASE steps SET synchronous_commit = off")
    try:
        edge = Edge(connections=environment_connections(world.environ))
        with pytest.raises(BadInput, match="synchronous_commit is off.*allowed: on, local"):
            preflight(plan=world.plan, edge=edge, id="docs:1", actor="test")
        edge.close()
    finally:
        world.sql("ALTER DATABASE steps RESET synchronous_commit")
    assert world.ledger.runs.find("docs:1") is None
    assert world.ledger.leases.get(world.plan.pointer.build(world.edge).key) is None


def test_two_switchovers_of_one_pointer(world: World) -> None:
    world.open("docs:1")
    with pytest.raises(LeaseLost, match="held by 'docs:1' since"):
        world.open("docs:2")
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    with pytest.raises(StateConflict, match="'docs:1' is still planned .* `switchover restore 'docs:1'` ends it"):
        world.open("docs:2")
    finish.restore(Switch.open(edge=world.edge, ledger=world.plan.ledger, id="docs:1", actor="test"))
    assert world.open("docs:2").read().state is State.PLANNED


def test_a_run_that_has_ended_is_not_started_again(world: World) -> None:
    switch = world.open()
    finish.abort(switch)
    with pytest.raises(StateConflict, match="has ended as aborted; trigger a new run"):
        world.open()


def test_the_report_escapes_what_it_reflects(world: World) -> None:
    switch = world.open()
    switch.leadership.take()
    switch.decide(Decision.ROLL_BACK, reason="<script>alert(1)</script> | `x`")
    finish.abort(switch)
    text = markdown(summarise(world.ledger, switch.id))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text

"""A slow or broken look of the hold blinds nobody: live traffic is judged beside it, and what cannot look ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import LeaseLost, NotConverged
from switchover.protocol import Decision
from switchover.steps import finish, hold
from switchover.steps.flip import flip
from switchover.steps.hold import End
from switchover.steps.switch import Switch
from tests.hostile import Hostile, hostile
from tests.steps.test_hold_lease import short, ticks
from tests.world import World


@pytest.fixture
def dripping() -> Iterator[Hostile]:
    with hostile() as server:
        yield server


async def nothing(tick: hold.Tick) -> None:
    return


@pytest.mark.parametrize("way", ["drip/0.2", "silent"])
def test_live_failures_stop_a_hold_whose_probes_are_not_answered(world: World, dripping: Hostile, way: str) -> None:
    patient = world.plan.probes.model_copy(update={"timeout_s": 60.0})
    switch = short(world, probes=patient, cache=None).warmed()
    flip(switch)
    arms = {
        name: arm.model_copy(update={"connection": "drips", "ask": f"/{way}"}) for name, arm in switch.plan.arms.items()
    }
    edge = Edge(connections=environment_connections({**world.environ, "AIRFLOW_CONN_DRIPS": dripping.url}))
    plan = switch.plan.model_copy(update={"arms": arms})
    slow = Switch(edge=edge, ledger=world.ledger, id=switch.id, actor="test", plan=plan)
    world.sql(
        "INSERT INTO request_log (arm, kind, status, ms_total, tool_loop, at)"
        " SELECT 'docs_v2', 'live', 503, 1, false, clock_timestamp() FROM generate_series(1, 2000)"
    )
    last = ticks(slow, nothing)[-1]
    edge.close()
    assert last.end is End.STOPPED, last.line
    assert "http_5xx FAIL" in last.line and "its probes are not answered yet" in last.line
    assert world.ledger.evidence.last_tick(switch.id, phase="hold") == -1, "no round of probes ever ended"
    assert dripping.requests > 0


def test_a_round_ends_with_what_was_answered(world: World, dripping: Hostile) -> None:
    """Only Green is silent: Blue's answers are there when the round's time is over, Green's are missing."""
    from switchover.arms.client import ArmClient
    from switchover.arms.probe import Round, ask_round
    from switchover.edge import web

    switch = world.open()
    spec = world.plan.probes.model_copy(update={"timeout_s": 60.0, "concurrency": 8})
    silent = world.plan.arms["docs_v2"].model_copy(update={"ask": "/silent"})

    async def once() -> list[Any]:
        async with switch.asking(switch.read()) as arms, web.async_client(base_url=dripping.url) as client:
            green = ArmClient(client=client, name="docs_v2", spec=silent, timeout_s=spec.timeout_s)
            round = Round(phase="hold", tick=0, seeds=[0])
            both = {"blue": arms["blue"], "green": green}
            return await ask_round(round, arms=both, gold=switch.gold, spec=spec, seconds=3)

    asked = asyncio.run(once())
    assert {probe.arm for probe in asked} == {"blue"}
    assert all(probe.reply.ok for probe in asked)


def test_looks_that_nobody_thought_of_end_the_hold_and_green_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = short(world, cache=None).warmed()
    flip(switch)

    def broken(*arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(hold, "judge", broken)
    seen = ticks(switch, nothing)
    assert [tick.end for tick in seen] == [None] * (hold.BLIND - 1) + [End.BLIND]
    assert "not judged (ZeroDivisionError: nobody thought of this)" in seen[-1].line
    finish.promote_or_roll_back(world.again(switch))
    assert "nobody watches Green" in switch.read().reason
    assert switch.read().decision is Decision.ROLL_BACK


def test_what_a_late_round_shows_is_written_though_its_look_was_judged_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = short(world, cache=None).warmed()
    flip(switch)
    fault = {"target": "docs_v2", "kind": "rerank-inverted"}
    httpx.post(f"{world.service}/sandbox/fault", json=fault).raise_for_status()
    real, late = hold._Probing.answers, [True]

    async def answers(self: Any, before: Any, *, seconds: float) -> Any:
        return await real(self, before, seconds=0.0 if late and late.pop() else seconds)

    monkeypatch.setattr(hold._Probing, "answers", answers)
    assert ticks(switch, nothing)[-1].end is End.STOPPED
    stops = world.ledger.journal.verdicts(switch.id, gate="stop")
    assert {row["outcome"] for row in stops if row["tick"] == 0} <= {"INCONCLUSIVE", "ERROR", "PASS"}
    newest = world.ledger.journal.verdicts(switch.id, gate="stop", latest=True)
    assert "FAIL" in {row["outcome"] for row in newest}
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert switch.read().reason.startswith("stop rule: ")


def test_one_broken_look_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = short(world, cache=None).warmed()
    flip(switch)
    world.sql("UPDATE switchover_run SET hold_until = now() + interval '1 second'")
    real, broken = hold.judge, [True, True]

    def judge(*arguments: Any, **options: Any) -> Any:
        if broken:
            broken.pop()
            raise ZeroDivisionError("nobody thought of this")
        return real(*arguments, **options)

    monkeypatch.setattr(hold, "judge", judge)
    assert ticks(switch, nothing)[-1].end in hold.WATCHED


def test_a_look_that_does_not_end_keeps_no_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop turns all the time; the look in its thread does not come on."""
    monkeypatch.setattr(hold, "PATIENCE_S", 0.5)
    switch = short(world, handover_s=2.0, cache=None).warmed()
    flip(switch)
    lost: list[bool] = []

    def stuck(*arguments: Any, **options: Any) -> Any:
        until = time.monotonic() + 30
        while time.monotonic() < until and not lost:
            lease = world.ledger.leases.get(switch.pointer.key)
            if lease is not None and not lease.alive:
                lost.append(True)
            time.sleep(0.2)
        raise ZeroDivisionError("stuck")

    monkeypatch.setattr(hold, "judge", stuck)
    ticks(switch, nothing)
    assert lost, "a look that never ended kept its lease for 30 s"


def dripping_reader(world: World, server: Hostile) -> tuple[Switch, Edge]:
    """A warmed run whose one reader is the dripping server, opened by another process."""
    switch = short(world, cache=None, converge_s=1.0, handover_s=2.0).warmed()
    switch.leadership.hand_over()
    edge = Edge(connections=environment_connections({**world.environ, "AIRFLOW_CONN_DRIPS": server.url}))
    reader = switch.plan.readers[0].model_copy(update={"connection": "drips", "path": "/drip/0.2"})
    plan = switch.plan.model_copy(update={"readers": [reader]})
    return Switch(edge=edge, ledger=world.ledger, id=switch.id, actor="test", plan=plan), edge


def test_a_reader_that_drips_ends_the_flip(world: World, dripping: Hostile) -> None:
    switch, edge = dripping_reader(world, dripping)
    with pytest.raises(NotConverged, match=r"did not answer: ReadTimeout: no whole answer within 5 s"):
        flip(switch)
    edge.close()


def test_a_step_that_does_not_come_on_loses_its_lease(world: World) -> None:
    """Whatever it hangs in: nothing of the run is read and nothing is said any more."""
    switch = short(world).open()

    def hangs() -> None:
        with switch.leadership.leading(idle_s=0.5):
            until = time.monotonic() + 30
            while switch.run_lease_alive() and time.monotonic() < until:
                time.sleep(0.2)

    with pytest.raises(LeaseLost):
        hangs()

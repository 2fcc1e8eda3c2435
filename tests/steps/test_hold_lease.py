"""The hold's lease: kept through slow looks and outages, lost when another takes it or nothing watches any more."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from sandbox.processes.postgres import Postgres
from switchover.arms import probe
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import LeaseLost
from switchover.gold.goldset import GoldSet
from switchover.ledger import Ledger
from switchover.protocol import State
from switchover.steps import finish, hold, rounds
from switchover.steps.flip import flip
from switchover.steps.hold import End, Tick, watch
from switchover.steps.preflight import preflight
from switchover.steps.switch import Switch
from tests.servers import throwaway_postgres
from tests.world import World, connection

MANY = 200  # ticks, of half a second or none


def short(world: World, **more: float) -> World:
    """The shortest lease that a plan may have, and quick ticks."""
    quick = world.plan.hold.model_copy(update={"tick_s": 0.5})
    return replace(world, plan=world.plan.model_copy(update={"lease_s": 2.0, "hold": quick, **more}))


def ticks(switch: Switch, each: Callable[[Tick], Awaitable[None]]) -> list[Tick]:
    async def collect() -> list[Tick]:
        seen = []
        async with contextlib.aclosing(watch(switch)) as looks:
            async for tick in looks:
                seen.append(tick)
                assert len(seen) < MANY, f"what should end this hold did not come: {tick.line}"
                if tick.end is None:
                    await each(tick)
        return seen

    return asyncio.run(collect())


@pytest.fixture
def slow_rounds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let every look take as long as the given function does."""
    real = rounds.ask_round

    def slow(wait: Callable[[], Any]) -> None:
        async def round(*arguments: Any, **options: Any) -> Any:
            waited = wait()
            if waited is not None:
                await waited
            return await real(*arguments, **options)

        monkeypatch.setattr(rounds, "ask_round", round)

    return slow


@pytest.fixture
def few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a look ask five questions only, where the lease is what matters."""
    real = rounds.ask_round

    async def round(*arguments: Any, gold: GoldSet, **options: Any) -> Any:
        return await real(*arguments, gold=replace(gold, items=gold.items[:5]), **options)

    monkeypatch.setattr(rounds, "ask_round", round)


@pytest.mark.parametrize(
    "wait", [lambda: asyncio.sleep(5), lambda: time.sleep(5)], ids=["a slow arm", "a loop that stands still"]
)
def test_a_slow_look_does_not_lose_the_lease(world: World, slow_rounds: Any, wait: Callable[[], Any]) -> None:
    switch = short(world).warmed()
    flip(switch)
    epoch = switch.leadership.lease.epoch
    slow_rounds(wait)
    world.sql("UPDATE switchover_run SET hold_until = now() + interval '1 second'")

    async def nothing(tick: Tick) -> None:
        return

    last = ticks(switch, nothing)[-1]
    assert last.end not in (End.LEASE_LOST, End.OVERTAKEN), last.line
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None and lease.epoch == epoch


def test_a_loop_that_watches_nothing_does_not_keep_green_alive(world: World, slow_rounds: Any) -> None:
    switch = short(world, handover_s=2.0).warmed()
    flip(switch)
    slow_rounds(lambda: time.sleep(8))

    async def nothing(tick: Tick) -> None:
        return

    last = ticks(switch, nothing)[-1]
    assert last.end is End.LEASE_LOST
    assert "ran out at" in last.line


@pytest.mark.usefixtures("few_questions")
def test_a_lease_that_another_took_ends_the_hold_at_once(world: World) -> None:
    switch = short(world).warmed()
    flip(switch)

    async def steal(tick: Tick) -> None:
        world.sql("UPDATE switchover_lease SET holder = 'thief', epoch = epoch + 1")

    last = ticks(switch, steal)[-1]
    assert last.end is End.LEASE_LOST
    assert "held by 'thief'" in last.line


@pytest.fixture
def apart(world: World) -> Iterator[tuple[Postgres, Switch]]:
    """A hold whose ledger is in a PostgreSQL of its own, so that only the ledger can be stopped."""
    with throwaway_postgres() as server:
        server.create_database("ledger")
        environ = {**world.environ, "AIRFLOW_CONN_SWITCHOVER_LEDGER": connection(server.url("ledger"))}
        edge = Edge(connections=environment_connections(environ))
        ledger = Ledger(engine=edge.sql("switchover_ledger"))
        ledger.create_tables()
        preflight(plan=short(world).plan, edge=edge, id="docs:1", actor="test")
        switch = Switch.open(edge=edge, ledger="switchover_ledger", id="docs:1", actor="test")
        switch.leadership.take()
        for state in (State.FROZEN, State.VERIFIED, State.WARMED):
            switch.move(state)
        world.flipping(switch)
        now = ledger.now()
        switch.move(State.HOLDING, flipped_at=now, hold_until=now + timedelta(minutes=10), version=2)
        yield server, switch
        edge.close()


@pytest.mark.usefixtures("few_questions")
def test_a_ledger_that_is_away_longer_than_the_lease_loses_nothing(apart: tuple[Postgres, Switch]) -> None:
    server, switch = apart
    epoch = switch.leadership.lease.epoch
    stopped = False

    async def outage(tick: Tick) -> None:
        nonlocal stopped
        if not stopped and tick.looked:
            stopped = True
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(4)
            await asyncio.to_thread(server.start_again)
        elif any("watch goes on" in event["text"] for event in switch.ledger.journal.events(switch.id)):
            switch.ledger.runs.stamp(switch.id, hold_until=switch.ledger.now())

    seen = ticks(switch, outage)
    assert seen[-1].end in (End.ACCEPTED, End.UNACCEPTED), seen[-1].line
    numbers = [tick.number for tick in seen if tick.looked]
    assert numbers == list(range(len(numbers))), "no look is left out"
    assert switch.ledger.evidence.last_tick(switch.id, phase="hold") == numbers[-1]
    told = [event["text"] for event in switch.ledger.journal.events(switch.id)]
    assert f"the ledger did not answer and the lease ran out; the watch goes on under epoch {epoch + 1}" in told


async def end_it(switch: Switch) -> None:
    await asyncio.to_thread(lambda: switch.ledger.runs.stamp(switch.id, hold_until=switch.ledger.now()))


@pytest.mark.usefixtures("few_questions")
def test_a_new_triggerer_goes_on_after_it_died_with_the_ledger(apart: tuple[Postgres, Switch]) -> None:
    """Both on one server that restarts: the lease ran out, and nobody could take it."""
    server, old = apart
    epoch = old.leadership.lease.epoch
    server.stop()
    time.sleep(3)
    server.start_again()
    new = Switch.open(edge=old.edge, ledger="switchover_ledger", id=old.id, actor="another triggerer")
    last = ticks(new, lambda tick: end_it(new))[-1]
    assert last.end in (End.ACCEPTED, End.UNACCEPTED), last.line
    assert new.leadership.lease.epoch == epoch + 1
    assert any("a new watch goes on under epoch" in event["text"] for event in new.ledger.journal.events(new.id))
    with pytest.raises(LeaseLost):
        old.leadership.renew()


TOO_LATE = "now() - interval '1 hour'"


@pytest.mark.parametrize(
    "meanwhile",
    [
        f"UPDATE switchover_lease SET expires_at = {TOO_LATE}",
        "UPDATE switchover_lease SET expires_at = now(), holder = 'watchdog:a:1', epoch = epoch + 1",
        "UPDATE switchover_lease SET expires_at = now(), released_at = now()",
        "UPDATE switchover_lease SET expires_at = now(); UPDATE switchover_run SET decision = 'rollback'",
        "UPDATE switchover_lease SET expires_at = now(); UPDATE switchover_alias SET target = 'docs_v0'",
    ],
    ids=["too long ago", "taken since", "let go", "decided", "not on Green"],
)
def test_a_lease_that_ran_out_is_taken_up_by_nobody_else_and_not_late(world: World, meanwhile: str) -> None:
    switch = short(world).warmed()
    flip(switch)
    world.sql(meanwhile)
    new = world.again(switch)

    async def nothing(tick: Tick) -> None:
        return

    (tick,) = ticks(new, nothing)
    assert tick.end is End.LEASE_LOST
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None and not lease.alive


@pytest.mark.usefixtures("few_questions")
def test_a_ledger_that_takes_no_writes_for_longer_than_the_lease_loses_nothing(apart: tuple[Postgres, Switch]) -> None:
    server, switch = apart
    said: list[str] = []

    def writable(yes: bool) -> None:
        with psycopg.connect(server.url("ledger"), autocommit=True) as admin:
            admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if yes else 'on'}")
            admin.execute("SELECT pg_reload_conf()")

    async def failover(tick: Tick) -> None:
        said.append(tick.line)
        if len(said) == 1:
            await asyncio.to_thread(writable, False)
            await asyncio.sleep(4)
        elif len(said) == 3:
            await asyncio.to_thread(writable, True)
        elif len(said) > 3 and tick.looked:
            switch.ledger.runs.stamp(switch.id, hold_until=switch.ledger.now())

    seen = ticks(switch, failover)
    assert seen[-1].end in (End.ACCEPTED, End.UNACCEPTED), seen[-1].line
    assert "takes no writes now" in said[1] and "\n" not in said[1]
    numbers = [tick.number for tick in seen if tick.looked]
    assert numbers == list(range(len(numbers))), "no look is left out"


def shift(world: World, by: str) -> None:
    """The database's clock jumps: everything it has written down is that much later or earlier now."""
    world.sql(f"UPDATE switchover_lease SET taken_at = taken_at + {by}, expires_at = expires_at + {by}")
    world.sql(f"UPDATE switchover_run SET flipped_at = flipped_at + {by}, hold_until = hold_until + {by}")


@pytest.mark.usefixtures("few_questions")
def test_a_clock_that_jumps_an_hour_ahead_promotes_nothing(world: World) -> None:
    switch = short(world).warmed()
    flip(switch)

    async def jump(tick: Tick) -> None:
        if tick.number == 0:
            shift(world, "interval '-1 hour'")

    last = ticks(switch, jump)[-1]
    assert last.end in (End.LEASE_LOST, End.UNACCEPTED), last.line
    finish.rollback(world.again(switch))
    assert (switch.read().state, world.live, world.frozen) == (State.ROLLED_BACK, "docs_v1", False)


@pytest.mark.usefixtures("few_questions")
def test_a_clock_that_falls_back_an_hour_keeps_no_lease_longer_than_the_hold(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "_longest_s", lambda switch: 3.0)
    switch = short(world).warmed()
    flip(switch)

    async def jump(tick: Tick) -> None:
        if tick.number == 0:
            shift(world, "interval '1 hour'")

    last = ticks(switch, jump)[-1]  # what a look finds is written under the lease, so that the first one without ends
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None and not lease.alive, "the lease outlived the hold"
    assert last.end in (End.LEASE_LOST, End.UNACCEPTED), last.line


def test_a_worker_s_own_clock_dates_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=1)

    monkeypatch.setattr(probe, "datetime", Late)
    switch = short(world).warmed()
    flip(switch)
    httpx.post(f"{world.service}/sandbox/fault", json={"target": "docs_v2", "kind": "rerank-inverted"})

    async def nothing(tick: Tick) -> None:
        return

    last = ticks(switch, nothing)[-1]
    assert last.end is End.STOPPED, last.line
    row = switch.read()
    assert row.flipped_at and row.first_bad_at and row.judged_at
    assert row.flipped_at <= row.first_bad_at <= row.judged_at

"""The watchdog on a real ledger, pointer, writers and readers: what it ends, what it leaves alone, what it says."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import InvariantBroken, StateConflict
from switchover.ledger import Ledger
from switchover.ledger.ttr import ttr
from switchover.protocol import Decision, State
from switchover.steps.flip import flip
from switchover.steps.preflight import preflight
from switchover.steps.switch import Switch
from switchover.watchdog.metrics import served
from switchover.watchdog.watch import Watchdog
from tests.servers import throwaway_postgres
from tests.world import World, connection, free_port


def held(world: World, id: str = "docs:1") -> Switch:
    """A run that has flipped and holds."""
    switch = world.warmed(id)
    flip(switch)
    return switch


def abandon(world: World) -> None:
    """Whoever drove is dead, and the lease has run out."""
    world.sql("UPDATE switchover_lease SET expires_at = now() - interval '2 seconds'")


@pytest.fixture
def watchdog(world: World) -> Iterator[Watchdog]:
    with watching(world.environ) as watchdog:
        yield watchdog


@contextlib.contextmanager
def watching(environ: dict[str, str]) -> Iterator[Watchdog]:
    watchdog = Watchdog(
        edges=lambda: Edge(connections=environment_connections(environ)), ledger="switchover_ledger", interval_s=0.2
    )
    yield watchdog
    watchdog.close()


def test_a_hold_that_nobody_drives_is_rolled_back_and_said_and_timed(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    abandon(world)
    (done,) = watchdog.once().take_overs
    assert done.result == "settled"
    assert (world.live, world.frozen) == ("docs_v1", False)
    row = switch.read()
    assert (row.state, row.decision) == (State.ROLLED_BACK, Decision.ROLL_BACK)
    assert row.reason.startswith(f"{watchdog.name}: nobody renewed the lease since ")
    assert row.reason.endswith(f"last held by '{switch.id}'")
    told = [event["text"] for event in world.ledger.journal.events(switch.id) if event["actor"] == watchdog.name]
    assert any("takes over, epoch" in text for text in told) and any("rolled back" in text for text in told)
    parts = ttr(row)
    assert parts is not None and parts["detect"] is not None and parts["detect"] >= 2
    assert all(seconds is not None and seconds >= 0 for seconds in parts.values())
    lease = world.ledger.leases.get(switch.pointer.key)
    assert lease is not None and not lease.alive and lease.holder == watchdog.name
    assert watchdog.once().undriven == [], "there is nothing left to do"


def test_a_rule_that_fired_before_nobody_drove_it_is_in_the_reason(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    fired = [{"rule": "coverage", "outcome": "FAIL", "detail": "0.41 < 0.60"}]
    world.ledger.journal.judged(switch.id, gate="stop", tick=0, verdicts=fired)
    abandon(world)
    watchdog.once()
    reason = f"stop rule: coverage FAIL: 0.41 < 0.60; {watchdog.name}: nobody renewed the lease since "
    assert switch.read().reason.startswith(reason)


def test_a_hold_that_is_driven_is_left_alone(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    look = watchdog.once()
    assert (look.open, look.undriven, look.take_overs) == (1, [], [])
    assert (switch.read().state, world.live) == (State.HOLDING, "docs_v2")


@pytest.mark.parametrize("moved", [False, True], ids=["before the apply", "after the apply"])
def test_a_flip_that_died_is_brought_back(world: World, watchdog: Watchdog, moved: bool) -> None:
    switch = world.warmed()
    world.flipping(switch, moved=moved)
    abandon(world)
    watchdog.once()
    assert switch.read().state is (State.ROLLED_BACK if moved else State.ABORTED)
    assert (world.live, world.frozen) == ("docs_v1", False)


def test_a_rollback_that_died_half_way_is_finished(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    switch.leadership.take()
    switch.decide(Decision.ROLL_BACK, reason="stop rule: coverage")
    switch.move(State.ROLLING_BACK)
    abandon(world)
    watchdog.once()
    assert (switch.read().state, switch.read().reason) == (State.ROLLED_BACK, "stop rule: coverage"), (
        "the first reason stands"
    )
    assert (world.live, world.frozen) == ("docs_v1", False)


def test_what_was_decided_to_stay_stays(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    switch.leadership.take()
    switch.decide(Decision.PROMOTE, reason="every rule passes")
    abandon(world)
    watchdog.once()
    assert switch.read().state is State.PROMOTED
    assert (world.live, world.frozen) == ("docs_v2", False)
    abandon(world)
    assert watchdog.once().undriven == []
    assert world.live == "docs_v2"


def test_a_run_that_has_frozen_nothing_is_airflow_s(world: World, watchdog: Watchdog) -> None:
    switch = world.open()
    abandon(world)
    assert watchdog.once().undriven == []
    assert switch.read().state is State.PLANNED


def test_writers_do_not_stay_frozen_for_a_run_that_nobody_drives(world: World, watchdog: Watchdog) -> None:
    switch = world.warmed()
    abandon(world)
    watchdog.once()
    assert (switch.read().state, world.live, world.frozen) == (State.ABORTED, "docs_v1", False)
    assert f"last held by '{switch.id}'" in switch.read().reason
    assert ttr(switch.read()) is None, "nothing was flipped, so nothing was restored"
    with pytest.raises(StateConflict):
        flip(world.again(switch))
    assert (world.live, world.frozen) == ("docs_v1", False), "Airflow comes too late"


def test_writers_that_an_ended_run_left_frozen_are_resumed(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    switch.leadership.take()
    switch.decide(Decision.ROLL_BACK, reason="test")
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    switch.move(State.ROLLED_BACK)
    abandon(world)
    assert world.frozen
    watchdog.once()
    assert not world.frozen


def test_writers_of_an_ended_run_stay_while_another_run_is_open(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    switch.leadership.take()
    switch.move(State.ROLLED_BACK)
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    abandon(world)
    row = switch.read()
    same = {"plan": switch.plan, "pointer": row.pointer, "blue": row.blue, "green": row.green}
    world.ledger.runs.open(id="docs:2", hold_minutes=1, **same)
    assert watchdog.once().undriven == []
    assert world.frozen


def test_no_run_begins_over_writers_that_an_ended_run_left_frozen(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    switch.leadership.take()
    switch.move(State.ROLLED_BACK)
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    abandon(world)
    with pytest.raises(StateConflict, match="'docs:1' has ended as rolled_back but its writers are still frozen; `swi"):
        world.open("docs:2")
    assert world.ledger.runs.find("docs:2") is None
    watchdog.once()
    assert not world.frozen
    world.open("docs:2", retry_build=switch.read().approved_hash)  # a person's word: this build was taken back


def test_one_writer_that_cannot_be_resumed_is_said_and_keeps_nobody_frozen(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    broken = {**switch.read().plan["writers"][0], "name": "another", "fence": "gone"}
    writers = json.dumps([broken, *switch.read().plan["writers"]])
    world.sql(f"UPDATE switchover_run SET plan = jsonb_set(plan, '{{writers}}', '{writers}')")
    world.ledger.journal.found_writer(switch.id, "another", {"frozen": False})
    abandon(world)
    (done,) = watchdog.once().take_overs
    assert done.result == "failed" and "another" in done.line
    assert (switch.read().state, world.frozen) == (State.ROLLED_BACK, False)


def test_nothing_is_changed_while_the_pointer_cannot_be_read(
    world: World, watchdog: Watchdog, caplog: pytest.LogCaptureFixture
) -> None:
    switch = held(world)
    abandon(world)
    good = world.environ["AIRFLOW_CONN_DOCS_DB"]
    world.environ["AIRFLOW_CONN_DOCS_DB"] = f"postgres://nobody@127.0.0.1:{free_port()}/none"
    try:
        (done,) = watchdog.once().take_overs
    finally:
        world.environ["AIRFLOW_CONN_DOCS_DB"] = good
    assert done.result == "blind"
    assert "the pointer cannot be read; nothing is changed" in done.line and "did not answer" in caplog.text
    assert metric(watchdog, 'switchover_watchdog_unsettled_runs{result="blind"}') == 1
    assert (switch.read().state, switch.read().decision, world.live) == (State.HOLDING, None, "docs_v2")
    time.sleep(2.1)
    assert watchdog.once().take_overs[0].result == "settled"
    watchdog.once()
    assert metric(watchdog, 'switchover_watchdog_unsettled_runs{result="blind"}') == 0


def metric(watchdog: Watchdog, name: str) -> float | None:
    with served(watchdog.metrics, host="127.0.0.1", port=0) as port:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name)), None)


def test_a_foreign_move_is_reported_once_and_a_repaired_one_is_ended(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    world.sql("UPDATE switchover_alias SET target = 'docs_v0' WHERE alias = 'docs'")
    abandon(world)
    (done,) = watchdog.once().take_overs
    assert done.result == "stuck" and "'docs_v0', which is neither Blue" in done.line
    assert (switch.read().state, world.live, world.frozen) == (State.STUCK, "docs_v0", True)
    events = len(world.ledger.journal.events(switch.id))
    watchdog._not_before.clear()
    assert watchdog.once().take_overs[0].result == "stuck"
    assert len(world.ledger.journal.events(switch.id)) == events
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    watchdog._not_before.clear()
    assert watchdog.once().take_overs[0].result == "settled"
    assert (switch.read().state, world.frozen) == (State.ROLLED_BACK, False)


def test_one_bad_run_does_not_keep_it_from_the_others(world: World, watchdog: Watchdog) -> None:
    switch = held(world)
    world.sql(
        "INSERT INTO switchover_run (id, service, state, blue, green, pointer, plan, plan_digest, hold_minutes)"
        " VALUES ('bad:1', 'bad', 'holding', 'a', 'b', 'bad', '{\"lease_s\": 1}', '', 1)"
    )
    world.sql("INSERT INTO switchover_lease (pointer, epoch, holder, expires_at) VALUES ('bad', 1, 'bad:1', now())")
    abandon(world)
    results = {done.run: done.result for done in watchdog.once().take_overs}
    assert results == {"bad:1": "failed", switch.id: "settled"}


def test_of_two_watchdogs_one_rolls_back(world: World) -> None:
    switch = held(world)
    abandon(world)
    with watching(world.environ) as one, watching(world.environ) as two:
        two.name = "watchdog:elsewhere:1"
        barrier = threading.Barrier(2)
        results: list[str] = []

        def look(watchdog: Watchdog) -> None:
            barrier.wait()
            results.extend(done.result for done in watchdog.once().take_overs)

        threads = [threading.Thread(target=look, args=(each,)) for each in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "settled" in results and set(results) <= {"settled", "overtaken"}
    assert switch.read().state is State.ROLLED_BACK
    back = [f for f in world.ledger.journal.flips(switch.id) if f["after"] == "docs_v1"]
    assert len(back) == 1
    assert world.sql("SELECT version FROM switchover_alias WHERE alias = 'docs'") == [(3,)], "there and back, once"


def test_a_ledger_that_went_away_gives_whoever_lives_time_to_renew(world: World, monkeypatch: Any) -> None:
    """On a PostgreSQL of its own, which is stopped and started again."""
    with throwaway_postgres() as server:
        server.create_database("ledger")
        environ = {**world.environ, "AIRFLOW_CONN_SWITCHOVER_LEDGER": connection(server.url("ledger"))}
        edge = Edge(connections=environment_connections(environ))
        ledger = Ledger(engine=edge.sql("switchover_ledger"))
        ledger.create_tables()
        plan = world.plan.model_copy(update={"lease_s": 2.0})
        preflight(plan=plan, edge=edge, id="docs:1", actor="test")
        switch = Switch.open(edge=edge, ledger="switchover_ledger", id="docs:1", actor="test")
        switch.leadership.take()
        for state in (State.FROZEN, State.VERIFIED, State.WARMED, State.FLIPPING, State.HOLDING):
            switch.move(state)
        with watching(environ) as watchdog:
            assert watchdog.once().problem == ""
            server.stop()
            look = watchdog.once()
            assert "did not answer" in look.problem
            well, shown = watchdog.metrics.health()
            assert well and shown["problem"], "one missed look is no reason to restart it"
            server.start_again()
            deadline = time.monotonic() + 30
            while watchdog.once().problem:
                assert time.monotonic() < deadline
            began = time.monotonic()
            while not (ended := watchdog.once().take_overs):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert time.monotonic() - began > 1.5, "one life of the lease"
            assert ended[0].run == "docs:1"
        edge.close()


def test_health_fails_when_the_ledger_was_away_for_some_looks(world: World) -> None:
    environ = {**world.environ, "AIRFLOW_CONN_SWITCHOVER_LEDGER": f"postgres://x@127.0.0.1:{free_port()}/none"}
    with watching(environ) as watchdog:
        watchdog.metrics._well_at -= 10
        watchdog.look()
        with served(watchdog.metrics, host="127.0.0.1", port=0) as port:
            answer = httpx.get(f"http://127.0.0.1:{port}/healthz")
            assert httpx.get(f"http://127.0.0.1:{port}/secrets").status_code == 404
    assert (answer.status_code, answer.json()["ok"]) == (503, False)
    assert "did not answer" in answer.json()["problem"]


def test_a_plan_that_requires_a_watchdog_flips_only_under_one(world: World, watchdog: Watchdog) -> None:
    plan = world.plan.model_copy(update={"watchdog": "required"})
    with pytest.raises(InvariantBroken, match="asks for a watchdog: no watchdog looks at this ledger; start"):
        world.open(plan=plan)
    assert world.ledger.runs.find("docs:1") is None
    watchdog.look()
    guarded = replace(world, plan=plan)
    switch = guarded.warmed()
    world.sql("UPDATE switchover_watchdog SET looked_at = now() - interval '1 minute'")
    with pytest.raises(InvariantBroken, match="looked last .* UTC; start `switchover watchdog`"):
        flip(switch)
    assert (switch.read().state, world.live) == (State.WARMED, "docs_v1")
    watchdog.look()
    flip(switch)
    assert world.live == "docs_v2"


def test_preflight_says_whether_a_watchdog_looks(world: World, watchdog: Watchdog) -> None:
    found = preflight(plan=world.plan, edge=world.edge, id="docs:1", actor="test")
    assert any("WARNING: no watchdog looks at this ledger" in line for line in found.lines)
    watchdog.look()
    assert world.ledger.watchdogs.line().startswith(f"watchdog alive: {watchdog.name} looked 0 s ago; sees 1 open")


@pytest.mark.parametrize(
    "odd",
    [
        "UPDATE switchover_run SET decision = 'maybe' WHERE id = 'odd:1'",
        "UPDATE switchover_run SET state = 'canary' WHERE id = 'odd:1'",
        "UPDATE switchover_run SET plan = '{}' WHERE id = 'odd:1'",
        "UPDATE switchover_run SET plan = '[1]' WHERE id = 'odd:1'",
        """UPDATE switchover_run SET plan = plan || '{"lease_s": "for ever"}' WHERE id = 'odd:1'""",
        """UPDATE switchover_run SET plan = plan || '{"lease_s": 1e9}' WHERE id = 'odd:1'""",
        "DELETE FROM switchover_lease WHERE pointer = 'odd'",
    ],
    ids=["decision", "state", "no plan", "another plan", "lease text", "lease for ever", "no lease row"],
)
def test_one_odd_row_is_that_row_s_alarm_and_nothing_else_s(world: World, watchdog: Watchdog, odd: str) -> None:
    switch = held(world)
    plan = world.plan.model_copy(update={"pointer": world.plan.pointer.model_copy(update={"alias": "odd"})})
    world.ledger.runs.open(id="odd:1", plan=plan, pointer="odd", blue="docs_v1", green="docs_v2", hold_minutes=1)
    world.ledger.leases.take("odd", holder="odd:1", seconds=0.1)
    world.sql("UPDATE switchover_run SET state = 'holding' WHERE id = 'odd:1'")
    world.sql(odd)
    watchdog.look()
    assert (switch.read().state, world.live) == (State.HOLDING, "docs_v2"), "what is driven is left alone"
    abandon(world)
    look = watchdog.once()
    assert look.problem == ""
    assert "odd:1" in [*look.undriven, *look.broken], "it is seen"
    assert [done.result for done in look.take_overs if done.run == switch.id] == ["settled"]
    assert (switch.read().state, world.live, world.frozen) == (State.ROLLED_BACK, "docs_v1", False)
    assert watchdog.once().problem == "", "and the next look is made"

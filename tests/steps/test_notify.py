"""When a run tells people: at which of its steps, and once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator

import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import PointerConflict
from switchover.notify import Event
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.steps import finish, staleness
from switchover.steps.act import advance
from switchover.steps.doctor import diagnose
from switchover.steps.flip import flip
from switchover.steps.hold import watch
from switchover.steps.switch import Switch
from tests.inner.test_notify import Receiver
from tests.steps.conftest import World


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


def opened(world: World, receiver: Receiver, id: str = "docs:1") -> Switch:
    """A run whose plan tells everything to the receiver, and after preflight nothing else."""
    values = world.plan.model_dump(mode="json")
    plan = Plan.model_validate({**values, "notify": [{"kind": "webhook", "connection": "hook"}]})
    environ = {**world.environ, "AIRFLOW_CONN_HOOK": f"http://127.0.0.1:{receiver.port}"}
    world.open(id, plan=plan)
    edge = Edge(connections=environment_connections(environ))
    return Switch.open(edge=edge, ledger=plan.ledger, id=id, actor="test")


def events(switch: Switch, receiver: Receiver) -> list[str]:
    switch.edge.close()
    return [json.loads(body)["event"] for _, _, body in receiver.got]


def test_a_hold_that_is_stopped_and_rolled_back(world: World, receiver: Receiver) -> None:
    switch = opened(world, receiver)
    world.warm(switch)
    flip(switch)
    assert events(switch, receiver) == [], "the flip itself tells nobody: the hold must not wait for it"

    async def lose_the_lease() -> None:
        async for _ in watch(switch):
            world.sql("UPDATE switchover_lease SET holder = 'thief', epoch = epoch + 1")

    asyncio.run(lose_the_lease())
    assert events(switch, receiver) == ["flip"], "who has lost the lease tells nothing of a run that another drives"
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    finish.promote_or_roll_back(switch)
    finish.rollback(switch)
    finish.rollback(switch)
    finish.restore(switch)
    assert events(switch, receiver)[1:] == ["rollback"]
    told = json.loads(receiver.got[-1][2])
    assert told["title"] == "Switchover docs: rolled back; docs_v1 serves users"
    assert told["next"] == []


def test_a_hold_whose_pointer_is_on_a_third_index_tells_both_values_and_what_to_do(
    world: World, receiver: Receiver
) -> None:
    switch = opened(world, receiver)
    world.warm(switch)
    flip(switch)
    world.sql("UPDATE switchover_alias SET target = 'docs_v9' WHERE alias = 'docs'")

    async def hold() -> None:
        async for _ in watch(switch):
            pass

    asyncio.run(hold())
    until = time.monotonic() + 20  # whoever tells is not waited for; a loaded machine is late
    while "stuck" not in events(switch, receiver) and time.monotonic() < until:
        time.sleep(0.1)
    assert "stuck" in events(switch, receiver)
    titles = [json.loads(body)["title"] for _, _, body in receiver.got]
    where = "a person must look: the pointer is on docs_v9, which is neither docs_v1 nor docs_v2"
    assert f"Switchover docs: STUCK, {where}" in titles, "whichever came last: nobody waits for a message"
    assert all(title.endswith(where) for title in titles), "neither that it holds nor that it goes back"
    assert "stop" not in events(switch, receiver), "it is told once"
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    finish.promote_or_roll_back(switch)
    finish.rollback(switch)


def test_a_message_that_comes_late_tells_what_is_so_then(world: World, receiver: Receiver) -> None:
    switch = opened(world, receiver)
    world.warm(switch)
    flip(switch)
    finish.rollback(switch)
    switch.tell(Event.STOP, "coverage FAIL")
    assert events(switch, receiver) == ["rollback"], "rolled back, and then: going back?"


def test_a_writer_that_somebody_starts_in_the_hold_is_told_once(world: World, receiver: Receiver) -> None:
    switch = opened(world, receiver)
    world.warm(switch)
    flip(switch)
    staleness.look(switch, 0)
    world.sql("UPDATE switchover_fence SET frozen = false WHERE fence = 'docs_ingest'")
    for tick in (1, 2):
        assert staleness.look(switch, tick).thawed == ["ingest process"]
    assert events(switch, receiver) == ["writer_thawed"]
    told = json.loads(receiver.got[0][2])
    assert told["title"] == "Switchover docs: a writer runs that should stand still; docs_v2 serves users"
    assert "frozen is False, this run set True" in told["detail"]
    assert switch.read().decision is None, "a rollback would lose what it has written"
    finish.rollback(switch)


def test_an_abort_is_told_once(world: World, receiver: Receiver) -> None:
    switch = opened(world, receiver)
    finish.abort(switch)
    finish.restore(switch)
    assert events(switch, receiver) == ["abort"]


def test_being_stuck_is_told_once(world: World, receiver: Receiver) -> None:
    switch = opened(world, receiver)
    world.warm(switch)
    flip(switch)
    world.sql("UPDATE switchover_alias SET target = 'docs_v0' WHERE alias = 'docs'")
    for _ in range(2):
        with pytest.raises(PointerConflict):
            advance(switch)
    assert events(switch, receiver) == ["stuck"]
    told = json.loads(receiver.got[0][2])
    assert told["title"].startswith("Switchover docs: STUCK, a person must look: the pointer is on docs_v0")
    assert told["next"] == diagnose(edge=world.edge, ledger=world.ledger, row=switch.read()).next
    assert told["live"] == "docs_v0"
    why = switch.read().reason
    assert finish.promote_or_roll_back(switch) is Decision.ROLL_BACK
    assert switch.read().reason == why, "why it is stuck stands"
    world.sql("UPDATE switchover_alias SET target = 'docs_v2' WHERE alias = 'docs'")
    finish.restore(switch)
    assert switch.read().state is State.ROLLED_BACK
    assert switch.read().reason == why


def test_a_missing_connection_fails_nothing(world: World, receiver: Receiver) -> None:
    opened(world, receiver)
    switch = Switch.open(edge=world.edge, ledger=world.plan.ledger, id="docs:1", actor="test")
    finish.abort(switch)
    for thread in switch.edge._beside:
        thread.join(10)
    assert "did not tell webhook 'hook' of abort: connection 'hook': not found" in "\n".join(
        row["text"] for row in world.ledger.journal.events("docs:1")
    )

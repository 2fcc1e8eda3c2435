"""When a run tells people: at which of its steps, and once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from switchover.edge import Edge, environment_connections
from switchover.errors import PointerConflict
from switchover.plan import Plan
from switchover.steps import finish, staleness
from switchover.steps.act import advance
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
    assert sorted(events(switch, receiver)) == ["flip", "stop"]
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    finish.promote_or_roll_back(switch)
    finish.rollback(switch)
    finish.rollback(switch)
    finish.restore(switch)
    assert events(switch, receiver)[2:] == ["rollback"]


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
    assert told["title"] == "Switchover docs: a writer is not frozen any more"
    assert "frozen is False, this run set True" in told["detail"]
    assert switch.row.decision is None, "a rollback would lose what it has written"
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


def test_a_missing_connection_fails_nothing(world: World, receiver: Receiver) -> None:
    opened(world, receiver)
    switch = Switch.open(edge=world.edge, ledger=world.plan.ledger, id="docs:1", actor="test")
    finish.abort(switch)
    for thread in switch.edge._beside:
        thread.join(10)
    assert "did not tell webhook 'hook' of abort: connection 'hook': not found" in "\n".join(
        row["text"] for row in world.ledger.journal.events("docs:1")
    )

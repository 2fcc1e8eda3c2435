"""Each kind of writer in a whole run: one that does not drain, or is not there, aborts it, and all are resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from switchover.edge.connection import Connection, environment_connections
from switchover.edge.edge import Edge
from switchover.errors import BadInput, DrainTimeout
from switchover.protocol import State
from switchover.steps import finish
from switchover.steps.flip import flip_or_abort
from switchover.steps.freeze import freeze
from tests.contract.worlds.base import CONNECTION, NotApplicable
from tests.contract.writers import WRITERS
from tests.contract.writers.base import NAME, WriterWorld
from tests.steps.conftest import World


@pytest.fixture(params=sorted(WRITERS))
def other(request: pytest.FixtureRequest) -> Iterator[WriterWorld]:
    kind = WRITERS[request.param]
    other = kind(request.getfixturevalue(kind.fixture))
    try:
        other.set_up()
        yield other
    finally:
        other.tear_down()
        other.close()


@pytest.fixture
def both(world: World, other: WriterWorld) -> Iterator[World]:
    """The world with two writers: its own fence first, then one of the kind."""
    known = environment_connections(world.environ)

    def connections(conn_id: str) -> Connection:
        if conn_id != CONNECTION:
            return known(conn_id)
        try:
            return other.connection(other.address)
        except NotApplicable:
            return other.connection(("", 0))

    edge = Edge(connections=connections)
    spec = other.plan(drain_s=0.8)
    plan = world.plan.model_copy(update={"writers": [*world.plan.writers, spec]})
    yield dataclasses.replace(world, edge=edge, plan=plan)
    edge.close()


def test_one_that_does_not_drain_aborts_and_all_are_resumed(both: World, other: WriterWorld) -> None:
    try:
        other.begin()
    except NotApplicable as reason:
        pytest.skip(str(reason))
    before, switch = other.state(), both.open()
    with pytest.raises(DrainTimeout, match=f"writer '{NAME}': not drained after 0.8 s: "):
        freeze(switch)
    assert both.frozen
    assert not flip_or_abort(switch)
    assert sorted(finish.abort(both.again(switch))) == ["ingest process", NAME]
    assert (switch.read().state, both.live, both.frozen) == (State.ABORTED, "docs_v1", False)
    assert other.state() == before
    other.end()


def test_one_that_is_not_there_aborts_and_the_others_are_resumed(both: World, other: WriterWorld) -> None:
    other.remove()
    plan = both.plan.model_copy(update={"writers": [both.plan.writers[0], other.plan()]})
    switch = both.open(plan=plan)
    with pytest.raises(BadInput, match=NAME) as raised:
        freeze(switch)
    assert len(str(raised.value).splitlines()) == 1
    assert both.frozen, "frozen before the other one was looked at"
    assert not flip_or_abort(switch)
    assert finish.abort(both.again(switch)) == ["ingest process"]
    assert (switch.read().state, both.frozen) == (State.ABORTED, False)

"""A writer that the run may not freeze, for want of a right: the run aborts, and the others are resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.protocol import State
from switchover.steps import finish
from switchover.steps.flip import flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.frozen import unresumed
from switchover.writers.write_gate import WriteGateSpec
from tests.steps.conftest import World

ROLE = "fence_stranger"


@pytest.fixture(params=["", "SELECT"], ids=["no right at all", "may look, may not freeze"])
def two(world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    """Two writers behind real fences; to the second one the run goes as a role with this right on the table."""
    world.sql(f"DROP ROLE IF EXISTS {ROLE}")
    world.sql(f"CREATE ROLE {ROLE} LOGIN")
    world.sql("INSERT INTO switchover_fence (fence) VALUES ('second')")
    if request.param:
        world.sql(f"GRANT {request.param} ON switchover_fence TO {ROLE}")
    known = environment_connections(world.environ)
    edge = Edge(
        connections=lambda name: (
            dataclasses.replace(known("docs_db"), id=name, login=ROLE) if name == "other_db" else known(name)
        )
    )
    second = WriteGateSpec(kind="sql_fence", name="second", connection="other_db", fence="second")
    try:
        yield dataclasses.replace(
            world, edge=edge, plan=world.plan.model_copy(update={"writers": [*world.plan.writers, second]})
        )
    finally:
        edge.close()
        world.sql("DELETE FROM switchover_fence WHERE fence = 'second'")
        world.sql(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_the_run_aborts_with_one_line_and_what_was_frozen_is_resumed(two: World) -> None:
    switch = two.open()
    line = "writer 'second': permission denied for table switchover_fence; docs/writers.md has the table and the rights"
    with pytest.raises(BadInput) as raised:
        freeze(switch)
    assert str(raised.value) == line
    assert two.frozen, "the first one was frozen before the second was looked at"
    assert not flip_or_abort(switch)
    assert switch.read().reason == f"freeze: BadInput: {line}"
    resumed = finish.abort(two.again(switch))
    assert "ingest process" in resumed
    assert (switch.read().state, two.live, two.frozen) == (State.ABORTED, "docs_v1", False)
    assert two.sql("SELECT frozen, epoch FROM switchover_fence WHERE fence = 'second'") == [(False, 0)]
    assert finish.restore(two.again(switch)).startswith("aborted")
    assert unresumed(switch) == [], "no later run is refused over a writer that nobody froze"


@pytest.mark.parametrize("two", ["SELECT, UPDATE"], indirect=True)
def test_a_writer_that_was_frozen_and_cannot_be_resumed_for_want_of_the_right_is_said(two: World) -> None:
    switch = two.open()
    freeze(switch)
    two.sql(f"REVOKE UPDATE ON switchover_fence FROM {ROLE}")
    with pytest.raises(BadInput, match="not every writer could be resumed on 'docs_v1': second: .*permission denied"):
        finish.abort(two.again(switch))
    assert not two.frozen, "one that cannot be resumed does not keep the others frozen"
    assert unresumed(switch) == ["second"]
    two.sql(f"GRANT UPDATE ON switchover_fence TO {ROLE}")
    assert finish.abort(two.again(switch)) == ["second"]

"""A plan's file is edited while its switchover holds: the run keeps the plan that it started with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from sandbox.rig import Rig, until
from sandbox.scenarios import GREEN
from switchover.protocol import State
from tests.crash.world import World, watching

EDITS: dict[str, Any] = {
    "approve": ["before_flip", "before_unfreeze"],
    "lease_s": 9,
    "warm": {"min_rounds": 2, "max_rounds": 2},
}


@contextlib.contextmanager
def edited(rig: Rig) -> Iterator[None]:
    """The file changed for the block, as Airflow has parsed it: its DAG asks people then."""
    before = rig.plan_file.read_text()
    try:
        rig.plan_file.write_text(yaml.safe_dump({**yaml.safe_load(before), **EDITS}))
        until(lambda: asks(rig), timeout=120, what="the edited plan in Airflow", pause_s=0.5)
        yield
    finally:
        rig.plan_file.write_text(before)
        until(lambda: not asks(rig), timeout=120, what="the first plan in Airflow", pause_s=0.5)


def asks(rig: Rig) -> bool:
    """Whether the DAG that Airflow has now asks people."""
    tasks = rig.stack.api.get(f"dags/{rig.dag_id}/tasks")["tasks"]
    return "approve_unfreeze" in [task["task_id"] for task in tasks]


def test_a_run_keeps_the_plan_that_it_started_with(world: World) -> None:
    world.clean()
    rig = world.rig
    run = rig.trigger(hold_minutes=1.0)
    with watching(rig, run) as witness:
        kept = rig.reached(run, State.HOLDING).plan
        with edited(rig):
            row = until(lambda: world.ended(run), timeout=180, what=f"the end of {run}", pause_s=0.2)
            until(lambda: world.gone_or_ended(run), timeout=60, what=f"Airflow's end of {run}", pause_s=0.2)
    assert (row.state, row.plan) == (State.PROMOTED, kept)
    assert world.version()[0] == GREEN
    assert witness.wrong == set()
    assert rig.ledger.approvals.of(row.id) == [], "the plan that it started with asks nobody"

"""A plan's file is edited while its switchover holds: the run keeps the plan that it started with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from sandbox.demo.rig import Rig, until
from sandbox.demo.scenarios import BLUE, GREEN
from sandbox.errors import SandboxError
from switchover.protocol import State
from tests.crash.world import World, watching

EDITS: dict[str, Any] = {"approve": ["before_flip", "before_unfreeze"], "lease_s": 9, "converge_s": 9}
PATIENCE_S = 180.0


@contextlib.contextmanager
def edited(rig: Rig, text: str) -> Iterator[None]:
    """The file has another text for the block; Airflow has the first one again before the next test."""
    before = rig.plan_file.read_text()
    try:
        rig.plan_file.write_text(text)
        yield
    finally:
        rig.plan_file.write_text(before)
        until(lambda: parsed(rig) == "first", timeout=PATIENCE_S, what="the first plan in Airflow", pause_s=0.5)


def parsed(rig: Rig) -> str:
    """Which text of the plan Airflow's DAG is of: the first, the edited, or one that is no plan."""
    try:
        tasks = rig.stack.api.get(f"dags/{rig.dag_id}/tasks")["tasks"]
    except SandboxError:
        return "broken"
    return "edited" if "approve_unfreeze" in [task["task_id"] for task in tasks] else "first"


def test_a_run_keeps_the_plan_that_it_started_with(world: World) -> None:
    world.clean()
    rig = world.rig
    run = rig.trigger(hold_minutes=1.0)
    with watching(rig, run) as witness:
        kept = rig.reached(run, State.HOLDING).plan
        with edited(rig, yaml.safe_dump({**yaml.safe_load(rig.plan_file.read_text()), **EDITS})):
            until(lambda: parsed(rig) == "edited", timeout=PATIENCE_S, what="the edited plan in Airflow", pause_s=0.5)
            row = until(lambda: world.ended(run), timeout=PATIENCE_S, what=f"the end of {run}", pause_s=0.2)
            until(lambda: world.gone_or_ended(run), timeout=60, what=f"Airflow's end of {run}", pause_s=0.2)
    assert (row.state, row.plan) == (State.PROMOTED, kept)
    assert world.version()[0] == GREEN
    assert witness.wrong == set()
    assert rig.ledger.approvals.of(row.id) == [], "the plan that it started with asks nobody"


def test_a_plan_that_becomes_unreadable_costs_the_run_and_nothing_else(world: World) -> None:
    """Airflow starts no task of a DAG that it cannot parse: nobody drives the run any more."""
    world.clean()
    rig = world.rig
    run = rig.trigger(hold_minutes=0.2)
    with watching(rig, run) as witness:
        rig.reached(run, State.HOLDING)
        with edited(rig, "service: ["):
            row = until(lambda: world.ended(run), timeout=PATIENCE_S, what=f"the end of {run}", pause_s=0.2)
        until(lambda: world.gone_or_ended(run), timeout=PATIENCE_S, what=f"Airflow's end of {run}", pause_s=0.2)
    assert row.state is State.ROLLED_BACK
    assert world.version()[0] == BLUE
    assert witness.wrong == set()

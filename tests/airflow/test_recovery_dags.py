"""The DAGs beside a switchover: rehearse, break-glass, retire, each run whole on real servers; and the deadlines."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, RetryAction

from switchover.errors import BadInput
from switchover.ledger.ttr import ttr
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.flip import flip
from switchover_airflow import deadlines
from switchover_airflow.operators.base import RETRY_POLICY
from switchover_airflow.operators.steps import EvidenceOperator
from tests.airflow.conftest import ROOT
from tests.world import World

PLANS = ROOT / "include" / "plans"


@pytest.fixture
def dags(monkeypatch: pytest.MonkeyPatch) -> dict[str, DAG]:
    monkeypatch.setenv("SWITCHOVER_PLANS", str(PLANS / "docs.yaml"))
    bag = DagBag(dag_folder=str(ROOT / "dags" / "switchover.py"))
    assert bag.import_errors == {}
    found: Any = bag.dags
    return dict(found)


RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=sys.argv[1]).dags[sys.argv[2]]
dag.deadline = None  # Airflow 3.3.2's own dag.test() cannot read a deadline back when the run has succeeded
print("STATE", dag.test(run_conf=json.loads(sys.argv[3])).state)
"""


def run(world: World, dag_id: str, conf: str = "{}", plans: Path = PLANS / "docs.yaml") -> tuple[bool, str]:
    """``dag.test()`` on the world's servers: whether it went well, and what it said."""
    env = {
        **os.environ,
        **{name: text for name, text in world.environ.items() if name.startswith("AIRFLOW_CONN_")},
        "SWITCHOVER_PLANS": str(plans),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    }
    argv = [sys.executable, "-c", RUN, str(ROOT / "dags" / "switchover.py"), dag_id, conf]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240, check=False)
    return "STATE success" in done.stdout, done.stdout + done.stderr


def test_break_glass_is_one_click(dags: dict[str, DAG]) -> None:
    dag = dags["rollback__docs"]
    assert [task.task_id for task in dag.tasks] == ["rollback"]
    assert dict(dag.params) == {"after_promotion": False}, "nothing that must be filled in"
    assert dag.is_paused_upon_creation is False, "a paused DAG would take the click and not run"
    assert dag.schedule is None


def test_only_a_person_retires(dags: dict[str, DAG]) -> None:
    dag = dags["retire__docs"]
    assert {kind.value for kind in dag.allowed_run_types or ()} == {"manual"}
    assert dag.schedule is None
    with pytest.raises(Exception, match="index|No value"):
        dag.params.validate()


def test_rehearsals_follow_the_plan_s_schedule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, dags: dict[str, DAG]
) -> None:
    assert dags["rehearse__docs"].schedule is None
    path = tmp_path / "docs.yaml"
    text = (PLANS / "docs.yaml").read_text().replace("../gold/", f"{PLANS.parent}/gold/")
    path.write_text(text + "rehearsal: {schedule: '0 4 * * *'}\n")
    monkeypatch.setenv("SWITCHOVER_PLANS", str(path))
    bag = DagBag(dag_folder=str(ROOT / "dags" / "switchover.py"))
    assert bag.dags["rehearse__docs"].schedule == "0 4 * * *"


def test_the_rehearsal_dag_keeps_what_it_measured(world: World, airflow_db: None) -> None:
    well, told = run(world, "rehearse__docs")
    assert well, told[-3000:]
    found = world.ledger.rehearsals.newest(world.plan.pointer.build(world.edge).key)
    assert found is not None
    assert found.ok
    assert found.actor.startswith("airflow rehearse__docs, ")
    assert world.live == "docs_v1"


def test_the_rollback_dag_brings_blue_back(world: World, airflow_db: None) -> None:
    well, told = run(world, "rollback__docs")
    assert not well, "nothing is open"
    assert "has had no switchover; there is nothing to roll back" in told
    switch = world.warmed()
    flip(switch)
    well, told = run(world, "rollback__docs")
    assert well, told[-3000:]
    assert (world.live, world.frozen, switch.read().state) == ("docs_v1", False, State.ROLLED_BACK)
    assert switch.read().reason.startswith("break-glass by ")


def test_after_a_promotion_one_dag_refuses_and_the_other_brings_blue_back_on_a_person_s_word(
    world: World, airflow_db: None, tmp_path: Path
) -> None:
    switch = world.warmed()
    flip(switch)
    switch.leadership.take()
    switch.decide(Decision.PROMOTE, reason="by hand")
    finish.unfreeze(switch)
    finish.restore(switch)
    well, told = run(world, "retire__docs", '{"index": "docs_v1"}')
    assert not well
    assert "is kept for 72 h after the promotion" in told
    assert world.sql("SELECT count(*) FROM switchover_manifest") == [(2,)]
    plan = yaml.safe_load((PLANS / "docs.yaml").read_text().replace("../gold/", f"{PLANS.parent}/gold/"))
    plan["writers"] = [each for each in plan["writers"] if each["kind"] == "sql_fence"]  # no other Airflow is here
    (tmp_path / "docs.yaml").write_text(yaml.safe_dump(plan))
    well, told = run(world, "rollback__docs", '{"after_promotion": true}', tmp_path / "docs.yaml")
    assert well, told[-3000:]
    (newest, before) = world.ledger.runs.latest()
    assert (world.live, world.frozen, newest.back_of) == ("docs_v1", False, before.id)
    assert ttr(newest) is not None and newest.reason.startswith("way back by ")


def test_a_missed_deadline_is_an_alarm_in_the_audit_trail(connected: World) -> None:
    world = connected
    switch = world.warmed()
    flip(switch)
    alert = deadlines.of_rollback(world.plan)
    assert alert.interval == 120
    line = asyncio.run(deadlines.over_budget(**alert.callback.kwargs, context={"dag_run": {"dag_run_id": "x"}}))
    assert line.startswith("ALARM: the rollback of 'docs' is over its budget of 120 s: Green 'docs_v2' live for ")
    assert "run `switchover rollback`" in line
    assert switch.ledger.journal.events(switch.id)[-1]["text"] == line


def test_the_deadline_of_a_switchover_is_after_its_longest_hold_and_a_rollback(dags: dict[str, DAG]) -> None:
    (alert,) = dags["switchover__docs"].deadline
    assert alert.interval == (30 + 30) * 60 + 120
    (alert,) = dags["rollback__docs"].deadline
    assert alert.callback.path == "switchover_airflow.deadlines.over_budget"


@pytest.fixture
def connected(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world's connections, as Airflow finds them."""
    for name, text in world.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, text)
    return world


def test_a_full_disk_in_the_evidence_folder_is_said_and_costs_nothing(connected: World, tmp_path: Path) -> None:
    switch = connected.warmed()
    flip(switch)
    finish.rollback(switch)
    folder = tmp_path / switch.id.replace(":", "__")
    folder.mkdir()
    (folder / "summary.json").symlink_to("/dev/full")  # every write there meets a full disk, also root's
    task = EvidenceOperator(
        task_id="evidence", ledger_conn_id="switchover_ledger", switchover_id=switch.id, folder=str(tmp_path)
    )
    with pytest.raises(BadInput, match="No space left on device; nothing is lost, the ledger has it all") as caught:
        task.execute({})
    assert "\n" not in str(caught.value)
    assert RETRY_POLICY.rules[-1].action is RetryAction.FAIL, "asking again would not make room"
    assert switch.read().state is State.ROLLED_BACK
    (folder / "summary.json").unlink()
    assert "summary.json" in task.execute({})["files"], "written as soon as there is room"


def test_a_rollback_over_its_budget_is_an_alarm_in_the_audit_trail(world: World) -> None:
    rollback = world.plan.rollback.model_copy(update={"ttr_s": 0.001})
    switch = world.warmed()
    switch.__dict__["plan"] = switch.plan.model_copy(update={"rollback": rollback})
    flip(switch)
    finish.rollback(switch)
    told = [row["text"] for row in world.ledger.journal.events(switch.id)]
    assert any("s, ALARM: over the budget of 0.001 s" in text for text in told)

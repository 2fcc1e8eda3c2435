"""The DAG: its shape, what each task may do when others fail, and what a broken plan does to its neighbours."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _serialize_dags
from airflow.sdk import DAG, RetryAction
from airflow.sdk.exceptions import AirflowTaskTimeout
from bench import bench_parse
from structlog import get_logger

from tests.airflow.conftest import ROOT

SWITCHOVER = ROOT / "dags" / "switchover.py"


def bag_of(monkeypatch: pytest.MonkeyPatch, plans: Path) -> DagBag:
    monkeypatch.setenv("SWITCHOVER_PLANS", str(plans))
    return DagBag(dag_folder=str(SWITCHOVER), bundle_path=ROOT / "dags", bundle_name="dags-folder")


def dags_of(service: str) -> set[str]:
    return {f"{kind}__{service}" for kind in ("switchover", "rollback", "rehearse", "retire")}


def plans_in(folder: Path) -> Path:
    """A folder with the plan ``docs`` alone."""
    shutil.copytree(ROOT / "include" / "plans", folder / "plans", ignore=shutil.ignore_patterns("docs_*.yaml"))
    shutil.copytree(ROOT / "include" / "gold", folder / "gold")
    return folder / "plans"


def as_service(text: str, service: str) -> str:
    """The plan ``docs`` as another service's, with a pointer of its own; its writers are shared."""
    return text.replace("service: docs\n", f"service: {service}\n").replace("alias: docs\n", f"alias: {service}\n")


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> DAG:
    bag = bag_of(monkeypatch, ROOT / "include" / "plans")
    assert bag.import_errors == {}
    found: Any = bag.dags["switchover__docs"]
    return found


def test_the_checklist_in_its_order(dag: DAG) -> None:
    line = ["preflight", "attest", "freeze", "verify", "warm", "acceptance_gate", "flip", "hold", "gate"]
    for before, after in pairwise(line):
        assert after in dag.get_task(before).downstream_task_ids
    assert dag.get_task("acceptance_gate").downstream_task_ids == {"flip", "abort"}
    assert dag.get_task("gate").downstream_task_ids == {"unfreeze", "rollback"}
    assert dag.get_task("restore").upstream_task_ids == {"unfreeze", "rollback", "abort"}


def test_the_bench_makes_empty_dags_with_as_many_tasks(dag: DAG) -> None:
    assert len(dag.tasks) == bench_parse.TASKS


def test_a_plan_that_asks_nobody_has_the_checklist_and_nothing_else(dag: DAG) -> None:
    edges = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert edges == {
        "preflight": {"attest", "outcome"},
        "attest": {"freeze"},
        "freeze": {"verify"},
        "verify": {"warm"},
        "warm": {"acceptance_gate"},
        "acceptance_gate": {"flip", "abort"},
        "flip": {"hold"},
        "hold": {"gate"},
        "gate": {"unfreeze", "rollback"},
        "unfreeze": {"restore"},
        "rollback": {"restore"},
        "abort": {"restore"},
        "restore": {"outcome", "evidence"},
        "outcome": set(),
        "evidence": set(),
    }


@pytest.mark.parametrize(
    ("asks", "tasks"),
    [
        ("approve: [before_flip]", {"approve_flip": ("warm", "acceptance_gate")}),
        ("approve: [before_unfreeze]", {"approve_unfreeze": ("hold", "gate")}),
        ("approve: [on_unaccepted]", {"approve_unfreeze": ("hold", "gate")}),
        (
            "approve: [before_flip, before_unfreeze, on_unaccepted]",
            {"approve_flip": ("warm", "acceptance_gate"), "approve_unfreeze": ("hold", "gate")},
        ),
    ],
)
def test_a_question_stands_before_the_gate_that_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asks: str, tasks: dict[str, tuple[str, str]]
) -> None:
    plans = plans_in(tmp_path)
    text = (plans / "docs.yaml").read_text()
    (plans / "docs.yaml").write_text(f"{text}\n{asks}\n")
    dag = bag_of(monkeypatch, plans).dags["switchover__docs"]
    assert {task.task_id for task in dag.tasks if task.task_id.startswith("approve")} == set(tasks)
    for task_id, (before, gate) in tasks.items():
        task = dag.get_task(task_id)
        assert (task.upstream_task_ids, task.downstream_task_ids) == ({before}, {gate})
        assert task.trigger_rule == "all_success", "it asks nobody when the step before it has failed"
        assert dag.get_task(gate).upstream_task_ids == {task_id}
        assert dag.get_task(gate).trigger_rule == "all_done"


def test_gates_and_ends_run_whatever_happened_before(dag: DAG) -> None:
    for task_id in ("acceptance_gate", "gate"):
        assert dag.get_task(task_id).trigger_rule == "all_done", task_id
    for task_id in ("attest", "freeze", "verify", "warm", "flip", "hold", "unfreeze", "rollback", "abort"):
        assert dag.get_task(task_id).trigger_rule == "all_success", task_id


def test_the_teardown_restores_and_the_outcome_decides(dag: DAG) -> None:
    restore, evidence = dag.get_task("restore"), dag.get_task("evidence")
    assert restore.is_teardown
    assert evidence.is_teardown
    assert not restore.on_failure_fail_dagrun, "else a red outcome would not count"
    assert not evidence.on_failure_fail_dagrun, "a picture decides nothing"
    outcome = dag.get_task("outcome")
    assert outcome.is_teardown, "else `mark success` on the run would skip it, and the run be green"
    assert outcome.on_failure_fail_dagrun
    assert {task.task_id for task in dag.leaves} == {"outcome", "evidence"}


def test_nothing_stands_behind_the_evidence_and_each_end_has_its_own_time(dag: DAG) -> None:
    assert dag.get_task("evidence").downstream_task_ids == set()
    assert "evidence" not in {up.task_id for up in dag.get_task("restore").get_flat_relatives(upstream=True)}
    for task_id in ("restore", "outcome", "evidence"):
        assert dag.get_task(task_id).execution_timeout is not None, task_id
    policy: Any = dag.get_task("evidence").retry_policy
    over = policy.evaluate(AirflowTaskTimeout(), try_number=1, max_tries=3)
    assert over.action is RetryAction.FAIL, "else its time would be its time four times"


def test_what_a_switchover_must_never_be_given(dag: DAG) -> None:
    assert dag.dagrun_timeout is None, "it would skip the teardown and leave a flipped pointer"
    assert not dag.fail_fast
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert "backfill" not in (dag.allowed_run_types or [])


def test_every_task_says_what_it_does_and_retries_in_seconds(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.doc_md, task.task_id
        assert task.retry_delay.total_seconds() <= 5, task.task_id


def test_the_form(dag: DAG) -> None:
    params = dag.params
    assert params["green"] == "docs_v2"
    assert params.get_param("green").schema["enum"] == ["docs_v1", "docs_v2"]
    assert params["dry_run"] is False
    assert params.get_param("hold_minutes").schema["maximum"] == 30
    assert params["retry_build"] == "", "no schedule and no asset event names a build that was taken back"


def test_a_broken_plan_is_an_import_error_of_that_plan_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans = plans_in(tmp_path)
    text = (plans / "docs.yaml").read_text().replace("green:", "grene:")
    (plans / "bad.yaml").write_text(text)
    line = 1 + text.splitlines().index("grene: docs_v2")
    bag = bag_of(monkeypatch, plans)
    serialised, errors = _serialize_dags(bag, get_logger())
    assert {dag.dag_id for dag in serialised} == dags_of("docs")
    assert list(errors) == ["plans/bad.yaml"]
    assert f"bad.yaml:{line}: grene: unknown key (did you mean 'green'?)" in errors["plans/bad.yaml"]
    assert bag.import_errors == {}, "no error stands under the DAG file's own name"


def test_a_plan_may_name_an_asset_or_a_schedule(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans = plans_in(tmp_path)
    text = (plans / "docs.yaml").read_text()
    (plans / "a.yaml").write_text(f"{as_service(text, 'by_asset')}\nasset: docs_index_built\n")
    (plans / "b.yml").write_text(f"{as_service(text, 'by_cron')}\nschedule: '0 3 * * 1'\n")
    serialised, errors = _serialize_dags(bag_of(monkeypatch, plans), get_logger())
    assert errors == {}
    assert {dag.dag_id for dag in serialised} == dags_of("docs") | dags_of("by_asset") | dags_of("by_cron")


def test_one_plan_can_be_named_instead_of_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bag = bag_of(monkeypatch, plans_in(tmp_path) / "docs.yaml")
    assert set(bag.dags) == dags_of("docs")
    serialised, errors = _serialize_dags(bag_of(monkeypatch, tmp_path / "plans" / "none.yaml"), get_logger())
    assert serialised == []
    assert "none.yaml: cannot be read" in errors["plans/none.yaml"]

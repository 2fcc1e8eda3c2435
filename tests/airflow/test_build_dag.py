"""The build DAG: its shape, its asset, a run on a real PostgreSQL, and a broken plan that is reported once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _serialize_dags
from airflow.sdk import Asset
from jinja2.nativetypes import NativeEnvironment
from structlog import get_logger

from sandbox.service import build
from switchover.ledger import Ledger
from switchover.planfile.load import load_plan
from switchover_airflow.plans import plan_paths
from tests.airflow.conftest import ROOT
from tests.airflow.test_dag import dags_of, plans_in
from tests.world import connection

STEPS = ["begin", "load", "index", "catch_up", "publish"]


def bag_of(monkeypatch: pytest.MonkeyPatch, plans: Path) -> DagBag:
    monkeypatch.setenv("SWITCHOVER_PLANS", str(plans))
    return DagBag(dag_folder=str(ROOT / "dags"), bundle_path=ROOT / "dags", bundle_name="dags-folder")


def with_asset(plans: Path) -> Path:
    path = plans / "docs.yaml"
    path.write_text(path.read_text().replace("service: docs", "service: docs\nasset: docs_index"))
    return plans


def test_every_plan_with_a_build_part_has_its_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    bag = bag_of(monkeypatch, ROOT / "include" / "plans")
    assert bag.import_errors == {}
    wanted = {f"build_index__{plan.service}" for plan in map(load_plan, plan_paths()) if plan.build is not None}
    assert wanted == {dag_id for dag_id in bag.dags if dag_id.startswith("build_index__")} != set()


def test_the_steps_in_their_order_and_the_asset_at_their_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bag = bag_of(monkeypatch, with_asset(plans_in(tmp_path)))
    dag: Any = bag.dags["build_index__docs"]
    assert [task.task_id for task in dag.topological_sort()] == STEPS
    assert dag.get_task("publish").outlets == [Asset("docs_index")]
    assert all(task.doc_md and not task.outlets for task in dag.tasks[:-1])
    assert dag.params.get_param("arm").schema["enum"] == ["docs_v1", "docs_v2"]
    assert dag.max_active_runs == 1


def test_a_broken_plan_is_reported_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plans = plans_in(tmp_path)
    (plans / "bad.yaml").write_text((plans / "docs.yaml").read_text().replace("chunking:", "chunkin:"))
    bag = bag_of(monkeypatch, plans)
    serialised, errors = _serialize_dags(bag, get_logger())
    assert {dag.dag_id for dag in serialised} == dags_of("docs") | {"build_index__docs"}
    assert list(errors) == ["plans/bad.yaml"]
    assert bag.import_errors == {}


@pytest.mark.parametrize(
    ("events", "green"),
    [
        ({}, "docs_v2"),
        (
            {
                "docs_index": [
                    SimpleNamespace(extra={"target": "docs_v2"}),
                    SimpleNamespace(extra={"target": "docs_v1"}),
                ]
            },
            "docs_v1",
        ),
        ({"docs_index": [SimpleNamespace(extra={})]}, "docs_v2"),
    ],
    ids=["by hand", "the last event", "an event that names no arm"],
)
def test_the_switchover_goes_to_the_arm_that_was_built(
    monkeypatch: pytest.MonkeyPatch, events: dict[str, Any], green: str
) -> None:
    bag = bag_of(monkeypatch, ROOT / "include" / "plans" / "docs.yaml")
    template = bag.dags["switchover__docs"].get_task("preflight").green
    rendered = NativeEnvironment().from_string(template)
    assert rendered.render(triggering_asset_events=events, params=SimpleNamespace(green="docs_v2")) == green


def test_a_run_builds_the_arm_and_a_second_one_finds_it_there(
    fresh_db_url: str, airflow_db: None, tmp_path: Path
) -> None:
    with psycopg.connect(fresh_db_url, autocommit=True) as conn:
        blue = build.build(conn, build.DOCS_V1)
        build.point(conn, alias="docs", target="docs_v1")
        Ledger(engine=sa.create_engine(fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1))).create_tables()
        env = {
            **os.environ,
            "SWITCHOVER_PLANS": str(with_asset(plans_in(tmp_path)) / "docs.yaml"),
            "AIRFLOW_CONN_DOCS_DB": connection(fresh_db_url),
            "AIRFLOW_CONN_SWITCHOVER_LEDGER": connection(fresh_db_url),
        }
        argv = [sys.executable, "-m", "airflow", "dags", "test", "build_index__docs"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        unbroken = build.manifest(build.DOCS_V2, build.chunks(build.DOCS_V2))
        row = conn.execute("SELECT index_hash FROM switchover_manifest WHERE target = 'docs_v2'").fetchone()
        assert row == (unbroken.index_hash,)
        assert f"INDEX_HASH {unbroken.index_hash}" in done.stdout
        assert blue.index_hash != unbroken.index_hash
        again = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=180)
        assert again.returncode == 0
        assert "docs_v2: there already" in again.stdout

"""A run that Airflow starts although its slot is long over ends green, says that it did nothing, and did nothing."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.airflow.conftest import ROOT
from tests.world import World

RUN = """
import sys
from datetime import datetime, timedelta, timezone
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=sys.argv[1]).dags["switchover__docs"]
dag.deadline = None  # Airflow 3.3.2's own dag.test() cannot read a deadline back when the run has succeeded
run = dag.test(run_after=datetime.now(timezone.utc) - timedelta(hours=9))
print("STATE", run.state, {ti.task_id: str(ti.state) for ti in run.get_task_instances()})
"""


def test_a_run_that_unpausing_starts_hours_after_its_slot_is_skipped(world: World, airflow_db: None) -> None:
    env = {
        **os.environ,
        **{name: text for name, text in world.environ.items() if name.startswith("AIRFLOW_CONN_")},
        "SWITCHOVER_PLANS": str(ROOT / "include" / "plans" / "docs.yaml"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    }
    argv = [sys.executable, "-c", RUN, str(ROOT / "dags" / "switchover.py")]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240, check=False)
    told = done.stdout + done.stderr
    assert "STATE success" in done.stdout, told[-3000:]
    assert "'preflight': 'success'" in done.stdout
    assert "'freeze': 'skipped'" in done.stdout
    assert "skipped: was due at " in told
    assert "9.0 h ago; allowed: start_within_minutes 60" in told
    assert world.ledger.runs.latest() == []
    assert (world.live, world.frozen) == ("docs_v1", False)

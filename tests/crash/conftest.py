"""One stack for all cells; what each showed goes into a file, from which docs/crash.md is made."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo.rig import Rig, write_plan
from sandbox.demo.stack import Stack
from sandbox.processes.airflow_home import REPOSITORY
from tests.crash.cells import cells, name_of
from tests.crash.world import World

HERE = Path(__file__).parent
SEAM = HERE / "seam"
#: What an Airflow that is watched closely has; the defaults notice a dead process after minutes.
CLOSELY = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without ``--crash FILE`` none of it runs: it takes half an hour."""
    if config.getoption("--crash") is None:
        left_out = [item for item in items if item.path.is_relative_to(HERE)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """What each cell showed; at the end it takes the place of what the file had of the same cells."""
    found: list[dict[str, Any]] = []
    yield found
    path = request.config.getoption("--crash")
    if path is None or not found:
        return
    before = json.loads(path.read_text()) if path.exists() else []
    rows = {name_of(row): row for row in [*before, *found]}
    known = [rows[cell.name] for cell in cells() if cell.name in rows]
    path.write_text(json.dumps(known, indent=1) + "\n")


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A small stack with barriers in every process of Airflow, a watchdog, and a supervisor."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="switchover-crash-", ignore_cleanup_errors=True) as folder:
        barriers, dags = Path(folder) / "barriers", Path(folder) / "dags"
        barriers.mkdir()
        dags.mkdir()
        path = os.pathsep.join((str(SEAM), str(REPOSITORY / "include")))
        env = {"PYTHONPATH": path, "SWITCHOVER_BARRIER": str(barriers), **CLOSELY}
        plan = write_plan(Path(folder) / "plan")
        state = Path(folder) / "state"
        with Stack(state=state, airflow_port=0, service_port=0, plan=plan, more_dags=dags, env=env) as stack:
            rig = Rig(stack=stack, plan=plan, say=say)
            rig.start()
            world = World(rig, barriers=barriers)
            world.supervisor.start()
            say("the stack is up")
            yield world
            world.supervisor.stop()

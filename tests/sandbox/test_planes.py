"""The example plans and the data planes that run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.demo.planes import PLANES, PLANS, DataPlane
from sandbox.demo.scenarios import BLUE, GREEN
from sandbox.processes.airflow_home import AirflowHome, Secrets
from sandbox.processes.postgres import Postgres
from switchover.planfile.load import load_plan


def test_every_plan_has_a_data_plane_and_every_data_plane_a_plan() -> None:
    assert sorted(plane.file for plane in PLANES.values()) == sorted(path.name for path in PLANS.glob("*.yaml"))


@pytest.mark.parametrize("plane", PLANES.values(), ids=PLANES)
def test_a_plan_loads_and_names_only_what_the_sandbox_knows(plane: type[DataPlane], tmp_path: Path) -> None:
    plan = load_plan(PLANS / plane.file)
    home = AirflowHome(
        state=tmp_path,
        port=1,
        service_port=2,
        postgres=Postgres(socket_dir=tmp_path),
        secrets=Secrets.of(tmp_path),
        more_connections=dict.fromkeys(plane.connections, "{}"),
    )
    known = {name.removeprefix("AIRFLOW_CONN_").lower() for name in home.connections()}
    assert set(plan.connections) <= known
    assert set(plane.connections) <= set(plan.connections)
    assert (list(plan.arms), plan.green) == ([BLUE, GREEN], GREEN)
    assert plan.sandbox


def test_the_plans_differ_where_two_at_once_would_meet() -> None:
    plans = [load_plan(path) for path in PLANS.glob("*.yaml")]
    assert len({plan.service for plan in plans}) == len(plans)
    assert len({plan.pointer.model_dump_json() for plan in plans}) == len(plans)

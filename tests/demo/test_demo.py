"""The demo for real, as README tells it: a running Airflow, live traffic, nothing left behind.

The demo of a good Green is the one that the browser visits: tests/browser.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.processes import leftovers, ports

pytestmark = pytest.mark.demo


def run(state: Path, pointer: str, scenario: str, hold: int) -> tuple[int, str, dict[str, Any]]:
    """One demo in its own state directory and on free ports: exit code, what it printed, its result."""
    environ = {**os.environ, "AIRFLOW_PORT": str(ports.free_port()), "SERVICE_PORT": str(ports.free_port())}
    arguments = ["--pointer", pointer, "--scenario", scenario, "--hold", str(hold), "--state", str(state)]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo.run", *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    return done.returncode, done.stdout, json.loads((state / "result.json").read_text())


def clean(result: dict[str, Any]) -> bool:
    """No request failed, no answer was mixed, no effect was doubled or lost."""
    traffic, effects = result["traffic"], result["effects"]
    assert traffic["requests"] > 100
    assert effects["written"] > 10
    writes = result["writes"]
    assert writes["accepted"] > 100 and writes["applied"] == writes["accepted"] and writes["queued"] > 10
    assert {name: writes[name] for name in ("lost", "duplicated", "out_of_order", "waiting")} == dict.fromkeys(
        ("lost", "duplicated", "out_of_order", "waiting"), 0
    )
    return (traffic["failed"], traffic["mixed"], effects["duplicated"], effects["lost"]) == (0, 0, 0, 0)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all runs here: each is also a second start after the one before."""
    return tmp_path_factory.mktemp("demo") / "state"


def test_a_regression_behind_a_load_balancer_is_rolled_back_within_seconds(state: Path) -> None:
    code, told, result = run(state, "alb", "regression", hold=60)
    assert code == 0, told
    assert result["pointer_kind"] == "alb"
    assert (result["outcome"], result["run_state"]) == ("rolled_back", "failed")
    assert result["pointer"] == {"before": "docs_v1", "after": "docs_v1"}
    assert result["writers_resumed"]
    assert clean(result)
    assert set(result["ttr_s"]) == {"detect", "decide", "hand_over", "flip", "converge", "total"}
    assert result["ttr_s"]["total"] <= 120
    assert leftovers.ours(state) == []


def test_nothing_of_airflow_is_left(state: Path) -> None:
    mark = leftovers.marker(state)
    assert not [p for p in psutil.process_iter() if mark in " ".join(_command(p))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []

"""A DAG of a real Airflow, with a scheduler that runs its task."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sandbox.demo.stack import Stack
from sandbox.processes.airflow_api import AirflowApi
from sandbox.processes.airflow_home import LOGIN
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from tests.contract.worlds.base import CONNECTION
from tests.contract.writers.base import WriterWorld

DAGS = Path(__file__).parent / "dags"
STRANGER, BUSY = "stranger", "busy"
BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"


def start_airflow(state: Path) -> Stack:
    """An Airflow with the one DAG, and a user who may only look. The caller closes it."""
    bundles = [{"name": "writers", "classpath": BUNDLE, "kwargs": {"path": str(DAGS)}}]
    settings = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin,{STRANGER}:viewer",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(state / "no-plugins"),
        "WRITES_BUSY": str(state / BUSY),
    }
    stack = Stack(state=state, airflow_port=0, service_port=0, env=settings).__enter__()
    try:
        stack.start_postgres()
        stack.start_airflow()
        stack.wait_for_dags(["writes", "writes_in_two"])
    except BaseException:
        stack.close()
        raise
    return stack


class AirflowDagWorld(WriterWorld):
    kind = "airflow_dag"
    fixture = "airflow"
    write_marker = b"PATCH"
    dag_id = "writes"
    asked = ""

    @property
    def against(self) -> str:
        return f"Airflow {version('apache-airflow')}, real server"

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.airflow_port

    @cached_property
    def api(self) -> AirflowApi:
        found: AirflowApi = self.server.api
        return found

    @property
    def busy(self) -> Path:
        return Path(self.server.state) / BUSY

    def set_up(self) -> None:
        self.api.patch(f"dags/{self.dag_id}", {"is_paused": False})

    def tear_down(self) -> None:
        self.end()
        self.api.patch(f"dags/{self.dag_id}", {"is_paused": False})
        while self.states({"queued", "running"}):
            time.sleep(0.1)

    def states(self, wanted: set[str]) -> int:
        path = f"dags/{self.dag_id}/dagRuns/~/taskInstances"
        return int(self.api.get(path, state=sorted(wanted), limit=1)["total_entries"])

    def spec(self) -> dict[str, Any]:
        return {"dag_id": self.asked or self.dag_id, "drain_s": 2}

    def connection(self, address: tuple[str, int] | str, login: str = LOGIN) -> Connection:
        passwords = json.loads((self.server.airflow.home / "passwords.json").read_text())
        host, port = address
        return Connection(
            id=CONNECTION, conn_type="http", host=str(host), port=int(port), login=login, password=passwords[login]
        )

    def state(self) -> bool:
        return bool(self.api.get(f"dags/{self.dag_id}")["is_paused"])

    def disturb(self) -> None:
        self.api.patch(f"dags/{self.dag_id}", {"is_paused": False})

    def halt(self) -> None:
        self.api.patch(f"dags/{self.dag_id}", {"is_paused": True})

    def begin(self) -> None:
        self.busy.touch()
        self.api.post(f"dags/{self.dag_id}/dagRuns", {"logical_date": None, "conf": {}})
        deadline = time.monotonic() + 60
        while not self.states({"running"}):
            assert time.monotonic() < deadline, "Airflow did not start the task"
            time.sleep(0.1)

    def end(self) -> None:
        self.busy.unlink(missing_ok=True)

    def remove(self) -> None:
        """A DAG that is deleted comes back when its file is parsed again: another one is asked for."""
        self.asked = "absent"

    @contextmanager
    def stranger(self) -> Iterator[Edge]:
        """Airflow's own role ``viewer``."""
        edge = Edge(connections=lambda _: self.connection(self.address, STRANGER))
        yield edge
        edge.close()

"""A writer that is an Airflow DAG: paused through the REST API, drained when no task of it is in flight.

Not when no *run* is active: Airflow starts no task of a paused DAG, so a run that was caught between two
tasks, or queued, stays as it is until the DAG is resumed, and a run whose tasks are done is closed up to a
minute later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from switchover.edge import reaching
from switchover.errors import BadInput, Unreachable
from switchover.writers.base import Drain

IN_FLIGHT = ("queued", "running", "restarting", "deferred")
#: A scheduler that was about to queue a task when the DAG was paused has done so by the second look.
QUIET_LOOKS = 2


class AirflowDagWriter:
    """One DAG of the Airflow behind ``client``, whose base URL ends before ``/api/v2``."""

    def __init__(self, *, client: httpx.Client, name: str, dag_id: str, drain_s: float) -> None:
        self._client = client
        self._dag_id = dag_id
        self.name = name
        self.drain_s = drain_s
        self._quiet = 0

    def find(self) -> Mapping[str, Any]:
        """See :class:`Writer`."""
        return {"is_paused": bool(self._call("GET", f"/api/v2/dags/{self._dag_id}")["is_paused"])}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._pause(paused=True)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        path = f"/api/v2/dags/{self._dag_id}/dagRuns/~/taskInstances"
        tasks = int(self._call("GET", path, params={"state": list(IN_FLIGHT), "limit": 1})["total_entries"])
        paused = bool(self.find()["is_paused"])
        self._quiet = self._quiet + 1 if paused and tasks == 0 else 0
        state = "paused" if paused else "NOT paused"
        return Drain(done=self._quiet >= QUIET_LOOKS, proof=f"DAG {self._dag_id} is {state}, {tasks} tasks in flight")

    def resume(self, found: Mapping[str, Any], *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._pause(paused=bool(found["is_paused"]))

    def _pause(self, *, paused: bool) -> None:
        self._call("PATCH", f"/api/v2/dags/{self._dag_id}", json={"is_paused": paused})

    def _call(self, method: str, path: str, **options: Any) -> Any:
        what = f"writer {self.name!r}: {method} {self._client.base_url.host}{path}"
        with reaching(what):
            response = self._client.request(method, path, **options)
        if response.status_code == 404:
            raise BadInput(f"writer {self.name!r}: Airflow has no DAG {self._dag_id!r}")
        if response.status_code in (401, 403):
            raise BadInput(f"{what}: refused with {response.status_code}; the login may not edit this DAG")
        if response.is_error:
            raise Unreachable(f"{what}: answered {response.status_code}")
        return response.json()

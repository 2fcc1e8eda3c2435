"""A writer that is an Airflow DAG: paused through the REST API, drained when no run of it is active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from switchover.edge import reaching
from switchover.errors import BadInput, Unreachable
from switchover.writers.base import Drain

ACTIVE = ("queued", "running")


class AirflowDagWriter:
    """One DAG of the Airflow behind ``client``, whose base URL ends before ``/api/v2``."""

    def __init__(self, *, client: httpx.Client, name: str, dag_id: str, drain_s: float) -> None:
        self._client = client
        self._dag_id = dag_id
        self.name = name
        self.drain_s = drain_s

    def find(self) -> Mapping[str, Any]:
        """See :class:`Writer`."""
        return {"is_paused": bool(self._call("GET", f"/api/v2/dags/{self._dag_id}")["is_paused"])}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._pause(paused=True)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        runs = self._call("GET", f"/api/v2/dags/{self._dag_id}/dagRuns", params={"state": list(ACTIVE), "limit": 1})
        active = int(runs["total_entries"])
        paused = bool(self.find()["is_paused"])
        return Drain(
            done=active == 0 and paused,
            proof=f"DAG {self._dag_id} is {'paused' if paused else 'NOT paused'}, {active} runs queued or running",
        )

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

"""A writer that is an Airflow DAG: paused through the REST API, drained when no task of it is in flight.

Not when no *run* is active: Airflow starts no task of a paused DAG, so a run that was caught between two
tasks, or queued, stays as it is until the DAG is resumed, and a run whose tasks are done is closed up to a
minute later.
"""

from __future__ import annotations

from typing import Any, Literal

import httpx
from pydantic import Field

from switchover.edge import Edge, reaching
from switchover.errors import BadInput, Unreachable
from switchover.web import BadAnswer, read_object
from switchover.writers.base import Drain, Quiet, State, Writer, WriterSpec

IN_FLIGHT = ("queued", "running", "restarting", "deferred")


class AirflowDagSpec(WriterSpec):
    """An Airflow DAG that writes: frozen by pausing it, drained when no task of it is in flight."""

    kind: Literal["airflow_dag"]
    dag_id: str = Field(min_length=1, description="The DAG that writes.")

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return AirflowDagWriter(client=edge.client("airflow", self.connection), spec=self)


class AirflowDagWriter(Writer):
    """One DAG of the Airflow behind ``client``, whose base URL ends before ``/api/v2``."""

    def __init__(self, *, client: httpx.Client, spec: AirflowDagSpec) -> None:
        super().__init__(spec=spec)
        self._client = client
        self._dag_id = spec.dag_id
        self._quiet = Quiet()

    def find(self) -> State:
        """See :class:`Writer`."""
        paused = self._call("GET", f"/api/v2/dags/{self._dag_id}").get("is_paused")
        if not isinstance(paused, bool):
            raise Unreachable(f"{self._what}: Airflow's answer does not say whether DAG {self._dag_id!r} is paused")
        return {"is_paused": paused}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"is_paused": True}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._pause(paused=True)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        path = f"/api/v2/dags/{self._dag_id}/dagRuns/~/taskInstances"
        tasks = self._call("GET", path, params={"state": list(IN_FLIGHT), "limit": 1}).get("total_entries")
        if not isinstance(tasks, int):
            raise Unreachable(f"{self._what}: Airflow's answer does not say how many tasks are in flight")
        paused = bool(self.find()["is_paused"])
        done = self._quiet.look(quiet=paused and tasks == 0)
        state = "paused" if paused else "NOT paused"
        return Drain(done=done, proof=f"DAG {self._dag_id} is {state}, {tasks} tasks in flight")

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._pause(paused=bool(found["is_paused"]))

    def _pause(self, *, paused: bool) -> None:
        self._call("PATCH", f"/api/v2/dags/{self._dag_id}", json={"is_paused": paused})

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        what = f"{self._what}: {method} {self._client.base_url.host}{path}"
        with reaching(what):
            response = self._client.request(method, path, **options)
        if response.status_code == 404:
            raise BadInput(f"{self._what}: Airflow has no DAG {self._dag_id!r}")
        if response.status_code in (401, 403):
            raise BadInput(f"{what}: refused with {response.status_code}; the login may not edit this DAG")
        if not response.is_success:
            raise Unreachable(f"{what}: answered {response.status_code}")
        try:
            return read_object(response)
        except BadAnswer as error:
            raise Unreachable(f"{what}: answer cannot be read: {error}") from None

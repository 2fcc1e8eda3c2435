"""A writer that is an Airflow DAG: paused through the REST API, drained when no task is in flight and no run half done.

Airflow starts no task of a paused DAG. So a run that was caught between two of its tasks stays half done until the
DAG is resumed, and then goes on with what its first tasks read from Blue: it is never drained. A run of which no
task has begun just waits, and one whose tasks have all ended is over, though Airflow closes it up to a minute later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pydantic import Field

from switchover.edge.body import BadAnswer, read_object
from switchover.edge.edge import Edge, reaching
from switchover.errors import BadInput, Unreachable
from switchover.lazy import lazy
from switchover.writers.base import Drain, Quiet, State, Writer, WriterSpec

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy("httpx")

IN_FLIGHT = ("queued", "running", "restarting", "deferred")
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
UNTOUCHED = ("none", "scheduled")
AT_ONCE = 50  # active runs that one look takes


class AirflowDagSpec(WriterSpec):
    """An Airflow DAG that writes: frozen by pausing it, drained when no task is in flight and no run half done."""

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
        tasks = self._tasks("~", IN_FLIGHT)
        half, waiting = self._runs()
        paused = bool(self.find()["is_paused"])
        done = self._quiet.look(quiet=paused and tasks == 0 and not half)
        state = "paused" if paused else "NOT paused"
        said = [f"DAG {self._dag_id} is {state}, {tasks} tasks in flight, {len(half)} runs half done"]
        said += [f"{waiting} runs wait"] if waiting else []
        said += [f"{half[0]}: it goes on only when the DAG is resumed; end it first, or mark it failed"] if half else []
        return Drain(done=done, proof=", ".join(said))

    def _runs(self) -> tuple[list[str], int]:
        """The runs that are half done, each in words; and how many wait, of which no task has begun."""
        path = f"/api/v2/dags/{self._dag_id}/dagRuns"
        found = self._call("GET", path, params={"state": ["queued", "running"], "limit": AT_ONCE})
        runs = found.get("dag_runs")
        if not isinstance(runs, list):
            raise Unreachable(f"{self._what}: Airflow's answer has no list of the runs of DAG {self._dag_id!r}")
        half, waiting = [], 0
        for run_id in (str(run["dag_run_id"]) for run in runs):
            every, untouched, ended = (self._tasks(run_id, states) for states in ((), UNTOUCHED, ENDED))
            if every == untouched:
                waiting += 1
            elif ended < every:
                half.append(f"run {run_id!r} has ended {ended} of its {every} tasks")
        if (more := _total(found, self._what) - len(runs)) > 0:
            half.append(f"{more} more runs are active")
        return half, waiting

    def _tasks(self, run_id: str, states: Sequence[str]) -> int:
        """Tasks of a run in these states, or in any; ``~`` is every run."""
        path = f"/api/v2/dags/{self._dag_id}/dagRuns/{quote(run_id, safe='~')}/taskInstances"
        return _total(self._call("GET", path, params={"state": list(states), "limit": 1}), self._what)

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


def _total(answer: dict[str, Any], what: str) -> int:
    """How many there are; an answer that does not say it is no zero."""
    total = answer.get("total_entries")
    if not isinstance(total, int):
        raise Unreachable(f"{what}: Airflow's answer does not say how many there are (total_entries)")
    return total

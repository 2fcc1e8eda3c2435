"""A Kubernetes CronJob that writes: suspended, drained when no Job of it is active, resumed as found."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.kubernetes import CRON_JOBS, JOBS, Cluster
from switchover.pointers.k8s_pointer import ObjectName
from switchover.writers.base import Drain, Quiet, State, Writer
from switchover.writers.k8s import KubernetesWriter, KubernetesWriterSpec

FINISHED = ("Complete", "Failed")


class CronJobSpec(KubernetesWriterSpec):
    """A Kubernetes CronJob that writes: suspended, drained when no Job of it is active."""

    kind: Literal["k8s_cronjob"]
    cronjob: ObjectName = Field(description="The CronJob that writes.")

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return CronJobWriter(cluster=self.cluster(edge), spec=self)


class CronJobWriter(KubernetesWriter):
    """One CronJob."""

    def __init__(self, *, cluster: Cluster, spec: CronJobSpec) -> None:
        super().__init__(cluster=cluster, spec=spec, resource=CRON_JOBS, object_name=spec.cronjob)
        self._quiet = Quiet()

    def find(self) -> State:
        """See :class:`Writer`."""
        return {"suspend": bool(self._look()["spec"].get("suspend"))}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"suspend": True}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`. Kubernetes lets a Job that runs already run to its end."""
        self._set("suspend", True)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        found = self._look()
        suspended, uid = bool(found["spec"].get("suspend")), found["metadata"]["uid"]
        active = sum(_is_of(job, uid) and _is_active(job) for job in self._cluster.list(JOBS, {}))
        done = self._quiet.look(quiet=suspended and active == 0)
        state = "suspended" if suspended else "NOT suspended"
        return Drain(done=done, proof=f"CronJob {self._object} is {state}, {active} of its Jobs are active")

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set("suspend", found["suspend"])


def _is_of(job: Any, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in job["metadata"].get("ownerReferences") or [])


def _is_active(job: Any) -> bool:
    """Not finished, or finished with pods that are still ending."""
    status = job.get("status") or {}
    ends = [each for each in status.get("conditions") or [] if each["type"] in FINISHED and each["status"] == "True"]
    return not ends or bool(status.get("active")) or bool(status.get("terminating"))

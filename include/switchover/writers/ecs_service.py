"""An ECS service that writes: its desired count set to 0, drained when no task of it runs, put back as found.

A service with Application Auto Scaling would be scaled up again: its scaling is suspended first and resumed last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from switchover.edge.aws_calls import Declined, Service, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.writers.base import Drain, State, Writer, WriterSpec

PAGE = "docs/writers.md"
SUSPENDED = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
ABSENT = ("ClusterNotFoundException", "ServiceNotFoundException", "ServiceNotActiveException")
AT_ONCE = 100  # tasks that one DescribeTasks takes


class EcsServiceSpec(WriterSpec):
    """An ECS service that writes: desired count 0, drained when no task of it runs."""

    kind: Literal["ecs_service"]
    cluster: str = Field(pattern=r"^[A-Za-z0-9_-]{1,255}$", description="Name of the cluster.")
    service: str = Field(pattern=r"^[A-Za-z0-9_-]{1,255}$", description="Name of the service that writes.")

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        where = f"writer {self.name!r}"
        ecs = service(edge, "ecs", self.connection, where=where, page=PAGE)
        scaling = service(edge, "application-autoscaling", self.connection, where=where, page=PAGE)
        return EcsServiceWriter(ecs=ecs, scaling=scaling, spec=self)


class EcsServiceWriter(Writer):
    """One service of one cluster."""

    def __init__(self, *, ecs: Service, scaling: Service, spec: EcsServiceSpec) -> None:
        super().__init__(spec=spec)
        self._ecs = ecs
        self._scaling = scaling
        self._cluster = spec.cluster
        self._service = spec.service
        self._target = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{spec.cluster}/{spec.service}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }

    def find(self) -> State:
        """See :class:`Writer`. ``scaling``: what of Application Auto Scaling is suspended; null where there is none."""
        return {"desired_count": int(self._look()["desiredCount"]), "scaling": self._suspended()}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"desired_count": 0, "scaling": found["scaling"] and SUSPENDED}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._look()
        if self._suspended() is not None:
            self._suspend(SUSPENDED)
        self._scale(0)

    def drained(self) -> Drain:
        """See :class:`Writer`. A task that is told to stop runs on until its last status is STOPPED."""
        found = self._look()
        desired = int(found["desiredCount"])
        left = int(found["runningCount"]) + int(found["pendingCount"]) or len(self._tasks())
        state = "is 0" if desired == 0 else f"is NOT 0 but {desired}"
        return Drain(
            done=desired == 0 and left == 0,
            proof=f"desired count of service {self._service} {state}, {left} of its tasks are not stopped",
        )

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._scale(int(found["desired_count"]))
        if found["scaling"] is not None:
            self._suspend(found["scaling"])

    def _look(self) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = {}
        with contextlib.suppress(Declined):
            answer = self._ecs.call("describe_services", cluster=self._cluster, services=[self._service], expect=ABSENT)
        found = next((each for each in answer.get("services", ()) if each["status"] == "ACTIVE"), None)
        if found is None:
            raise BadInput(
                f"{self._what}: there is no active ECS service {self._service!r} in cluster {self._cluster!r}"
                f" of {self._ecs.region}; nothing was changed"
            )
        if found.get("schedulingStrategy", "REPLICA") != "REPLICA":
            raise BadInput(
                f"{self._what}: ECS service {self._service!r} is a {found['schedulingStrategy']}, which has no desired"
                " count; allowed: REPLICA; nothing was changed"
            )
        result: Mapping[str, Any] = found
        return result

    def _tasks(self) -> list[str]:
        """Tasks of the service that are not stopped; ECS lists those that it has told to stop for an hour."""
        left: list[str] = []
        for status in ("RUNNING", "STOPPED"):
            listed = self._listed(status)
            for start in range(0, len(listed), AT_ONCE):
                batch = listed[start : start + AT_ONCE]
                told = self._ecs.call("describe_tasks", cluster=self._cluster, tasks=batch)
                left += running(batch, told)
        return left

    def _listed(self, status: str) -> list[str]:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = self._ecs.call(
                "list_tasks", cluster=self._cluster, serviceName=self._service, desiredStatus=status, **more
            )
            found += answer["taskArns"]
            if not answer.get("nextToken"):
                return found
            more = {"nextToken": answer["nextToken"]}

    def _scale(self, count: int) -> None:
        if int(self._look()["desiredCount"]) != count:
            self._ecs.call("update_service", cluster=self._cluster, service=self._service, desiredCount=count)

    def _suspended(self) -> Mapping[str, bool] | None:
        asked = {"ResourceIds": [self._target["ResourceId"]], "ServiceNamespace": "ecs"}
        targets = self._scaling.call("describe_scalable_targets", **asked)["ScalableTargets"]
        if not targets:
            return None
        return {key: bool((targets[0].get("SuspendedState") or {}).get(key)) for key in SUSPENDED}

    def _suspend(self, state: Mapping[str, bool]) -> None:
        self._scaling.call("register_scalable_target", **self._target, SuspendedState=dict(state))


def running(asked: Sequence[str], told: Mapping[str, Any]) -> list[str]:
    """The tasks, of those asked for, that are not stopped. One that is not told of may run, unless it is forgotten.

    ECS says MISSING of a task that it has forgotten, about an hour after its end.
    """
    gone = {each["arn"] for each in told.get("failures", ()) if each.get("reason") == "MISSING"}
    gone |= {each["taskArn"] for each in told["tasks"] if each["lastStatus"] == "STOPPED"}
    return [arn for arn in asked if arn not in gone]

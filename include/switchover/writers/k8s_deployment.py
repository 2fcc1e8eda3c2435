"""A Kubernetes Deployment that writes: scaled to zero, drained when no pod of it is left, scaled back as found.

A HorizontalPodAutoscaler leaves a Deployment alone while it is scaled to zero, and takes it up again from the
replicas that are restored. Two kinds do not leave it alone, and are refused before anything is changed: one that
may scale from zero (``minReplicas: 0``), and one that KEDA made.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.kubernetes import AUTOSCALERS, DEPLOYMENTS, PODS, SCALES, Object
from switchover.errors import BadInput
from switchover.pointers.k8s_pointer import ObjectName
from switchover.writers.base import Drain, State, Writer
from switchover.writers.k8s import KubernetesWriter, KubernetesWriterSpec

ENDED = ("Succeeded", "Failed")
KEDA = "scaledobject.keda.sh/name"


class DeploymentSpec(KubernetesWriterSpec):
    """A Kubernetes Deployment that writes: scaled to zero, drained when no pod of it is left."""

    kind: Literal["k8s_deployment"]
    deployment: ObjectName = Field(description="The Deployment that writes.")

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return DeploymentWriter(
            cluster=self.cluster(edge), spec=self, resource=DEPLOYMENTS, object_name=self.deployment
        )


class DeploymentWriter(KubernetesWriter):
    """One Deployment."""

    def find(self) -> State:
        """See :class:`Writer`. ``autoscaler``: the HorizontalPodAutoscaler that targets it, or null."""
        return {"replicas": _replicas(self._look()), "autoscaler": self._autoscaler()}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"replicas": 0}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set("replicas", 0, resource=SCALES)

    def drained(self) -> Drain:
        """See :class:`Writer`. Its controller must have seen the zero: until then it may still start a pod."""
        found = self._look()
        replicas, status = _replicas(found), found.get("status") or {}
        pods = [pod for pod in self._cluster.list(PODS, _selector(found)) if _in_flight(pod)]
        seen = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
        done = replicas == 0 and seen and not pods and not status.get("replicas")
        state = f"scaled to {replicas}" if replicas == 0 else f"NOT scaled to 0 but {replicas}"
        controller = "has seen it" if seen else "has not seen it yet"
        return Drain(
            done=done, proof=f"Deployment {self._object} is {state}, its controller {controller}, {len(pods)} pods left"
        )

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set("replicas", found["replicas"], resource=SCALES)

    def _autoscaler(self) -> str | None:
        for each in self._cluster.list(AUTOSCALERS, {}):
            target, name = each["spec"].get("scaleTargetRef") or {}, str(each["metadata"]["name"])
            if (target.get("kind"), target.get("name")) != ("Deployment", self._object):
                continue
            if KEDA in (each["metadata"].get("labels") or {}):
                raise BadInput(
                    f"{self._what}: KEDA scales Deployment {self._object!r} and would start it again; pause its"
                    " ScaledObject (autoscaling.keda.sh/paused) for the switchover; nothing was changed"
                )
            if each["spec"].get("minReplicas") == 0:
                raise BadInput(
                    f"{self._what}: HorizontalPodAutoscaler {name!r} may scale Deployment {self._object!r} up from"
                    " zero; allowed: minReplicas 1 or more; nothing was changed"
                )
            return name
        return None


def _replicas(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _selector(deployment: Object) -> dict[str, str]:
    """The labels that every pod of it has; expressions only narrow them, and a pod too many is no false proof."""
    return dict(deployment["spec"]["selector"].get("matchLabels") or {})


def _in_flight(pod: Any) -> bool:
    return (pod.get("status") or {}).get("phase") not in ENDED

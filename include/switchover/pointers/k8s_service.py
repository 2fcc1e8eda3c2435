"""A Kubernetes Service whose selector chooses the live arm's pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from switchover.edge.edge import Edge
from switchover.edge.kubernetes import PODS, SERVICES, Cluster, Object, Operation
from switchover.errors import BadInput, TargetRefused
from switchover.pointers.base import Change, Pointer, Reading
from switchover.pointers.k8s_pointer import (
    KubernetesPointer,
    KubernetesSpec,
    ObjectName,
    follows,
    ready_endpoints,
    shadow_name,
)

Labels = Annotated[dict[str, str], Field(min_length=1)]
_PORT_KEYS = ("name", "port", "protocol", "targetPort", "appProtocol")


class ServiceSpec(KubernetesSpec):
    """A Kubernetes Service whose selector chooses the live arm's pods."""

    kind: Literal["k8s_service"]
    service: ObjectName = Field(description="The Service that clients talk to.")
    targets: dict[str, Labels] = Field(description="Arm → the Service's whole selector when that arm is live.")

    @field_validator("targets")
    @classmethod
    def _apart(cls, targets: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        """A pod must never be selected for two arms: each pair needs a label with two values."""
        arms = list(targets)
        for number, one in enumerate(arms):
            for other in arms[number + 1 :]:
                mine, theirs = targets[one], targets[other]
                if not any(mine[label] != theirs[label] for label in mine.keys() & theirs.keys()):
                    raise ValueError(
                        f"{one} ({_text(mine)}) and {other} ({_text(theirs)}) can select the same pod;"
                        " give them one label with two values"
                    )
        return targets

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        client, page = edge.client("kubernetes", self.connection), f"pointers/{self.kind}"
        cluster = Cluster(client=client, namespace=self.namespace, page=page)
        return ServicePointer(cluster=cluster, name=self.service, targets=self.targets, min_ready=self.min_ready)


class ServicePointer(KubernetesPointer):
    """The selector of one Service."""

    kind = "k8s_service"
    resource = SERVICES
    propagation = "EndpointSlices follow in milliseconds and are waited for; each node's proxy follows by itself"

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        found = self._cluster.get(SERVICES, self._name)
        if found is None:
            return Reading(target=None)
        spec = found["spec"]
        if spec.get("type") == "ExternalName":
            raise BadInput(
                f"{self.key}: is an ExternalName and selects no pods; allowed: ClusterIP, NodePort, LoadBalancer"
            )
        if spec.get("clusterIP") == "None":
            raise BadInput(
                f"{self.key}: is headless: its clients keep the pods' addresses; allowed: a Service with a cluster IP"
            )
        selector = spec.get("selector") or {}
        arm = next((arm for arm, labels in self._targets.items() if labels == selector), None)
        return self.reading(found, arm or _text(selector) or "no selector")

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. Looks at the pods: EndpointSlices list only what is live now."""
        labels = self.place_of(target)
        pods = self._cluster.list(PODS, labels)
        ready = [pod for pod in pods if _is_ready(pod)]
        if len(ready) < self._min_ready:
            raise TargetRefused(
                f"{self.key}: of {len(pods)} pods with {_text(labels)} {len(ready)} are ready;"
                f" allowed: {self._min_ready} or more; nothing was changed"
            )
        self.require_hash(f"pods with {_text(labels)}", ready, approved_hash)
        found = self._cluster.get(SERVICES, self._name)
        named = [port["targetPort"] for port in _ports(found or {}) if isinstance(port.get("targetPort"), str)]
        for port in named:
            lacking = [pod["metadata"]["name"] for pod in ready if port not in _port_names(pod)]
            if lacking:
                raise TargetRefused(
                    f"{self.key}: pod {lacking[0]} has no container port named {port!r}; nothing was changed"
                )

    def writes(self, found: Object, after: str) -> Sequence[Operation]:
        """See :class:`KubernetesPointer`."""
        return [
            {"op": "test", "path": "/spec/selector", "value": found["spec"].get("selector")},
            {"op": "replace", "path": "/spec/selector", "value": self._targets[after]},
        ]

    def plan(self, change: Change) -> str:
        """See :class:`Pointer`."""
        found = self._cluster.get(SERVICES, self._name) or {"spec": {}}
        affinity = found["spec"].get("sessionAffinity", "None")
        kept = "" if affinity == "None" else f"; its sessionAffinity {affinity} keeps no client on a pod that is left"
        return super().plan(change) + kept

    @property
    def places(self) -> Mapping[str, str]:
        """See :class:`Pointer`."""
        return {arm: _text(labels) for arm, labels in self._targets.items()}

    def behind(self, target: str) -> str:
        """See :class:`Pointer`. Waits for the EndpointSlices: ready addresses of the target's pods, and no others."""
        if why := super().behind(target):
            return why
        labels = self.place_of(target)
        told = ""

        def followed() -> bool:
            nonlocal told
            ready = ready_endpoints(self._cluster, self._name)
            pods = {pod["metadata"]["uid"] for pod in self._cluster.list(PODS, labels)}
            foreign = [each for each in ready if (each.get("targetRef") or {}).get("uid") not in pods]
            told = f"its EndpointSlices list {len(ready)} ready endpoints, {len(foreign)} of them not of {target!r}"
            return len(ready) >= self._min_ready and not foreign

        return "" if follows(followed) else told

    def shadow_objects(self, target: str) -> Mapping[str, Object]:
        """See :class:`KubernetesPointer`. A Service inside the cluster that nobody knows by name."""
        found = self._cluster.get(SERVICES, self._name) or {}
        ports = [{key: port[key] for key in _PORT_KEYS if key in port} for port in _ports(found)]
        return {self._name: {"spec": {"type": "ClusterIP", "selector": self.place_of(target), "ports": ports}}}

    def beside(self) -> ServicePointer:
        """See :class:`KubernetesPointer`."""
        return ServicePointer(
            cluster=self._cluster, name=shadow_name(self._name), targets=self._targets, min_ready=self._min_ready
        )


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _ports(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (service.get("spec") or {}).get("ports") or []


def _port_names(pod: Mapping[str, Any]) -> set[str]:
    containers = [*pod["spec"].get("containers", []), *(pod["spec"].get("initContainers") or [])]
    return {port.get("name", "") for container in containers for port in container.get("ports") or []}


def _text(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))

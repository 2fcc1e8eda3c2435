"""What the Kubernetes writers share: one field of one object, set on the condition of the last look."""

from __future__ import annotations

from abc import ABC
from typing import Any

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.kubernetes import Cluster, Object, Resource
from switchover.errors import BadInput, WriterChanged
from switchover.pointers.k8s_pointer import ObjectName
from switchover.writers.base import Writer, WriterSpec

TRIES = 5


class KubernetesWriterSpec(WriterSpec, ABC):
    """Base of the plan's part of every Kubernetes writer."""

    namespace: ObjectName = Field(description="Namespace of the writer.")

    def cluster(self, edge: Edge) -> Cluster:
        """The namespace. No I/O."""
        return Cluster(client=edge.client("kubernetes", self.connection), namespace=self.namespace, page="writers")


class KubernetesWriter(Writer, ABC):
    """A writer that is one object."""

    def __init__(self, *, cluster: Cluster, spec: WriterSpec, resource: Resource, object_name: str) -> None:
        super().__init__(spec=spec)
        self._cluster = cluster
        self._resource = resource
        self._object = object_name

    def _look(self, resource: Resource | None = None) -> Object:
        """The object, or a part of it."""
        found = self._cluster.get(resource or self._resource, self._object)
        if found is None:
            raise BadInput(
                f"{self._what}: there is no {self._resource.kind} {self._object!r} in namespace"
                f" {self._cluster.namespace!r} of {self._cluster.host}; nothing was changed"
            )
        return found

    def _set(self, key: str, value: Any, *, resource: Resource | None = None) -> None:
        """Make ``spec.<key>`` be ``value``, whatever else changes in the object meanwhile."""
        for _ in range(TRIES):
            found = self._look(resource)
            if found["spec"].get(key) == value:
                return
            write = {"op": "add", "path": f"/spec/{key}", "value": value}
            if self._cluster.patch(resource or self._resource, found, [write]):
                return
        raise WriterChanged(
            f"{self._what}: something else writes to {self._resource.kind} {self._object!r} all the time"
            f" ({TRIES} tries); spec.{key} was not set"
        )

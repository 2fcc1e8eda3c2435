"""The base of the Kubernetes pointers: a pointer is a part of one object, its epoch an annotation of that object.

Whether an arm can serve is looked up in the EndpointSlices of its Service, as kube-proxy, Ingress controllers
and Gateways do.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from switchover.edge.kubernetes import SERVICES, SLICES, Cluster, Object, Operation, Resource
from switchover.errors import BadInput, TargetRefused
from switchover.pointers.base import (
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    not_of_a_rehearsal,
)

ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]

EPOCH = "switchover/epoch"
ACTOR = "switchover/actor"
INDEX_HASH = "switchover/index-hash"
MANAGED_BY = {"app.kubernetes.io/managed-by": "switchover"}
#: Seconds in which the cluster's own controllers must follow a write that has been read back.
FOLLOW_S = 10.0
_PAUSE_S = 0.05
_SHADOW = "-rehearsal"
_LONGEST_NAME = 63
_DIGEST = 8


class KubernetesSpec(PointerSpec):
    """Base of the plan's part of every Kubernetes pointer."""

    namespace: ObjectName = Field(description="Namespace of the objects.")
    min_ready: int = Field(default=1, ge=1, description="Ready endpoints that an arm must have to become live.")


class KubernetesPointer(Pointer):
    """A pointer that is a part of the object ``name`` of ``resource``. A reading's token is that object."""

    kind: ClassVar[str]
    resource: ClassVar[Resource]
    propagation: ClassVar[str]

    def __init__(self, *, cluster: Cluster, name: str, targets: Mapping[str, Any], min_ready: int) -> None:
        self._cluster = cluster
        self._name = name
        self._targets = targets
        self._min_ready = min_ready
        self.key = f"{self.kind}:{cluster.place}/{name}"

    @abstractmethod
    def writes(self, found: Object, after: str) -> Sequence[Operation]:
        """The part of a JSON patch that moves ``found`` to the arm ``after``."""

    @abstractmethod
    def shadow_objects(self, target: str) -> Mapping[str, Object]:
        """Objects of a shadow that stands on ``target``, each by the name of the one that it stands for."""

    @abstractmethod
    def beside(self) -> KubernetesPointer:
        """The pointer on the shadow's objects."""

    def describe(self) -> Capabilities:
        """See :class:`Pointer`."""
        return Capabilities(
            atomic=True, compare_and_set=True, fencing=EpochCheck.WITH_THE_WRITE, propagation=self.propagation
        )

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        marks = {EPOCH: str(change.epoch), ACTOR: change.actor}
        writes = [*self.writes(now.token, change.after), *annotate(now.token, marks)]
        return self._cluster.patch(self.resource, now.token, writes)

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        while (now := self.read()).target is not None and (now.epoch or 0) < epoch:
            if self._cluster.patch(self.resource, now.token, annotate(now.token, {EPOCH: str(epoch)})):
                return

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`. The objects are named ``<name>-rehearsal``."""
        objects = self.shadow_objects(target)
        for name in objects:
            found = self._cluster.get(self.resource, shadow_name(name))
            if found is None:
                continue
            if not MANAGED_BY.items() <= (found["metadata"].get("labels") or {}).items():
                raise not_of_a_rehearsal(self.key, f"{self.resource.kind} {shadow_name(name)!r}")
            self._cluster.delete(self.resource, shadow_name(name))
        made = []
        try:
            for name, body in objects.items():
                metadata = {**body.get("metadata", {}), "name": shadow_name(name), "labels": MANAGED_BY}
                self._cluster.create(self.resource, {**body, "metadata": metadata})
                made.append(name)
            yield self.beside()
        finally:
            for name in made:
                self._cluster.delete(self.resource, shadow_name(name))

    def reading(self, found: Object, target: str) -> Reading:
        """A reading of the object. It has no version: ``resourceVersion`` counts every write in the cluster."""
        return Reading(target=target, epoch=self._epoch(found), token=found)

    def place_of(self, target: str) -> Any:
        """What the plan says of an arm; ``TargetRefused`` for a word that is no arm."""
        if target not in self._targets:
            raise TargetRefused(
                f"{self.key}: {target!r} is no arm of targets ({', '.join(self._targets)}); nothing was changed"
            )
        return self._targets[target]

    def require_service(self, name: str, *, approved_hash: str | None) -> None:
        """Raise ``TargetRefused`` unless the Service has enough ready endpoints, and the approved INDEX_HASH if any."""
        service = self._cluster.get(SERVICES, name)
        if service is None:
            raise TargetRefused(f"{self.key}: there is no Service {name!r}; nothing was changed")
        self.require_hash(f"Service {name!r}", [service], approved_hash)
        ready = len(ready_endpoints(self._cluster, name))
        if ready < self._min_ready:
            raise TargetRefused(
                f"{self.key}: Service {name!r} has {ready} ready endpoints; allowed: {self._min_ready} or more;"
                " nothing was changed"
            )

    def require_hash(self, what: str, objects: Sequence[Object], approved_hash: str | None) -> None:
        """Raise ``TargetRefused`` if an object is annotated with another INDEX_HASH than the approved one."""
        found = {annotations_of(each).get(INDEX_HASH) for each in objects} - {None, approved_hash}
        if approved_hash and found:
            shown = ", ".join(sorted(str(each)[:12] for each in found))
            raise TargetRefused(
                f"{self.key}: {what}: {INDEX_HASH} is {shown}, approved is {approved_hash[:12]}; nothing was changed"
            )

    def _epoch(self, found: Object) -> int | None:
        text = annotations_of(found).get(EPOCH)
        if text is not None and not text.isdigit():
            raise BadInput(
                f"{self.key}: annotation {EPOCH}: found {text[:40]!r}; allowed: an integer; nothing was changed"
            )
        return None if text is None else int(text)


def annotations_of(found: Object) -> dict[str, str]:
    """The object's annotations."""
    return found["metadata"].get("annotations") or {}


def annotate(found: Object, marks: Mapping[str, str]) -> list[Operation]:
    """Operations that set annotations and leave the others."""
    if not found["metadata"].get("annotations"):
        return [{"op": "add", "path": "/metadata/annotations", "value": dict(marks)}]
    return [
        {"op": "add", "path": f"/metadata/annotations/{key.replace('~', '~0').replace('/', '~1')}", "value": value}
        for key, value in marks.items()
    ]


def ready_endpoints(cluster: Cluster, service: str) -> list[Object]:
    """The endpoints of a Service that take traffic. A condition that is not given counts as ready, as the API says."""
    slices = cluster.list(SLICES, {"kubernetes.io/service-name": service})
    found = [endpoint for each in slices for endpoint in each.get("endpoints") or []]
    return [each for each in found if (each.get("conditions") or {}).get("ready") is not False]


def shadow_name(name: str) -> str:
    """``<name>-rehearsal``; a longer name than a Service may have is cut and marked with its digest."""
    if len(name) + len(_SHADOW) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
        name = f"{name[: _LONGEST_NAME - len(_SHADOW) - _DIGEST - 1]}-{digest}"
    return name + _SHADOW


def follows(look: Callable[[], bool]) -> bool:
    """Whether ``look()`` becomes true in the time that the cluster's controllers have."""
    deadline = time.monotonic() + FOLLOW_S
    while not look():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_S)
    return True

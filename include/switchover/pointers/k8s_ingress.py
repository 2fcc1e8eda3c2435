"""Two Ingresses of the NGINX Ingress controller, a main one and its canary: the canary's weight is the pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator

from switchover.edge.edge import Edge
from switchover.edge.kubernetes import INGRESSES, Cluster, Object, Operation
from switchover.errors import BadInput, TargetRefused
from switchover.pointers.base import Pointer, Reading
from switchover.pointers.k8s_pointer import (
    KubernetesPointer,
    KubernetesSpec,
    ObjectName,
    annotate,
    annotations_of,
    shadow_name,
)

PREFIX = "nginx.ingress.kubernetes.io/"
CANARY = PREFIX + "canary"
WEIGHT = PREFIX + "canary-weight"
TOTAL = PREFIX + "canary-weight-total"
AFFINITY = PREFIX + "affinity"
AFFINITY_OF_CANARY = PREFIX + "affinity-canary-behavior"
#: What chooses an arm before the weight does, by what begins so: a header or a cookie of the request.
CHOOSING = (PREFIX + "canary-by-header", PREFIX + "canary-by-cookie")
#: What a shadow has too, so that a rehearsal meets it.
KEPT = (*CHOOSING, AFFINITY)
#: The controller takes a smaller total for this one.
LEAST_TOTAL = 100
#: A class that no controller serves: a shadow's Ingresses are read by nobody.
_NO_CLASS = "switchover-rehearsal"


class IngressSpec(KubernetesSpec):
    """A main Ingress and its canary (NGINX Ingress controller); the canary's weight, none or all, is the pointer."""

    kind: Literal["k8s_ingress"]
    targets: dict[str, ObjectName] = Field(
        description='Arm → its Ingress; one of them, whichever, is the canary (annotation `canary: "true"`).'
    )

    @field_validator("targets")
    @classmethod
    def _apart(cls, targets: dict[str, str]) -> dict[str, str]:
        if len(set(targets.values())) != len(targets):
            raise ValueError("two arms have one Ingress; allowed: one Ingress for each")
        return targets

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        client, page = edge.client("kubernetes", self.connection), f"pointers/{self.kind}"
        cluster = Cluster(client=client, namespace=self.namespace, page=page)
        return IngressPointer(cluster=cluster, targets=self.targets, min_ready=self.min_ready)


class _Pair(NamedTuple):
    """What was found: each Ingress by its arm, and which is the canary."""

    by_arm: Mapping[str, Object]
    canary: str
    main: str


class IngressPointer(KubernetesPointer):
    """The canary weight of one pair of Ingresses. A reading's token is the canary."""

    kind = "k8s_ingress"
    resource = INGRESSES
    propagation = "each controller replica follows by itself, in about a second; nothing in the API tells when"

    def __init__(self, *, cluster: Cluster, targets: Mapping[str, str], min_ready: int) -> None:
        name = "+".join(sorted(targets.values()))
        super().__init__(cluster=cluster, name=name, targets=targets, min_ready=min_ready)

    def read(self) -> Reading:
        """See :class:`Pointer`. Without the canary there is no pointer: the main Ingress serves alone."""
        pair = self._pair()
        if pair is None:
            return Reading(target=None)
        canary = pair.by_arm[pair.canary]
        weight, total = self._number(canary, WEIGHT, 0), max(LEAST_TOTAL, self._number(canary, TOTAL, LEAST_TOTAL))
        if 0 < weight < total:
            return self.reading(canary, f"{weight} of {total} on {pair.canary}, the rest on {pair.main}")
        return self.reading(canary, pair.main if weight == 0 else pair.canary)

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. On the way to the canary also: no path stays on the main Ingress."""
        name = self.place_of(target)
        pair = self._pair()
        found = None if pair is None else pair.by_arm.get(target)
        if pair is None or found is None:
            raise TargetRefused(f"{self.key}: there is no Ingress {name!r}; nothing was changed")
        services = _services(found)
        if not services:
            raise TargetRefused(f"{self.key}: Ingress {name!r} routes to no Service; nothing was changed")
        for service in sorted(services):
            self.require_service(service, approved_hash=approved_hash)
        if target == pair.canary:
            self._require_whole(pair)

    def strays(self) -> str:
        """See :class:`Pointer`. Requests whose header or cookie goes before the weight, and sessions that are kept."""
        pair = self._pair()
        if pair is None:
            return ""
        canary, main = pair.by_arm[pair.canary], pair.by_arm[pair.main]
        for mark in sorted(annotations_of(canary)):
            if mark.startswith(CHOOSING):
                return (
                    f"requests with the canary's {mark} ({annotations_of(canary)[mark][:40]!r}) go by that, whatever"
                    " its weight; remove it, and give an arm that is asked by itself a host name of its own"
                )
        for each in (main, canary):
            if annotations_of(each).get(AFFINITY) and annotations_of(canary).get(AFFINITY_OF_CANARY) != "legacy":
                return (
                    f"Ingress {each['metadata']['name']!r} keeps sessions on their arm ({AFFINITY});"
                    f" set {AFFINITY_OF_CANARY} to 'legacy' on the canary"
                )
        return ""

    def writes(self, found: Object, after: str) -> Sequence[Operation]:
        """See :class:`KubernetesPointer`."""
        to_canary = self._targets.get(after) == found["metadata"]["name"]
        total = max(LEAST_TOTAL, self._number(found, TOTAL, LEAST_TOTAL))
        path = "/metadata/annotations"
        return [
            {"op": "test", "path": path, "value": annotations_of(found)},
            *annotate(found, {WEIGHT: str(total if to_canary else 0)}),
        ]

    def shadow_objects(self, target: str) -> Mapping[str, Object]:
        """See :class:`KubernetesPointer`. A pair of a class that no controller serves."""
        pair = self._pair()
        if pair is None:
            return {}
        weight = {CANARY: "true", WEIGHT: str(LEAST_TOTAL if target == pair.canary else 0)}
        shadows = {}
        for arm, found in pair.by_arm.items():
            kept = {key: value for key, value in annotations_of(found).items() if key.startswith(KEPT)}
            spec = {key: found["spec"][key] for key in ("rules", "defaultBackend") if key in found["spec"]}
            shadows[str(self._targets[arm])] = {
                "metadata": {"annotations": kept | (weight if arm == pair.canary else {})},
                "spec": {**spec, "ingressClassName": _NO_CLASS},
            }
        return shadows

    def beside(self) -> IngressPointer:
        """See :class:`KubernetesPointer`."""
        targets = {arm: shadow_name(name) for arm, name in self._targets.items()}
        return IngressPointer(cluster=self._cluster, targets=targets, min_ready=self._min_ready)

    def _pair(self) -> _Pair | None:
        """Both Ingresses; ``None`` when there is no canary."""
        got = {arm: self._cluster.get(INGRESSES, name) for arm, name in self._targets.items()}
        found = {arm: each for arm, each in got.items() if each is not None}
        canaries = [arm for arm, each in found.items() if annotations_of(each).get(CANARY) == "true"]
        mains = [arm for arm in found if arm not in canaries]
        if len(canaries) == len(mains) == 1:
            return _Pair(by_arm=found, canary=canaries[0], main=mains[0])
        if len(found) < 2 and not canaries:
            return None
        names = ", ".join(sorted(each["metadata"]["name"] for each in found.values()))
        raise BadInput(
            f"{self.key}: found {len(canaries)} with annotation {CANARY} = 'true' and {len(mains)} without ({names});"
            " allowed: one of each; nothing was changed"
        )

    def _require_whole(self, pair: _Pair) -> None:
        missing = sorted(_paths(pair.by_arm[pair.main]) - _paths(pair.by_arm[pair.canary]))
        if missing:
            host, path, _ = missing[0]
            raise TargetRefused(
                f"{self.key}: the canary lacks {host or '*'}{path} ({len(missing)} in all), which would stay on"
                f" {pair.main!r}; nothing was changed"
            )

    def _number(self, found: Object, annotation: str, default: int) -> int:
        text = annotations_of(found).get(annotation, str(default))
        if not text.isdigit():
            raise BadInput(
                f"{self.key}: annotation {annotation}: found {text[:40]!r}; allowed: an integer; nothing was changed"
            )
        return int(text)


def _rule_paths(found: Object) -> list[tuple[str, dict[str, Any]]]:
    rules = found["spec"].get("rules") or []
    return [(rule.get("host", ""), path) for rule in rules for path in (rule.get("http") or {}).get("paths") or []]


def _paths(found: Object) -> set[tuple[str, str, str]]:
    return {(host, path.get("path", "/"), path["pathType"]) for host, path in _rule_paths(found)}


def _services(found: Object) -> set[str]:
    """The Services that the Ingress routes to."""
    default = found["spec"].get("defaultBackend")
    backends = [path["backend"] for _, path in _rule_paths(found)] + ([default] if default else [])
    return {backend["service"]["name"] for backend in backends if "service" in backend}

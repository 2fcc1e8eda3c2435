"""One rule of a Gateway API HTTPRoute: all of its weight is on the live arm's Service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from switchover.edge import Edge
from switchover.errors import BadInput
from switchover.pointers.base import Pointer, Reading
from switchover.pointers.k8s import HTTP_ROUTES, Cluster, Object, Operation
from switchover.pointers.k8s_pointer import (
    KubernetesPointer,
    KubernetesSpec,
    ObjectName,
    follows,
    shadow_name,
)

ALL = 100
#: What a backend without a weight has, as the API says.
_DEFAULT_WEIGHT = 1
_FOLLOWED = ("Accepted", "ResolvedRefs")


class HttpRouteSpec(KubernetesSpec):
    """One rule of a Gateway API HTTPRoute: all of its weight is on the live arm's Service."""

    kind: Literal["k8s_httproute"]
    route: ObjectName = Field(description="The HTTPRoute.")
    rule: int | str = Field(default=0, description="The rule's place, from 0, or its `name`.")
    targets: dict[str, ObjectName] = Field(description="Arm → its Service, a backend of that rule.")

    @field_validator("targets")
    @classmethod
    def _apart(cls, targets: dict[str, str]) -> dict[str, str]:
        if len(set(targets.values())) != len(targets):
            raise ValueError("two arms have one Service; allowed: one Service for each")
        return targets

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        client, page = edge.client("kubernetes", self.connection), f"pointers/{self.kind}"
        cluster = Cluster(client=client, namespace=self.namespace, page=page)
        return HttpRoutePointer(
            cluster=cluster, name=self.route, rule=self.rule, targets=self.targets, min_ready=self.min_ready
        )


class HttpRoutePointer(KubernetesPointer):
    """The weights of one rule."""

    kind = "k8s_httproute"
    resource = HTTP_ROUTES
    propagation = "each Gateway reports in the route's status that it has the change, and is waited for"

    def __init__(
        self, *, cluster: Cluster, name: str, rule: int | str, targets: Mapping[str, str], min_ready: int
    ) -> None:
        super().__init__(cluster=cluster, name=name, targets=targets, min_ready=min_ready)
        self._rule = rule
        self.key += f"#{rule}"

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        found = self._cluster.get(HTTP_ROUTES, self._name)
        if found is None:
            return Reading(target=None)
        backends = self._backends(found)
        weights = {arm: _weight(backends[place]) for arm, place in self._targets.items()}
        live = [arm for arm, weight in weights.items() if weight]
        if len(live) == 1:
            return self.reading(found, live[0])
        return self.reading(found, ", ".join(f"{weight} on {arm}" for arm, weight in weights.items()))

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`."""
        self.require_service(self.place_of(target), approved_hash=approved_hash)
        found = self._cluster.get(HTTP_ROUTES, self._name)
        if found is not None and self._rule_of(found)[1].get("sessionPersistence"):
            raise BadInput(
                f"{self.key}: the rule has sessionPersistence: sessions would stay on their arm whatever the weights;"
                " remove it; nothing was changed"
            )

    def writes(self, found: Object, after: str) -> Sequence[Operation]:
        """See :class:`KubernetesPointer`."""
        index, rule = self._rule_of(found)
        path = f"/spec/rules/{index}/backendRefs"
        live = self._targets.get(after)
        return [
            {"op": "test", "path": path, "value": rule["backendRefs"]},
            *(
                {"op": "add", "path": f"{path}/{place}/weight", "value": ALL if backend["name"] == live else 0}
                for place, backend in enumerate(rule["backendRefs"])
            ),
        ]

    def verify(self, target: str) -> bool:
        """See :class:`Pointer`. Waits until each Gateway of the route has accepted its present generation."""

        def followed() -> bool:
            found = self._cluster.get(HTTP_ROUTES, self._name)
            return found is None or _accepted(found)

        return self.read().target == target and follows(followed)

    def shadow_objects(self, target: str) -> Mapping[str, Object]:
        """See :class:`KubernetesPointer`. A route of that rule alone, attached to no Gateway."""
        found = self._cluster.get(HTTP_ROUTES, self._name)
        if found is None:
            return {}
        live = self.place_of(target)
        refs = [
            {**backend, "weight": ALL if backend["name"] == live else 0}
            for backend in self._rule_of(found)[1]["backendRefs"]
        ]
        return {self._name: {"spec": {"rules": [{"backendRefs": refs}]}}}

    def beside(self) -> HttpRoutePointer:
        """See :class:`KubernetesPointer`."""
        return HttpRoutePointer(
            cluster=self._cluster,
            name=shadow_name(self._name),
            rule=0,
            targets=self._targets,
            min_ready=self._min_ready,
        )

    def _rule_of(self, found: Object) -> tuple[int, dict[str, Any]]:
        rules = found["spec"].get("rules") or []
        for index, rule in enumerate(rules):
            if str(self._rule) in (str(index), rule.get("name")):
                return index, rule
        names = [rule["name"] for rule in rules if "name" in rule]
        named = f" or a name ({', '.join(names)})" if names else ""
        raise BadInput(
            f"{self.key}: the route has no rule {self._rule!r}; allowed: 0 to {len(rules) - 1}{named};"
            " nothing was changed"
        )

    def _backends(self, found: Object) -> dict[str, dict[str, Any]]:
        """The rule's backends by Service; ``BadInput`` unless they are the arms' and no others."""
        refs = self._rule_of(found)[1].get("backendRefs") or []
        shown = [_shown(each, self._cluster.namespace) for each in refs]
        places = set(self._targets.values())
        if set(shown) != places or len(shown) != len(places):
            raise BadInput(
                f"{self.key}: the rule has backends {', '.join(shown) or 'none'}; allowed: each of"
                f" {', '.join(sorted(places))} once (weight 0 is well), and no others; nothing was changed"
            )
        return dict(zip(shown, refs, strict=True))


def _weight(backend: Mapping[str, Any]) -> int:
    return int(backend.get("weight", _DEFAULT_WEIGHT))


def _shown(backend: Mapping[str, Any], namespace: str) -> str:
    """The Service's name; anything that is no Service of this namespace is written out."""
    kind, elsewhere = backend.get("kind", "Service"), backend.get("namespace", namespace) != namespace
    name = f"{backend['namespace']}/{backend['name']}" if elsewhere else str(backend["name"])
    return name if kind == "Service" and not backend.get("group") else f"{kind} {name}"


def _accepted(found: Object) -> bool:
    """Whether each parent of the route has reported on its present generation, and uses it."""
    wanted = {parent["name"] for parent in found["spec"].get("parentRefs") or []}
    reports = [each for each in (found.get("status") or {}).get("parents") or [] if each["parentRef"]["name"] in wanted]
    if wanted - {each["parentRef"]["name"] for each in reports}:
        return False
    generation = found["metadata"]["generation"]
    return all(
        {
            each["type"]
            for each in report.get("conditions") or []
            if each["status"] == "True" and each.get("observedGeneration", 0) >= generation
        }
        >= set(_FOLLOWED)
        for report in reports
    )

"""One rule of a Gateway API HTTPRoute: all of its weight is on the live arm's Service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from switchover.edge.edge import Edge
from switchover.edge.kubernetes import HTTP_ROUTES, Cluster, Object, Operation
from switchover.errors import BadInput
from switchover.pointers.base import Pointer, Reading
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
_GOOD = {(name, "True") for name in _FOLLOWED}


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

    def strays(self) -> str:
        """See :class:`Pointer`. Sessions that are kept, and rules beside this one that lead to an arm."""
        found = self._cluster.get(HTTP_ROUTES, self._name)
        if found is None:
            return ""
        index, rule = self._rule_of(found)
        if rule.get("sessionPersistence"):
            return "the rule has sessionPersistence: sessions would stay on their arm whatever the weights; remove it"
        for place, other in enumerate(found["spec"]["rules"]):
            fixed = [each for each in other.get("backendRefs") or [] if place != index and _weight(each)]
            arms = [arm for arm, name in self._targets.items() if name in {self._shown(each) for each in fixed}]
            if arms:
                return (
                    f"rule {other.get('name', place)!r} of the route sends {_matches(other)} to {' and '.join(arms)}"
                    " whatever this rule's weights; give an arm that is asked by itself a route of its own"
                )
        return ""

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

    def behind(self, target: str) -> str:
        """See :class:`Pointer`. Waits until each Gateway of the route has accepted its present generation."""
        lacking = ""

        def followed() -> bool:
            nonlocal lacking
            found = self._cluster.get(HTTP_ROUTES, self._name)
            lacking = "" if found is None else _not_accepted(found)
            return not lacking

        why = super().behind(target)
        return why if why or follows(followed) else lacking

    def shadow_objects(self, target: str) -> Mapping[str, Object]:
        """See :class:`KubernetesPointer`. A route of that rule alone, attached to no Gateway."""
        found = self._cluster.get(HTTP_ROUTES, self._name)
        if found is None:
            return {}
        live, rule = self.place_of(target), self._rule_of(found)[1]
        refs = [{**backend, "weight": ALL if backend["name"] == live else 0} for backend in rule["backendRefs"]]
        kept = {key: rule[key] for key in ("sessionPersistence",) if key in rule}
        return {self._name: {"spec": {"rules": [{**kept, "backendRefs": refs}]}}}

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

    def _shown(self, backend: Mapping[str, Any]) -> str:
        """The Service's name; anything that is no Service of this namespace is written out."""
        kind, elsewhere = backend.get("kind", "Service"), backend.get("namespace", self._cluster.namespace)
        name = backend["name"] if elsewhere == self._cluster.namespace else f"{elsewhere}/{backend['name']}"
        return str(name) if kind == "Service" and not backend.get("group") else f"{kind} {name}"

    def _backends(self, found: Object) -> dict[str, dict[str, Any]]:
        """The rule's backends by Service; ``BadInput`` unless they are the arms' and no others."""
        refs = self._rule_of(found)[1].get("backendRefs") or []
        shown = [self._shown(each) for each in refs]
        places = set(self._targets.values())
        if set(shown) != places or len(shown) != len(places):
            raise BadInput(
                f"{self.key}: the rule has backends {', '.join(shown) or 'none'}; allowed: each of"
                f" {', '.join(sorted(places))} once (weight 0 is well), and no others; nothing was changed"
            )
        return dict(zip(shown, refs, strict=True))


def _weight(backend: Mapping[str, Any]) -> int:
    return int(backend.get("weight", _DEFAULT_WEIGHT))


def _matches(rule: Mapping[str, Any]) -> str:
    """By what a rule takes requests, for people."""
    kinds = sorted({kind for match in rule.get("matches") or [] for kind in match})
    return f"requests with their own {', '.join(kinds)}" if kinds else "every request"


#: What makes two references to a parent different ones, and what they have when they do not say it.
_PARENT = {
    "group": HTTP_ROUTES.group,
    "kind": "Gateway",
    "namespace": None,
    "name": "",
    "sectionName": None,
    "port": None,
}


def _parent(reference: Mapping[str, Any], namespace: str) -> tuple[Any, ...]:
    whole = {key: reference.get(key) or default for key, default in _PARENT.items()}
    return tuple({**whole, "namespace": whole["namespace"] or namespace}.values())


def _not_accepted(found: Object) -> str:
    """Which parent of the route does not use its present generation, in words; empty when each does.

    A report counts for exactly the parent that it names, by all that makes one: a Gateway of that name in another
    namespace, and a section that the route has left, say nothing of it. Several controllers may have reported on one
    parent, and one that is gone does not take its report along: the reports of the present generation count.
    """
    namespace, generation = found["metadata"].get("namespace", ""), found["metadata"]["generation"]
    reports = (found.get("status") or {}).get("parents") or []
    for reference in found["spec"].get("parentRefs") or []:
        wanted = _parent(reference, namespace)
        own = [each for each in reports if _parent(each["parentRef"], namespace) == wanted]
        current = [conditions for each in own if (conditions := _present(each, generation))]
        if not current or not all(conditions >= _GOOD for conditions in current):
            said = "has not reported on" if not current else "does not accept"
            section = f", section {reference['sectionName']}" if reference.get("sectionName") else ""
            return f"Gateway {reference['name']!r}{section} {said} generation {generation} of the route"
    return ""


def _present(report: Mapping[str, Any], generation: int) -> set[tuple[str, str]]:
    """The conditions of a report that are of this generation; one that does not say its generation is of none."""
    return {
        (each["type"], each["status"])
        for each in report.get("conditions") or []
        if each["type"] in _FOLLOWED and each.get("observedGeneration", -1) >= generation
    }

"""What only an HTTPRoute does: one rule of many, weights between, Gateways that follow, rules that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from switchover.edge.kubernetes import Cluster, Resource
from switchover.errors import BadInput, PointerConflict
from switchover.pointers import k8s_pointer as shared
from switchover.pointers.k8s_gateway import _not_accepted
from tests.contract.worlds.base import BLUE, GREEN, back, change
from tests.contract.worlds.kubernetes import ROUTES, HttpRouteWorld, pod_of


@pytest.fixture
def world(kubernetes_api: Any) -> Iterator[HttpRouteWorld]:
    world = HttpRouteWorld(kubernetes_api)
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def set_rules(world: HttpRouteWorld, *rules: dict[str, Any]) -> None:
    world.merge(ROUTES, "docs", {"spec": {"rules": list(rules)}})


def plan(world: HttpRouteWorld, **changes: Any) -> None:
    spec = {**world.spec(), **changes}
    world.spec = lambda: spec  # type: ignore[method-assign]


@pytest.mark.parametrize("rule", [1, "1", "search"], ids=["by place", "by place, from the command line", "by name"])
def test_one_rule_moves_and_the_others_stay(world: HttpRouteWorld, rule: int | str) -> None:
    other = {"name": "static", "backendRefs": [{"name": "files", "port": 80}]}
    matches = [{"path": {"type": "PathPrefix", "value": "/search"}}]
    set_rules(world, other, {"name": "search", "matches": matches, "backendRefs": world.backends(BLUE)})
    before = world.get(ROUTES, "docs")["spec"]["rules"]
    plan(world, rule=rule)
    pointer = world.pointer()
    assert pointer.apply(change()).changed
    after = world.get(ROUTES, "docs")["spec"]["rules"]
    assert after[0] == before[0]
    assert {**after[1], "backendRefs": None} == {**before[1], "backendRefs": None}
    assert [each["weight"] for each in after[1]["backendRefs"]] == [0, 100, 0]
    assert pointer.key.endswith(f"#{rule}")


@pytest.mark.parametrize(
    ("weights", "found"),
    [([50, 50, 0], "50 on docs_v1, 50 on docs_v2, 0 on elsewhere"), ([0, 0, 0], "0 on docs_v1, 0 on docs_v2")],
    ids=["split", "none"],
)
def test_weights_between_are_no_arm_and_are_left(world: HttpRouteWorld, weights: list[int], found: str) -> None:
    backends = [{**each, "weight": weight} for each, weight in zip(world.backends(BLUE), weights, strict=True)]
    set_rules(world, {"backendRefs": backends})
    with pytest.raises(PointerConflict, match=f"expected 'docs_v1', found '{found}"):
        world.pointer().apply(change())
    assert [each["weight"] for each in world.get(ROUTES, "docs")["spec"]["rules"][0]["backendRefs"]] == weights


def test_a_backend_without_a_weight_takes_its_share(world: HttpRouteWorld) -> None:
    plan(world, targets={BLUE: pod_of(BLUE), GREEN: pod_of(GREEN)})
    set_rules(world, {"backendRefs": [{"name": pod_of(arm), "port": 80} for arm in (BLUE, GREEN)]})
    assert world.pointer().read().target == "1 on docs_v1, 1 on docs_v2"


@pytest.mark.parametrize(
    "backends",
    [
        [{"name": pod_of(BLUE), "port": 80}],
        [{"name": pod_of(arm), "port": 80} for arm in (BLUE, GREEN)] + [{"name": "third", "port": 80}],
        [{"name": pod_of(BLUE), "port": 80}, {"name": pod_of(GREEN), "port": 80, "namespace": "other"}],
        [{"name": pod_of(BLUE), "port": 80}, {"name": pod_of(GREEN), "kind": "Bucket", "group": "storage.example"}],
        [{"name": pod_of(arm), "port": port} for arm, port in ((BLUE, 80), (GREEN, 80), (GREEN, 81))],
    ],
    ids=["one lacks", "a third", "another namespace", "another kind", "twice"],
)
def test_a_rule_with_other_backends_is_refused(world: HttpRouteWorld, backends: list[dict[str, Any]]) -> None:
    plan(world, targets={BLUE: pod_of(BLUE), GREEN: pod_of(GREEN)})
    set_rules(world, {"backendRefs": backends})
    told = (
        "the rule has backends docs-v1.*; allowed: each of docs-v1, docs-v2 once .* and no others; nothing was changed"
    )
    with pytest.raises(BadInput, match=told):
        world.pointer().apply(change())


@pytest.mark.parametrize("rule", [1, "nosuch"])
def test_a_rule_that_is_absent_is_told_with_those_that_are_there(world: HttpRouteWorld, rule: int | str) -> None:
    set_rules(world, {"name": "search", "backendRefs": world.backends(BLUE)})
    plan(world, rule=rule)
    with pytest.raises(BadInput, match=rf"no rule {rule!r}; allowed: 0 to 0 or a name \(search\); nothing was changed"):
        world.pointer().apply(change())


def test_persistent_sessions_are_refused(world: HttpRouteWorld) -> None:
    """The Gateway API keeps a session on its backend whatever the weights say."""
    set_rules(world, {"backendRefs": world.backends(BLUE), "sessionPersistence": {"sessionName": "s"}})
    with pytest.raises(BadInput, match="the rule has sessionPersistence.*; remove it; nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}


def test_gateways_are_waited_for(world: HttpRouteWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the test is the Gateway's controller: none runs."""
    monkeypatch.setattr(shared, "FOLLOW_S", 0.3)
    world.merge(ROUTES, "docs", {"spec": {"parentRefs": [{"name": "edge"}]}})
    pointer = world.pointer()
    pointer.apply(change())
    assert not pointer.verify(GREEN), "no Gateway has taken the route"
    generation = world.get(ROUTES, "docs")["metadata"]["generation"]
    report(world, "edge", generation - 1)
    assert not pointer.verify(GREEN), "the Gateway has seen the last generation only"
    report(world, "edge", generation, resolved="False")
    assert not pointer.verify(GREEN), "a backend was not found"
    report(world, "another", generation)
    assert not pointer.verify(GREEN), "a Gateway that is no parent any more does not count"
    report(world, "edge", generation)
    assert pointer.verify(GREEN)
    assert not pointer.verify(BLUE)


def report(world: HttpRouteWorld, gateway: str, generation: int, *, resolved: str = "True") -> None:
    conditions = [
        {
            "type": kind,
            "status": status,
            "observedGeneration": generation,
            "reason": "Test",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, status in (("Accepted", "True"), ("ResolvedRefs", resolved))
    ]
    parent = {"parentRef": {"name": gateway}, "controllerName": "example.com/gateway", "conditions": conditions}
    world.merge(ROUTES, "docs/status", {"status": {"parents": [parent]}})


def test_a_report_of_a_gateway_between_look_and_write_does_not_stop_a_move(world: HttpRouteWorld) -> None:
    pointer = world.pointer()
    original = pointer.swap

    def late(*given: Any) -> bool:
        pointer.swap = original  # type: ignore[method-assign]
        report(world, "edge", 1)
        return original(*given)

    pointer.swap = late  # type: ignore[method-assign]
    assert pointer.apply(change()).changed
    assert world.serve() == {GREEN}


def test_a_shadow_is_attached_to_no_gateway(world: HttpRouteWorld) -> None:
    world.merge(ROUTES, "docs", {"spec": {"parentRefs": [{"name": "edge"}], "hostnames": ["docs.example"]}})
    with world.pointer().shadow(BLUE):
        shadow = world.get(ROUTES, "docs-rehearsal")["spec"]
    assert "parentRefs" not in shadow
    assert "hostnames" not in shadow


def test_a_cluster_without_the_gateway_api_is_told(world: HttpRouteWorld) -> None:
    cluster = Cluster(client=world.client, namespace=world.name, page="pointers/k8s_httproute")
    absent = Resource(group="gateway.networking.k8s.io", version="v9", plural="httproutes", kind="HTTPRoute")
    told = r"does not serve httproutes.gateway.networking.k8s.io \(gateway.networking.k8s.io/v9\); install that API"
    with pytest.raises(BadInput, match=told):
        cluster.get(absent, "docs")


def reported(generation: int, controller: str = "example.com/now", **reference: Any) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", "observedGeneration": generation} for kind in FOLLOWED]
    return {"parentRef": {"name": "edge", **reference}, "controllerName": controller, "conditions": conditions}


def route(*parents: dict[str, Any], reports: list[dict[str, Any]]) -> dict[str, Any]:
    references = [{"name": "edge", **parent} for parent in parents]
    metadata = {"namespace": "search", "generation": 2}
    return {"metadata": metadata, "spec": {"parentRefs": references}, "status": {"parents": reports}}


FOLLOWED = ("Accepted", "ResolvedRefs")
UNDATED = {"parentRef": {"name": "edge"}, "conditions": [{"type": kind, "status": "True"} for kind in FOLLOWED]}
REFUSED = {
    "parentRef": {"name": "edge"},
    "conditions": [
        {"type": "Accepted", "status": "True", "observedGeneration": 2},
        {"type": "ResolvedRefs", "status": "False", "observedGeneration": 2},
    ],
}


@pytest.mark.parametrize(
    "found",
    [
        route({}, reports=[reported(2)]),
        route({}, reports=[reported(2, namespace="search", kind="Gateway", group="gateway.networking.k8s.io")]),
        route({}, reports=[reported(1, "example.com/gone"), reported(2)]),
        route({"sectionName": "https"}, reports=[reported(1, sectionName="http"), reported(2, sectionName="https")]),
        route({"namespace": "a"}, {"namespace": "b"}, reports=[reported(2, namespace="a"), reported(2, namespace="b")]),
        route(reports=[]),
    ],
    ids=["by name", "in full", "a controller that is gone", "a section that was left", "two namespaces", "no parent"],
)
def test_a_report_counts_for_the_parent_that_it_names(found: dict[str, Any]) -> None:
    assert _not_accepted(found) == ""


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (route({}, reports=[]), "Gateway 'edge' has not reported on generation 2 of the route"),
        (route({}, reports=[reported(1)]), "has not reported on generation 2"),
        (route({}, reports=[UNDATED]), "has not reported on generation 2"),
        (route({}, reports=[REFUSED]), "does not accept generation 2"),
        (route({}, reports=[reported(2), {**REFUSED, "controllerName": "example.com/other"}]), "does not accept"),
        (route({}, reports=[reported(2, namespace="elsewhere")]), "has not reported on"),
        (route({}, reports=[reported(2, kind="Service", group="")]), "has not reported on"),
        (route({}, reports=[reported(2, port=8080)]), "has not reported on"),
        (route({}, reports=[reported(2, sectionName="http")]), "has not reported on"),
        (
            route({"sectionName": "http"}, {"sectionName": "https"}, reports=[reported(2, sectionName="http")]),
            "Gateway 'edge', section https has not reported on",
        ),
        (route({"namespace": "a"}, {"namespace": "b"}, reports=[reported(2, namespace="a")]), "has not reported on"),
    ],
    ids=[
        "none",
        "of an older generation",
        "of no generation",
        "refused",
        "refused by one of two controllers",
        "another namespace",
        "another kind",
        "another port",
        "another section",
        "one of two sections",
        "one of two namespaces",
    ],
)
def test_a_report_of_another_parent_or_generation_is_no_proof(found: dict[str, Any], said: str) -> None:
    assert said in _not_accepted(found)


@pytest.mark.parametrize(
    ("matches", "said"),
    [
        ([{"headers": [{"name": "x-arm", "value": "green"}]}], "requests with their own headers"),
        ([{"path": {"type": "PathPrefix", "value": "/beta"}, "method": "GET"}], "with their own method, path"),
        ([], "every request"),
    ],
    ids=["header", "path and method", "no match"],
)
def test_another_rule_that_leads_to_an_arm_is_refused_and_shown(
    world: HttpRouteWorld, matches: list[dict[str, Any]], said: str
) -> None:
    """Its readers do not follow the weights. The way back is not barred by it, and is not called whole either."""
    other = {"matches": matches, "backendRefs": [world.backends(BLUE)[0]]}
    set_rules(world, {"backendRefs": world.backends(BLUE)}, other)
    pointer = world.pointer()
    told = f"rule 1 of the route sends .*{said}.* to docs_v1 whatever this rule's weights"
    with pytest.raises(BadInput, match=f"{told}.*; nothing was changed"):
        pointer.apply(change())
    assert re.search(told, pointer.behind(BLUE)) and not pointer.verify(BLUE)
    set_rules(world, {"backendRefs": world.backends(GREEN)}, other)
    assert pointer.apply(replace(back(), back=True)).changed
    assert pointer.read().target == BLUE and not pointer.verify(BLUE)


def test_a_rehearsal_meets_what_would_keep_sessions(world: HttpRouteWorld) -> None:
    set_rules(world, {"sessionPersistence": {"type": "Cookie"}, "backendRefs": world.backends(BLUE)})
    with world.pointer().shadow(BLUE) as shadow, pytest.raises(BadInput, match="sessionPersistence"):
        shadow.apply(change())

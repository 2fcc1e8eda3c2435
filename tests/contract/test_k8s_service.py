"""What only a Service's selector does: ready pods, EndpointSlices that follow, Services that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from switchover.errors import BadInput, PointerConflict, TargetRefused
from switchover.pointers import Change, Pointer, Reading
from switchover.pointers import k8s_pointer as shared
from switchover.pointers.k8s_service import ServiceSpec
from tests.contract.worlds.base import BLUE, GREEN, change
from tests.contract.worlds.kubernetes import PODS, SERVICES, SLICES, ServiceWorld, pod_of

REFUSED = "nothing was changed"


@pytest.fixture
def world(kubernetes_api: Any) -> Iterator[ServiceWorld]:
    world = ServiceWorld(kubernetes_api)
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def before_swap(pointer: Pointer, interfere: Any) -> None:
    """Do something once, between the pointer's look and its write."""
    original = pointer.swap

    def late(now: Reading, wanted: Change) -> bool:
        pointer.swap = original  # type: ignore[method-assign]
        interfere()
        return original(now, wanted)

    pointer.swap = late  # type: ignore[method-assign]


def test_endpoint_slices_follow_the_selector(world: ServiceWorld) -> None:
    pointer = world.pointer()
    assert pointer.verify(BLUE)
    assert world.ready_pods("docs") == {pod_of(BLUE)}
    pointer.apply(change())
    assert pointer.verify(GREEN)
    assert world.ready_pods("docs") == {pod_of(GREEN)}


def test_a_foreign_endpoint_in_the_slices_is_not_converged(
    world: ServiceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody adds Blue's pod to the Service by hand, as a broken controller would leave it."""
    monkeypatch.setattr(shared, "FOLLOW_S", 0.5)
    pointer = world.pointer()
    pointer.apply(change())
    assert pointer.verify(GREEN)
    pod = world.get(PODS, pod_of(BLUE))
    reference = {"kind": "Pod", "name": pod_of(BLUE), "uid": pod["metadata"]["uid"]}
    endpoint = {"addresses": ["10.9.9.9"], "conditions": {"ready": True}, "targetRef": reference}
    metadata = {"name": "stale", "labels": {"kubernetes.io/service-name": "docs"}}
    world.call("POST", world.path(SLICES), {"metadata": metadata, "addressType": "IPv4", "endpoints": [endpoint]})
    assert not pointer.verify(GREEN)
    world.merge(SLICES, "stale", {"endpoints": [{**endpoint, "conditions": {"ready": False}}]})
    assert pointer.verify(GREEN), "an endpoint that is not ready takes no traffic"


def test_slices_without_a_ready_endpoint_are_not_converged(
    world: ServiceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "FOLLOW_S", 0.2)
    world.set_ready(BLUE, False)
    world.wait(lambda: not world.ready_pods("docs"))
    assert not world.pointer().verify(BLUE)


def test_a_change_that_concerns_neither_selector_nor_epoch_does_not_stop_a_move(world: ServiceWorld) -> None:
    pointer = world.pointer()
    before_swap(pointer, lambda: world.merge(SERVICES, "docs", {"metadata": {"labels": {"team": "search"}}}))
    assert pointer.apply(change(epoch=4)).changed
    found = world.get(SERVICES, "docs")
    assert found["metadata"]["labels"]["team"] == "search"
    assert found["metadata"]["annotations"] == {"switchover/epoch": "4", "switchover/actor": "test"}


def test_a_move_changes_the_selector_and_two_annotations_and_nothing_else(world: ServiceWorld) -> None:
    world.merge(SERVICES, "docs", {"metadata": {"annotations": {"team/owner": "search"}}})
    before = world.get(SERVICES, "docs")
    world.pointer().apply(change(epoch=4))
    after = world.get(SERVICES, "docs")
    assert after["metadata"]["annotations"] == {
        "team/owner": "search",
        "switchover/epoch": "4",
        "switchover/actor": "test",
    }
    assert {**after["spec"], "selector": None} == {**before["spec"], "selector": None}


def test_one_more_label_is_no_arm_and_both_places_are_shown(world: ServiceWorld) -> None:
    world.merge(SERVICES, "docs", {"spec": {"selector": {"track": "new"}}})
    pointer = world.pointer()
    found, places = "app=docs,arm=docs-v1,track=new", "docs_v1 is app=docs,arm=docs-v1, docs_v2 is app=docs,arm=docs-v2"
    with pytest.raises(PointerConflict, match=rf"found '{found}'; nothing was changed \({places}"):
        pointer.apply(change())
    assert pointer.behind(BLUE).startswith(f"it reads '{found}' ({places}")


def test_another_selector_is_shown_and_left(world: ServiceWorld) -> None:
    world.merge(SERVICES, "docs", {"spec": {"selector": {"canary": "yes"}}})
    assert world.pointer().read().target == "app=docs,arm=docs-v1,canary=yes"


def test_a_pod_that_is_ending_is_not_ready(world: ServiceWorld) -> None:
    world.delete(PODS, pod_of(GREEN))
    with pytest.raises(TargetRefused, match="of 1 pods with app=docs,arm=docs-v2 0 are ready; allowed: 1 or more"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}


def test_the_plan_may_ask_for_more_ready_pods(world: ServiceWorld) -> None:
    spec = world.spec()
    world.spec = lambda: {**spec, "min_ready": 2}  # type: ignore[method-assign]
    with pytest.raises(TargetRefused, match=f"1 are ready; allowed: 2 or more; {REFUSED}"):
        world.pointer().apply(change())


def test_pods_without_the_named_port_are_refused(world: ServiceWorld) -> None:
    """Their EndpointSlice would have addresses and no port."""
    world.merge(SERVICES, "docs", {"spec": {"ports": [{"port": 80, "targetPort": "grpc"}]}})
    with pytest.raises(TargetRefused, match=f"docs-v2 has no container port named 'grpc'; {REFUSED}"):
        world.pointer().apply(change())


def test_pods_that_carry_another_build_are_refused(world: ServiceWorld) -> None:
    world.merge(PODS, pod_of(GREEN), {"metadata": {"annotations": {"switchover/index-hash": "b" * 64}}})
    with pytest.raises(TargetRefused, match=f"index-hash is b{{12}}, approved is a{{12}}; {REFUSED}"):
        world.pointer().apply(change(approved="a" * 64))
    assert world.serve() == {BLUE}
    assert world.pointer().apply(change(approved="b" * 64)).changed


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {"clusterIP": "None"},
            "is headless: its clients keep the pods' addresses; allowed: a Service with a cluster IP",
        ),
        ({"type": "ExternalName", "externalName": "docs.example"}, "is an ExternalName and selects no pods; allowed"),
    ],
    ids=["headless", "ExternalName"],
)
def test_a_service_that_routes_to_no_pods_is_refused(world: ServiceWorld, spec: dict[str, str], told: str) -> None:
    world.remove()
    world.add_service("docs", world.selector(BLUE), **spec)
    with pytest.raises(BadInput, match=told):
        world.pointer().apply(change())


def test_a_namespace_that_is_absent_is_named(world: ServiceWorld) -> None:
    spec = world.spec()
    world.spec = lambda: {**spec, "namespace": "nosuch"}  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=f"there is no namespace 'nosuch'; {REFUSED}"):
        world.pointer().read()


def test_an_epoch_that_is_no_number_is_shown(world: ServiceWorld) -> None:
    world.merge(SERVICES, "docs", {"metadata": {"annotations": {"switchover/epoch": "seven"}}})
    with pytest.raises(BadInput, match="annotation switchover/epoch: found 'seven'; allowed: an integer"):
        world.pointer().apply(change())


def test_a_selector_that_the_api_server_refuses_is_told_in_its_words(world: ServiceWorld) -> None:
    """Not taken for a foreign move: the same status tells both."""
    spec = world.spec()
    spec["targets"][GREEN] = {"app": "docs", "arm": "no label"}
    world.spec = lambda: spec  # type: ignore[method-assign]
    pointer = world.pointer()
    pointer.check_target = lambda *_, **__: None  # type: ignore[method-assign]
    with pytest.raises(BadInput, match=rf"refused to patch services 'docs'.*spec.selector: Invalid value.*{REFUSED}"):
        pointer.apply(change())
    assert world.serve() == {BLUE}


def test_a_shadow_asks_for_no_load_balancer_and_no_node_port(world: ServiceWorld) -> None:
    world.merge(SERVICES, "docs", {"spec": {"type": "LoadBalancer"}})
    with world.pointer().shadow(BLUE):
        shadow = world.get(SERVICES, "docs-rehearsal")
    assert shadow["spec"]["type"] == "ClusterIP"
    assert "nodePort" not in shadow["spec"]["ports"][0]


@pytest.mark.parametrize(
    "green",
    [{"app": "docs"}, {"app": "docs", "arm": "docs-v1", "tier": "x"}, {"color": "green"}],
    ids=["wider", "narrower", "other label"],
)
def test_arms_that_could_select_the_same_pod_are_refused_in_the_plan(green: dict[str, str]) -> None:
    targets = {BLUE: {"app": "docs", "arm": "docs-v1"}, GREEN: green}
    values = {"kind": "k8s_service", "connection": "c", "namespace": "n", "service": "docs", "targets": targets}
    with pytest.raises(ValidationError, match="can select the same pod; give them one label with two values"):
        ServiceSpec.model_validate(values)

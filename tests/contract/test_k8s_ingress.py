"""What only a canary's weight does: weights between, totals, arms after a promotion, pairs that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from switchover.errors import BadInput, PointerConflict, TargetRefused
from switchover.pointers.k8s_ingress import AFFINITY, AFFINITY_OF_CANARY, CANARY, PREFIX, TOTAL, WEIGHT
from tests.contract.worlds.base import BLUE, GREEN, back, change
from tests.contract.worlds.kubernetes import INGRESSES, SERVICES, IngressWorld, pod_of


@pytest.fixture
def world(kubernetes_api: Any) -> Iterator[IngressWorld]:
    world = IngressWorld(kubernetes_api)
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def annotate(world: IngressWorld, name: str, key: str, value: str | None) -> None:
    world.merge(INGRESSES, name, {"metadata": {"annotations": {key: value}}})


def weight(world: IngressWorld) -> str:
    text: str = world.get(INGRESSES, "canary")["metadata"]["annotations"][WEIGHT]
    return text


def test_a_weight_between_is_no_arm_and_is_left(world: IngressWorld) -> None:
    annotate(world, "canary", WEIGHT, "30")
    pointer = world.pointer()
    assert pointer.read().target == "30 of 100 on docs_v2, the rest on docs_v1"
    with pytest.raises(PointerConflict, match="found '30 of 100 on docs_v2, the rest on docs_v1'; nothing was changed"):
        pointer.apply(change())
    assert weight(world) == "30"


@pytest.mark.parametrize(
    ("total", "whole"),
    [("1000", "1000"), ("50", "100")],
    ids=["larger", "smaller: the controller does not take it"],
)
def test_all_of_a_total_is_the_canary(world: IngressWorld, total: str, whole: str) -> None:
    annotate(world, "canary", TOTAL, total)
    pointer = world.pointer()
    pointer.apply(change())
    assert weight(world) == whole
    assert pointer.read().target == GREEN
    pointer.apply(back())
    assert weight(world) == "0"


def test_a_canary_without_a_weight_takes_nothing(world: IngressWorld) -> None:
    annotate(world, "canary", WEIGHT, None)
    assert world.pointer().read().target == BLUE
    assert world.pointer().apply(change()).changed
    assert weight(world) == "100"


def test_after_a_promotion_the_canary_is_blue_and_the_same_pair_moves_back(world: IngressWorld) -> None:
    """The next release goes behind the main Ingress; the arms' names are exchanged in the plan, the objects stay."""
    world.pointer().apply(change())
    world.spec = lambda: {"namespace": world.name, "targets": {BLUE: "canary", GREEN: "main"}}  # type: ignore[method-assign]
    pointer = world.pointer()
    assert pointer.read().target == BLUE
    assert pointer.apply(change()).changed
    assert weight(world) == "0"


def test_a_move_changes_three_annotations_and_nothing_else(world: IngressWorld) -> None:
    before = [world.get(INGRESSES, name) for name in ("main", "canary")]
    world.pointer().apply(change(epoch=4))
    after = [world.get(INGRESSES, name) for name in ("main", "canary")]
    assert after[0] == before[0]
    assert after[1]["spec"] == before[1]["spec"]
    assert after[1]["metadata"]["annotations"] == {
        CANARY: "true",
        WEIGHT: "100",
        "switchover/epoch": "4",
        "switchover/actor": "test",
    }


def test_a_path_that_the_canary_lacks_would_stay_behind(world: IngressWorld) -> None:
    rule = world.get(INGRESSES, "main")["spec"]["rules"][0]
    paths = [*rule["http"]["paths"], {**rule["http"]["paths"][0], "path": "/api"}]
    world.merge(INGRESSES, "main", {"spec": {"rules": [{**rule, "http": {"paths": paths}}]}})
    told = r"the canary lacks docs.example/api \(1 in all\), which would stay on 'docs_v1'; nothing was changed"
    with pytest.raises(TargetRefused, match=told):
        world.pointer().apply(change())
    assert weight(world) == "0"


def test_a_path_that_the_canary_lacks_does_not_stop_the_way_back(world: IngressWorld) -> None:
    world.pointer().apply(change())
    rule = world.get(INGRESSES, "main")["spec"]["rules"][0]
    paths = [*rule["http"]["paths"], {**rule["http"]["paths"][0], "path": "/api"}]
    world.merge(INGRESSES, "main", {"spec": {"rules": [{**rule, "http": {"paths": paths}}]}})
    assert world.pointer().apply(back()).changed


def test_sessions_that_stay_on_their_arm_are_refused(world: IngressWorld) -> None:
    annotate(world, "main", AFFINITY, "cookie")
    with pytest.raises(BadInput, match=r"'main' keeps sessions on their arm .* to 'legacy' on the canary"):
        world.pointer().apply(change())
    annotate(world, "canary", AFFINITY_OF_CANARY, "legacy")
    assert world.pointer().apply(change()).changed


def test_a_main_ingress_that_is_absent_is_told(world: IngressWorld) -> None:
    world.delete(INGRESSES, "main")
    with pytest.raises(BadInput, match=r"found 1 with annotation .*canary = 'true' and 0 without \(canary\)"):
        world.pointer().read()


@pytest.mark.parametrize(
    ("name", "mark", "told"),
    [("canary", None, "found 0 with annotation .* and 2 without"), ("main", "true", "found 2 with .* and 0 without")],
    ids=["no canary", "two canaries"],
)
def test_a_pair_must_be_one_main_and_one_canary(world: IngressWorld, name: str, mark: str | None, told: str) -> None:
    annotate(world, name, CANARY, mark)
    with pytest.raises(BadInput, match=f"{told} .*; allowed: one of each; nothing was changed"):
        world.pointer().apply(change())


def test_a_weight_that_is_no_number_is_shown(world: IngressWorld) -> None:
    annotate(world, "canary", WEIGHT, "all")
    with pytest.raises(BadInput, match="canary-weight: found 'all'; allowed: an integer; nothing was changed"):
        world.pointer().apply(change())


def test_a_service_that_carries_another_build_is_refused(world: IngressWorld) -> None:
    world.merge(SERVICES, pod_of(GREEN), {"metadata": {"annotations": {"switchover/index-hash": "b" * 64}}})
    with pytest.raises(TargetRefused, match="Service 'docs-v2': switchover/index-hash is b{12}, approved is a{12}"):
        world.pointer().apply(change(approved="a" * 64))


def test_no_controller_takes_a_shadow_for_its_own(world: IngressWorld) -> None:
    annotate(world, "canary", TOTAL, "1000")
    with world.pointer().shadow(GREEN) as shadow:
        found = [world.get(INGRESSES, f"{name}-rehearsal") for name in ("main", "canary")]
        assert shadow.read().target == GREEN
    assert {each["spec"]["ingressClassName"] for each in found} == {"switchover-rehearsal"}
    assert world.serve() == {BLUE}


@pytest.mark.parametrize(
    "marks",
    [
        {"canary-by-header": "X-Arm"},
        {"canary-by-header": "X-Arm", "canary-by-header-value": "beta"},
        {"canary-by-header": "X-Arm", "canary-by-header-pattern": "b.*"},
        {"canary-by-cookie": "beta"},
        {"affinity": "cookie"},
    ],
    ids=["header", "header value", "header pattern", "cookie", "kept sessions"],
)
@pytest.mark.parametrize("live", [BLUE, GREEN], ids=["to the canary", "to the main one"])
def test_what_goes_before_the_weight_is_refused_and_shown(
    world: IngressWorld, marks: dict[str, str], live: str
) -> None:
    """In both directions, and in a rehearsal. The way back is not barred by it, and is not called whole either."""
    other = GREEN if live == BLUE else BLUE
    world.move(live)
    world.merge(
        INGRESSES, "canary", {"metadata": {"annotations": {PREFIX + key: value for key, value in marks.items()}}}
    )
    pointer = world.pointer()
    told = "canary-by-|keeps sessions on their arm"
    with pytest.raises(BadInput, match=f"({told}).*; nothing was changed"):
        pointer.apply(change(live, other))
    with pointer.shadow(live) as shadow, pytest.raises(BadInput, match=told):
        shadow.apply(change(live, other))
    assert re.search(told, pointer.behind(live)) and not pointer.verify(live)
    assert pointer.apply(replace(change(live, other), back=True)).changed
    assert pointer.read().target == other and not pointer.verify(other)

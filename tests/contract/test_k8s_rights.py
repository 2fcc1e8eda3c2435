"""Each page's Role is enough for a whole switchover, and without any of its verbs something is missed by its name."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from switchover.edge import clients
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.pointers import Pointer
from switchover.steps.move import pointer_spec
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
from tests.contract.worlds.kubernetes import HttpRouteWorld, IngressWorld, KubernetesWorld, ServiceWorld

PAGES = Path(__file__).parents[2] / "docs" / "pointers"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
Rules = list[dict[str, Any]]


@pytest.fixture(params=[ServiceWorld, IngressWorld, HttpRouteWorld], ids=lambda world: world.kind)
def world(request: pytest.FixtureRequest, kubernetes_api: Any) -> Iterator[KubernetesWorld]:
    world: KubernetesWorld = request.param(kubernetes_api)
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def rules_of(kind: str) -> Rules:
    """The rules of the Role in a kind's page."""
    blocks = (PAGES / f"{kind}.md").read_text().split("```yaml\n")[1:]
    parts = [yaml.safe_load(block.split("```")[0]) for block in blocks]
    (role,) = (part for part in parts if isinstance(part, dict) and part.get("kind") == "Role")
    rules: Rules = role["rules"]
    return rules


def user(world: KubernetesWorld, name: str, rules: Rules) -> Pointer:
    """The pointer on a client of a user who has these rules and nothing else."""
    world.call(
        "POST",
        f"{RBAC}/namespaces/{world.name}/roles",
        {"metadata": {"name": name}, "rules": rules},
    )
    binding = {
        "metadata": {"name": name},
        "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
    }
    world.call("POST", f"{RBAC}/namespaces/{world.name}/rolebindings", binding)

    def build(connection: Any) -> Any:
        client = clients.kubernetes(connection)
        client.set_default_header("Impersonate-User", name)
        return client

    edge = Edge(connections=lambda _: world.connection(world.address), builders={"kubernetes": build})
    return pointer_spec({"kind": world.kind, "connection": CONNECTION, **world.spec()}).build(edge)


def switchover(pointer: Pointer) -> None:
    """Everything that a run does to its pointer."""
    pointer.refuse_older(1)
    with pointer.shadow(BLUE) as shadow:
        shadow.apply(change())
        assert shadow.verify(GREEN)
        shadow.apply(back())
    pointer.plan(change())
    pointer.apply(change())
    assert pointer.verify(GREEN)
    pointer.apply(back())
    assert pointer.verify(BLUE)


def when_known(attempt: Callable[[], bool]) -> None:
    """The API server takes a new Role a moment after it was made."""
    deadline = time.monotonic() + 10
    while not attempt():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_role_of_the_page_is_exactly_what_is_needed(world: KubernetesWorld) -> None:
    rules = rules_of(world.kind)
    whole = user(world, "whole", rules)

    def reads() -> bool:
        try:
            return whole.read().target == BLUE
        except BadInput:
            return False

    when_known(reads)
    switchover(whole)
    lacking = [(place, verb) for place, rule in enumerate(rules) for verb in rule["verbs"]]
    for place, verb in lacking:
        fewer = copy.deepcopy(rules)
        fewer[place]["verbs"].remove(verb)
        group, plural = fewer[place]["apiGroups"][0], fewer[place]["resources"][0]
        pointer = user(world, f"lacks-{verb}-{plural}", [rule for rule in fewer if rule["verbs"]])
        told = f"no right to {verb} {plural}{'.' + group if group else ''} in namespace '{world.name}'"
        messages: list[str] = []

        def missed(pointer: Pointer = pointer, told: str = told, messages: list[str] = messages) -> bool:
            with pytest.raises(BadInput) as caught:
                switchover(pointer)
            messages.append(str(caught.value))
            return told in messages[-1]

        when_known(missed)
        assert f"grant the Role of docs/pointers/{world.kind}.md; nothing was changed" in messages[-1]
        whole.apply(back())
        for leftover in (f"{name}-rehearsal" for name in ("docs", "main", "canary")):
            whole._cluster.delete(whole.resource, leftover)  # type: ignore[attr-defined]

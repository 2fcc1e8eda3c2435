"""The rights in docs/writers.md are enough for a writer's whole life, and each of them is needed.

moto enforces the actions of a policy, not its resources and conditions; our emulator of Kubernetes enforces Roles.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.servers import Server
from switchover.edge import clients
from switchover.edge.clients import aws
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.writers import Writer
from tests.contract.worlds.aws import Guard
from tests.contract.worlds.route53 import corrected
from tests.contract.writers.aws import AwsWriterWorld, EcsServiceWorld, EventBridgeRuleWorld, SqsLambdaWorld
from tests.contract.writers.kubernetes import WRITER, CronJobWorld, DeploymentWorld, WorkloadWorld

PAGE = Path(__file__).parents[2] / "docs" / "writers.md"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
AWS = (EcsServiceWorld, EventBridgeRuleWorld, SqsLambdaWorld)


def block_of(kind: str, language: str) -> str:
    """The block of a kind's section that has its rights."""
    section = next(text for text in PAGE.read_text().split("\n## ") if text.splitlines()[0] == kind)
    rights = section.split("**Rights.**")[1]
    return re.findall(rf"```{language}\n(.*?)```", rights, re.DOTALL)[0]


def life(writer: Writer) -> None:
    """Everything that a run does with a writer."""
    found = writer.find()
    writer.freeze(epoch=1)
    writer.drained()
    writer.waiting()
    writer.thawed(found)
    writer.resume(found, epoch=1)


@pytest.fixture(params=AWS, ids=lambda kind: kind.kind)
def in_aws(request: pytest.FixtureRequest, moto_server: Server) -> Iterator[AwsWriterWorld]:
    world: AwsWriterWorld = request.param(corrected(moto_server))
    world.set_up()
    yield world
    world.tear_down()


def recorded(world: AwsWriterWorld, calls: set[str], connection: Connection | None = None) -> Edge:
    """An edge whose calls are written down as IAM actions."""

    def build(connection: Connection, service: str) -> Any:
        client = aws(connection, service)
        client.meta.events.register("provide-client-params", lambda model, **_: calls.add(f"{service}:{model.name}"))
        return client

    return Edge(connections=lambda _: connection or world.connection(world.address), builders={"aws": build})


def actions(kind: str) -> set[str]:
    statements = json.loads(block_of(kind, "json"))["Statement"]
    return {action for statement in statements for action in statement["Action"]}


def test_the_policy_of_the_section_is_exactly_what_is_called(in_aws: AwsWriterWorld) -> None:
    calls: set[str] = set()
    if isinstance(in_aws, EcsServiceWorld):
        in_aws.begin()  # a task to describe
    life(in_aws.writer(recorded(in_aws, calls)))
    assert calls == actions(in_aws.kind)


def test_with_the_policy_a_whole_life_is_allowed_and_a_missing_right_is_named(in_aws: AwsWriterWorld) -> None:
    guard, everything = Guard(in_aws.server.url), actions(in_aws.kind)
    if isinstance(in_aws, EcsServiceWorld):
        in_aws.begin()
    before = in_aws.state()
    try:
        writer = in_aws.writer(recorded(in_aws, set(), guard.connection()))
        guard.allow(everything)
        life(writer)
        found = writer.find()
        for missing in sorted(everything):
            guard.allow(everything - {missing})
            with pytest.raises(BadInput, match=rf"lacks the right {missing};|{missing} was refused \(403\)"):
                life(writer)
            guard.allow(everything)
            writer.restore(found, epoch=1)
        life(writer)
    finally:
        guard.off()
    assert in_aws.state() == before


@pytest.fixture(params=(DeploymentWorld, CronJobWorld), ids=lambda kind: kind.kind)
def in_cluster(request: pytest.FixtureRequest, kubernetes_api: Any) -> Iterator[WorkloadWorld]:
    world: WorkloadWorld = request.param(kubernetes_api)
    world.set_up()
    yield world
    world.tear_down()


def with_rules(world: WorkloadWorld, user: str, rules: list[dict[str, Any]]) -> Writer:
    """The writer of a user who has these rules and no others."""
    world.call("POST", f"{RBAC}/namespaces/{world.name}/roles", {"metadata": {"name": user}, "rules": rules})
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": group}],
        "roleRef": {"kind": "Role", "name": user, "apiGroup": group},
    }
    world.call("POST", f"{RBAC}/namespaces/{world.name}/rolebindings", binding)

    def build(connection: Any) -> Any:
        client = clients.kubernetes(connection)
        client.set_default_header("Impersonate-User", user)
        return client

    edge = Edge(connections=lambda _: world.connection(world.address), builders={"kubernetes": build})
    return world.writer(edge)


def when_known(attempt: Callable[[], bool]) -> None:
    """The API server takes a new Role a moment after it was made."""
    deadline = time.monotonic() + 10
    while not attempt():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_role_of_the_section_is_exactly_what_is_needed(in_cluster: WorkloadWorld) -> None:
    named = block_of(in_cluster.kind, "yaml").replace("[indexer]", f"[{WRITER}]").replace("[ingest]", f"[{WRITER}]")
    rules: list[dict[str, Any]] = yaml.safe_load(named)["rules"]
    before, whole = in_cluster.state(), with_rules(in_cluster, "whole", rules)

    def lives() -> bool:
        try:
            life(whole)
        except BadInput:
            return False
        return True

    when_known(lives)
    found = whole.find()
    for place, rule in enumerate(rules):
        for verb in rule["verbs"]:
            fewer = copy.deepcopy(rules)
            fewer[place]["verbs"].remove(verb)
            plural = rule["resources"][0]
            user = f"lacks-{verb}-{plural}".replace("/", "-")
            writer = with_rules(in_cluster, user, [each for each in fewer if each["verbs"]])

            def missed(writer: Writer = writer, told: str = f"no right to {verb} {plural}") -> bool:
                with pytest.raises(BadInput) as raised:
                    life(writer)
                return told in str(raised.value) and "docs/writers.md" in str(raised.value)

            when_known(missed)
            whole.restore(found, epoch=1)
    assert in_cluster.state() == before

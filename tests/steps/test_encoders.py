"""The encoders of a run: an arm's that answers over HTTP, one that changes behind its name, one that is not checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import InvariantBroken
from switchover.plan import Plan
from switchover.steps.arm_checks import about_arms, read_facts
from switchover.steps.encoders import known_again
from switchover.steps.freeze import freeze
from switchover.steps.preflight import preflight
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from switchover.steps.world import BothArms
from tests.contract.encoders.standins import KEY, OpenAiStandIn
from tests.steps.conftest import World

NAME = "wordllama-l2-supercat"
SERVED = {"kind": "openai", "connection": "embeddings", "name": NAME, "revision": "256.1", "dimension": 256}


@pytest.fixture
def server() -> Iterator[OpenAiStandIn]:
    """A server that gives the vectors of both arms' encoder, with the noise of half precision."""
    found = OpenAiStandIn()
    found.model, found.noise = NAME, 0.9999
    yield found
    found.close()


@pytest.fixture
def edge(world: World, server: OpenAiStandIn) -> Iterator[Edge]:
    """The world's edge, and the server."""
    said = {"conn_type": "http", "host": "127.0.0.1", "port": server.port, "password": KEY}
    found = Edge(connections=environment_connections({**world.environ, "AIRFLOW_CONN_EMBEDDINGS": json.dumps(said)}))
    yield found
    found.close()


def plan_with(plan: Plan, green: Any = None, judge: Any = None) -> Plan:
    body = plan.model_dump(mode="json")
    body["arms"]["docs_v2"]["encoder"] = green
    if judge is not None:
        body["judge_encoder"] = judge
    return Plan.model_validate(body)


def green_encoder(world: World, edge: Edge, green: Any) -> tuple[bool, str]:
    switch = Switch(edge=edge, ledger=world.ledger, id="docs:look", actor="test", plan=plan_with(world.plan, green))
    arms = BothArms(blue="docs_v1", green="docs_v2")
    checks = {check.name: check for check in about_arms(switch, read_facts(switch, arms)[0], arms)}
    return checks["Green encoder"].ok, checks["Green encoder"].found


def test_an_encoder_behind_http_is_checked_and_known_again(world: World, server: OpenAiStandIn, edge: Edge) -> None:
    plan = plan_with(world.plan, SERVED, {**SERVED, "revision": "of the judge"})
    assert "docs" in plan.service and "embeddings" in plan.connections
    preflight(plan=plan, edge=edge, id="docs:1", actor="test")
    switch = Switch.open(edge=edge, ledger=plan.ledger, id="docs:1", actor="test")
    freeze(switch)
    found = {check.name: check.found for check in verify(switch)}
    assert "asked twice it reaches 0.99" in found["Green encoder"]
    assert (
        "fingerprint: the first one" in found["Green encoder"]
        and "fingerprint" in found["judge encoder reads the gold set"]
    )
    judge = plan.judge_encoder.build(edge)
    assert "cosine 0.99" in known_again(switch, judge)
    server.turned = True
    with pytest.raises(InvariantBroken, match=r"gives other vectors than on .*another model answers under this name"):
        known_again(switch, judge)
    ok, why = green_encoder(world, edge, SERVED)
    assert not ok and "another model answers under this name" in why


def test_two_encoders_of_one_dimension_are_told_apart(world: World, server: OpenAiStandIn, edge: Edge) -> None:
    assert green_encoder(world, edge, SERVED)[0]
    server.turned = True
    ok, why = green_encoder(world, edge, SERVED)
    assert not ok and "lowest cosine -0." in why


def test_what_the_plan_says_of_an_arm_must_be_what_the_arm_reports(world: World, edge: Edge) -> None:
    ok, why = green_encoder(world, edge, {**SERVED, "name": "text-embedding-3-small"})
    assert (ok, why) == (
        False,
        "cannot be checked: the arm reports wordllama-l2-supercat / 256.1 / 256; the plan says text-embedding-3-small /"
        " 256.1 / 256",
    )
    ok, why = green_encoder(world, edge, {"unchecked": "only the service reaches it"})
    assert (ok, why) == (True, "not checked, by the plan's word: only the service reaches it")

"""What `switchover eval` says of arms that do not answer, with a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hostile import GOOD, HIT, Hostile, hostile

from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import Unreachable
from switchover.gold.goldset import GoldSet, load_gold
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.steps.smoke import GIVE_UP, Failures, evaluate

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
TARGETS = {"green": "a"}
NOT_ASKED = "postgresql://nobody@127.0.0.1:1/none"  # the arm answers with texts: its index is not read


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    with hostile() as running:
        yield running


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> GoldSet:
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    lines = [
        {
            "id": f"q{n}",
            "question": "fox?",
            "paraphrases": ["a fox", "which fox", "fox jumps"],
            "answers": [{"doc": "d", "start": 0, "end": 5}],
        }
        for n in range(10)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_gold(path, corpus=lambda docs: {"d": "hello world"}, encoder=WordLlamaEncoder(), minimum=1)


def smoke(server: Hostile, gold: GoldSet, way: str) -> Failures:
    plan: Plan = load_plan(PLAN)
    arm = next(iter(plan.arms.values())).model_copy(update={"connection": "a", "ready": None, "ask": f"/{way}"})
    edge = Edge(connections=environment_connections({"AIRFLOW_CONN_A": server.url, "AIRFLOW_CONN_DOCS_DB": NOT_ASKED}))
    _, failures = asyncio.run(
        evaluate(
            plan=plan.model_copy(update={"arms": {"a": arm}}),
            edge=edge,
            gold=gold,
            encoder=WordLlamaEncoder(),
            targets=TARGETS,
            rounds=1,
            on_progress=lambda done, total: None,
        )
    )
    return failures


@pytest.mark.parametrize(
    ("body", "way", "said"),
    [
        (b"", "status/422", 'HTTP 422: {"detail":"no"}'),
        (b"", "redirect", "HTTP 307"),
        ({**GOOD, "arm": "b"}, "body/x", "asked 'a', answered by 'b'"),
        ({**GOOD, "hits": None}, "body/x", "answer without 'hits'"),
        ({**GOOD, "hits": [{**HIT, "end": 500}]}, "body/x", "not measured: hit 1 in 'd', span 0..500: ends behind"),
    ],
)
def test_a_smoke_without_a_readable_answer_ends_soon_and_says_why(
    server: Hostile, gold: GoldSet, body: object, way: str, said: str
) -> None:
    server.bodies["x"] = json.dumps(body).encode() if isinstance(body, dict) else b""
    before = server.requests
    with pytest.raises(Unreachable) as raised:
        smoke(server, gold, way)
    assert f"none of the first {GIVE_UP} probes has a readable answer: {GIVE_UP} × a: {said}" in str(raised.value)
    assert server.requests - before < 3 * GIVE_UP, "it went on asking"


def test_a_smoke_with_answers_has_nothing_to_say(server: Hostile, gold: GoldSet) -> None:
    server.bodies["x"] = json.dumps(GOOD).encode()
    assert smoke(server, gold, "body/x").lines() == []

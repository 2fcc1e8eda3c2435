"""A service of another shape goes through dry run, verify, warm and flip by a plan alone.

The service is a stand-in: it answers what the sandbox's service finds, but in a shape of its own, without arm, build,
offsets, documents, tokens or tool calls.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from switchover.cli import main
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import InvariantBroken
from switchover.plan import Plan
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.preflight import preflight
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import GOLD, ROOT, World

ASKING: dict[str, Any] = {
    "request": {"method": "GET", "path": "/v1/find", "query": {"q": "{question}", "n": "{k}", "collection": "{arm}"}},
    "answer": {
        "hits": "matches",
        "hit": {"id": "ref", "text": "passage"},
        "text": "summary",
        "cited": "sources[0].section",
    },
}


class Foreign(BaseHTTPRequestHandler):
    """`GET /v1/find?q=…&n=…&collection=…`, and the same below `/v1/ids` without texts."""

    behind: httpx.Client

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {"X-Switchover-Arm": given["collection"], "X-Switchover-Probe": "1"}
        body = {"question": given["q"], "seed": 0, "k": int(given["n"])}
        found = self.behind.post("/ask", json=body, headers=headers).json()
        texts = parts.path != "/v1/ids"
        answer = {
            "matches": [{"ref": h["snippet_id"], **({"passage": h["text"]} if texts else {})} for h in found["hits"]],
            "summary": found["answer"],
            "sources": [{"section": found["cited"]}],
        }
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def foreign(world: World) -> Iterator[World]:
    """The world with the service behind the foreign shape, and a plan that maps it."""
    behind = httpx.Client(base_url=world.service, timeout=20)
    handler = type("Handler", (Foreign,), {"behind": behind})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    environ = {**world.environ, "AIRFLOW_CONN_FOREIGN": f"http://127.0.0.1:{server.server_port}"}
    edge = Edge(connections=environment_connections(environ))
    try:
        yield World(**{**vars(world), "environ": environ, "edge": edge, "plan": mapped(world.plan)})
    finally:
        edge.close()
        server.shutdown()
        server.server_close()
        behind.close()


def mapped(plan: Plan, asking: dict[str, Any] | None = None, rounds: int = 3, **rules: Any) -> Plan:
    body = plan.model_dump(mode="json")
    body["asking"] = ASKING if asking is None else asking
    body["arms"] = {name: {"connection": "foreign"} for name in plan.arms}
    body |= {"readers": [], "secrets": [], "cache": None, "warm": {"min_rounds": rounds, "max_rounds": rounds}}
    body["rules"]["off"] = {"tool_loops": "the service calls no tools"} if not rules else rules["off"]
    return Plan.model_validate(body)


def test_a_service_of_another_shape_is_switched_by_a_plan_alone(foreign: World) -> None:
    told = "\n".join(preflight(plan=foreign.plan, edge=foreign.edge, id="docs:dry", actor="test", dry_run=True).lines)
    assert "told from the other arm by its address alone, the weaker proof" in told
    assert "the weaker proof: the plan names no reader" in told
    assert "arms docs_v1, docs_v2: told apart by address" in told
    switch = foreign.open()
    freeze(switch)
    checks = {check.name: check for check in verify(switch)}
    assert all(check.ok for check in checks.values())
    assert "INDEX_HASH" in checks["Green pins"].found and "in the manifest" in checks["Green pins"].found
    verdicts = {verdict.rule: verdict for verdict in warm(switch)}
    off = verdicts.pop("tool_loops")
    assert (off.outcome.value, off.needs) == ("OFF", "the service calls no tools")
    others = {rule: verdict.outcome.value for rule, verdict in verdicts.items()}
    assert set(others.values()) <= {"PASS", "OFF"} and list(others.values()).count("PASS") >= 10, others
    assert (verdicts["coverage"].value or 0) > 0.7, "hits were placed in the corpus by their texts"
    assert flip_or_abort(switch)
    flip(switch)
    assert foreign.live == "docs_v2"
    row = next(iter(foreign.ledger.evidence.hits(switch.id, phase="warm", probes=[(switch.gold.ids[0], 0, 0, 0)])))
    assert {"snippet_id", "doc", "start", "end", "tokens"} <= set(row.hits[0]), "worked out, and kept"


def test_texts_that_are_not_answered_are_read_from_the_index(foreign: World) -> None:
    request = {**ASKING["request"], "path": "/v1/ids"}
    answer = {**ASKING["answer"], "hit": {"id": "ref"}}
    plan = mapped(foreign.plan, {"request": request, "answer": answer}, rounds=1)
    switch = foreign.open(plan=plan)
    freeze(switch)
    verify(switch)
    outcomes = {verdict.rule: verdict.outcome.value for verdict in warm(switch)}
    assert (outcomes["ds_question"], outcomes["coverage"]) == ("PASS", "PASS")


@pytest.mark.parametrize(
    ("answer", "off", "told"),
    [
        (
            {"hit": {"id": "ref", "text": "pasage"}},
            {"tool_loops": "none"},
            "answer.hit.text: pasage: found nothing in 3",
        ),
        ({"cited": "source[0].section"}, {"tool_loops": "none"}, "answer.cited: source[0].section: found nothing"),
        ({"hits": "matchs"}, {"tool_loops": "none"}, "answer.hits: matchs: found nothing"),
        ({}, {}, "answers do not say what these rules need: tool_loops. Map it under `asking.answer`"),
    ],
)
def test_what_would_not_be_measured_is_refused_before_anything_is_frozen(
    foreign: World, answer: dict[str, Any], off: dict[str, str], told: str
) -> None:
    plan = mapped(foreign.plan, {**ASKING, "answer": {**ASKING["answer"], **answer}}, off=off)
    with pytest.raises(InvariantBroken) as raised:
        foreign.open(plan=plan)
    assert told in str(raised.value)
    assert not foreign.frozen


def test_eval_maps_it_too_and_says_which_path_is_misspelt(
    foreign: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in foreign.environ.items():
        if name not in os.environ:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SWITCHOVER_FILES", str(GOLD.parent))
    body = yaml.safe_load((ROOT / "include" / "plans" / "docs.yaml").read_text())
    body["arms"] = {name: {"connection": "foreign"} for name in body["arms"]}
    body |= {"readers": [], "secrets": [], "asking": ASKING}
    body["rules"]["off"] = {"tool_loops": "the service calls no tools"}
    body["gold"]["path"] = str(GOLD)
    del body["cache"]
    path = tmp_path / "docs.yaml"
    path.write_text(yaml.safe_dump(body))
    code = main(["eval", "--plan", str(path), "--arm", "green", "--rounds", "1"])
    out = capsys.readouterr()
    assert code in (0, 3), out.out
    assert "off by the plan's word: the service calls no tools" in out.out
    assert "HTTP Request" not in out.err and "httpx" not in out.err
    body["asking"] = {**ASKING, "answer": {**ASKING["answer"], "text": "sumary"}}
    path.write_text(yaml.safe_dump(body))
    assert main(["eval", "--plan", str(path), "--arm", "green", "--rounds", "1"]) == 4
    assert "answer.text: sumary: found nothing in 3 trial answers" in capsys.readouterr().err

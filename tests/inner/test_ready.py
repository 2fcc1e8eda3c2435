"""Strict readiness: what is missing is named, over WSGI and FastAPI, and a check that hangs is no answer."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
import yaml
from fastapi import FastAPI
from fastapi.testclient import TestClient

from switchover.errors import BadInput
from switchover.ready import Readiness

PAGE = (Path(__file__).parents[2] / "docs" / "readiness.md").read_text(encoding="utf-8")


def ready(**given: Any) -> Readiness:
    options = {"arm": "docs_v2", "secrets": ["KEY"], "index": lambda: 7, "gold": lambda: True, "environ": {"KEY": "x"}}
    return Readiness(**{**options, "timeout_s": 0.2, "keep_s": 0, **given})


def broken() -> object:
    raise ConnectionRefusedError("port 5432\nDETAIL: more")


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        ({}, []),
        ({"environ": {}}, ["secret KEY is not set"]),
        ({"environ": {"KEY": ""}}, ["secret KEY is not set"]),
        ({"index": lambda: 0}, ["index: found 0"]),
        ({"gold": lambda: None}, ["gold question: found None"]),
        ({"index": broken}, ["index: ConnectionRefusedError: port 5432"]),
        ({"more": {"reranker": lambda: False}}, ["reranker: found False"]),
        ({"environ": {}, "gold": lambda: []}, ["secret KEY is not set", "gold question: found []"]),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], reasons: list[str]) -> None:
    found = ready(**given).look()
    assert found.body == {"ready": not reasons, "arm": "docs_v2", "reasons": reasons}
    assert found.status == (503 if reasons else 200)


def test_another_arm_is_never_ready() -> None:
    assert ready().look("docs_v2").status == 200
    assert ready().look("docs_v1").reasons == ("asked for arm 'docs_v1', this is 'docs_v2'",)
    with pytest.raises(BadInput, match="readiness: arm"):
        ready(arm="")


def test_a_check_that_hangs_is_no_answer_and_is_not_begun_again() -> None:
    go, begun = threading.Event(), []

    def hang() -> object:
        begun.append(1)
        return go.wait(30)

    probe = ready(gold=hang)
    for _ in range(3):
        assert probe.look().reasons == ("gold question: no answer within 0.2 s",)
    assert len(begun) == 1
    go.set()
    probe._running["gold question"].result(5)
    assert probe.look().status == 200


def test_a_check_that_hangs_keeps_no_process_from_its_end() -> None:
    program = """
import threading
from switchover.ready import Readiness
probe = Readiness(arm="a", secrets=[], index=lambda: 1, gold=threading.Event().wait, timeout_s=0.1)
print(probe.look().reasons)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "gold question: no answer within 0.1 s" in done.stdout


def test_one_result_serves_all_probes_for_a_while() -> None:
    asked: list[int] = []
    probe = ready(index=lambda: asked.append(1) or 7, keep_s=60)
    assert {probe.look().status for _ in range(20)} == {200}
    assert len(asked) == 1


def test_it_answers_over_wsgi() -> None:
    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with make_server("127.0.0.1", 0, ready().wsgi, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}/healthz/ready"
        good, other = httpx.get(at, params={"arm": "docs_v2"}), httpx.get(at, params={"arm": "nobody"})
        server.shutdown()
    assert (good.status_code, good.json()["ready"]) == (200, True)
    assert (other.status_code, other.json()["reasons"]) == (503, ["asked for arm 'nobody', this is 'docs_v2'"])


def test_the_example_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, names)

    def answer(question: str) -> tuple[int, list[str]]:
        app = FastAPI()
        names["add_probe"](app, arm="docs_v2", count=lambda: 3, search=lambda _: ["executionmodel"])
        with TestClient(app) as client:
            found = client.get(f"/healthz/ready{question}")
        return found.status_code, found.json()["reasons"]

    assert answer("") == (503, ["secret DOCS_API_KEY is not set"])
    monkeypatch.setenv("DOCS_API_KEY", "x")
    assert answer("?arm=docs_v2") == (200, [])
    assert answer("?arm=nobody")[0] == 503


def test_the_deployment_of_the_page_asks_for_its_own_arm() -> None:
    deployment, plan = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    spec = deployment["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    arm = spec["template"]["metadata"]["labels"]["arm"]
    assert container["readinessProbe"]["httpGet"]["path"] == f"/healthz/ready?arm={arm}"
    assert plan["arms"][arm]["ready"].format(arm=arm) == f"/healthz/ready?arm={arm}", "the plan asks the same probe"
    assert container["readinessProbe"]["timeoutSeconds"] > 5

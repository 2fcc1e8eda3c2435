"""The judge's commands against real arms and a real ledger, with the exit codes that a CI job acts on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from switchover.cli import main
from switchover.steps import finish
from switchover.steps.flip import flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import ROOT, World

PLAN = str(ROOT / "include" / "plans" / "docs.yaml")


@pytest.fixture
def call(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    for name, value in world.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, Any]:
        code = main([*arguments, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


def test_eval_of_one_arm_passes_and_leaves_no_trace(call: Any, world: World) -> None:
    code, found = call("eval", "--plan", PLAN, "--arm", "green")
    assert (code, found["outcome"]) == (0, "PASS")
    assert found["arms"] == {"green": "docs_v2"}
    rules = {verdict["rule"] for verdict in found["verdicts"]}
    assert rules == {"ds_question", "coverage", "flip_rate", "error_rate", "tool_loops"}
    assert world.ledger.runs.latest() == []
    assert world.live == "docs_v1"


def test_eval_with_a_bound_that_cannot_be_met_fails(call: Any) -> None:
    code, found = call("eval", "--plan", PLAN, "--arm", "blue", "--max-ds", "0.05", "--rounds", "1")
    assert code == 1
    assert {v["rule"]: v["outcome"] for v in found["verdicts"]}["ds_question"] == "FAIL"


def test_eval_of_too_little_is_inconclusive(call: Any) -> None:
    code, found = call("eval", "--plan", PLAN, "--arm", "green", "--rounds", "1")
    assert code == 3
    needs = {v["rule"]: v["needs"] for v in found["verdicts"]}
    assert "598" in needs["error_rate"]


def test_eval_of_both_arms_sees_a_broken_green(call: Any, world: World) -> None:
    fault = {"target": "docs_v2", "kind": "rerank-inverted"}
    httpx.post(f"{world.service}/sandbox/fault", json=fault).raise_for_status()
    code, found = call("eval", "--plan", PLAN, "--rounds", "1")
    outcomes = {v["rule"]: v["outcome"] for v in found["verdicts"]}
    assert code == 1
    assert outcomes["coverage_vs_blue"] == outcomes["coverage"] == "FAIL"
    assert found["arms"] == {"blue": "docs_v1", "green": "docs_v2"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--gold", "/no/such/gold.jsonl"], 2),
        (["--min-cov", "7"], 2),
        (["--rounds", "0"], 2),
    ],
)
def test_eval_with_bad_input_changes_nothing(call: Any, arguments: list[str], code: int) -> None:
    assert call("eval", "--plan", PLAN, *arguments)[0] == code


def test_eval_of_a_service_that_is_down_is_not_a_pass(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DOCS_SERVICE", "http://127.0.0.1:1")
    code, found = call("eval", "--plan", PLAN, "--arm", "green", "--rounds", "1")
    assert code == 1
    assert found["outcome"] == "FAIL"


def test_replay_judges_recorded_evidence_again(call: Any, world: World, tmp_path: Path) -> None:
    switch = world.open()
    freeze(switch)
    verify(switch)
    warm(switch)
    assert flip_or_abort(switch)
    finish.abort(switch)
    code, found = call("replay", switch.id)
    assert (code, found["changed"]) == (0, [])
    stricter = tmp_path / "rules.yaml"
    stricter.write_text("ds_question: {accept: 0.1}\nlatency_p95: {accept: 5}\n")
    code, found = call("replay", switch.id, "--rules", str(stricter))
    assert code == 1
    assert found["changed"] == ["ds_question: PASS -> FAIL"]
    stricter.write_text("ds_question: {acept: 0.1}\n")
    assert call("replay", switch.id, "--rules", str(stricter))[0] == 2
    assert call("replay", "docs:nobody")[0] == 2


def test_power_says_what_can_be_told(call: Any) -> None:
    code, found = call("power", "--plan", PLAN, "--rate", "20")
    assert code == 0
    assert found["gold"]["valid"] == 48
    assert all(rule["text"] for rule in found["rules"])


def test_status_report_and_restore(call: Any, world: World) -> None:
    switch = world.warmed()
    code, found = call("status", "--service", "docs")
    assert (code, [row["state"] for row in found]) == (0, ["warmed"])
    assert call("report", switch.id)[1]["checks"]
    code, found = call("restore", switch.id)
    assert (code, found["state"]) == (0, "aborted")
    assert not world.frozen

"""The judge's commands against real arms and a real ledger, with the exit codes that a CI job acts on."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from switchover.cli.entry import main
from switchover.steps import finish
from switchover.steps.flip import flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import GOLD, ROOT, World

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
    assert "comparison" not in found, "there is nothing to compare one arm with"
    assert found["arms"] == {"green": "docs_v2"}
    rules = {verdict["rule"] for verdict in found["verdicts"]}
    assert rules == {"ds_question", "coverage", "flip_rate", "error_rate", "tool_loops"}
    assert world.ledger.runs.latest() == []
    assert world.live == "docs_v1"


def test_eval_prints_no_line_of_a_client_s_for_each_probe(call: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("httpx").setLevel(logging.NOTSET)
        assert call("eval", "--plan", PLAN, "--arm", "green", "--rounds", "1")[0] == 3
    assert not [record for record in caplog.records if record.name.startswith("httpx")]


def test_calibrate_asks_blue_against_itself_and_proposes_what_does_not_fit(call: Any, world: World) -> None:
    code, found = call("calibrate", "--plan", PLAN, "--rounds", "1")
    assert (code, found["arm"], found["gold"]["grade"]) == (0, "docs_v1", "span")
    said = {each["rule"]: each for each in found["said"]}
    assert said["coverage"]["noise"] == 0.0 and said["coverage_vs_blue"]["outcome"] == "PASS"
    assert not set(found["rules"]) - {"latency_p95"}, "the sandbox's Blue reaches every bar; times are the machine's"
    assert world.ledger.runs.latest() == []


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
    compared = found["comparison"]
    lost = compared["measures"]["coverage"]
    assert lost["effect"] < -0.02 and lost["losses"] > lost["wins"]
    assert {segment["tag"] for segment in compared["segments"]} == {"topic"}
    first = compared["moved"][0]
    assert first["change"] > 0
    assert first["asked"]
    assert {arm: len(hits) for arm, hits in first["hits"].items()} == {"blue": 5, "green": 5}


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
    assert call("eval", "--plan", PLAN, "--arm", "green", "--rounds", "1") == (4, None)


def test_recorded_evidence_is_judged_again_and_exported(call: Any, world: World, tmp_path: Path) -> None:
    switch = world.open()
    freeze(switch)
    verify(switch)
    assert call("export", switch.id, "--out", str(tmp_path / "none"))[0] == 2, "nothing was asked yet"
    warm(switch)
    assert flip_or_abort(switch)
    finish.abort(switch)
    replayed(call, switch.id, tmp_path / "rules.yaml")
    exported(call, switch.id, tmp_path / "runs")
    assert not (tmp_path / "none").exists()


def replayed(call: Any, id: str, stricter: Path) -> None:
    code, found = call("replay", id)
    assert (code, found["changed"]) == (0, [])
    stricter.write_text("ds_question: {accept: 0.1, margin: null}\nlatency_p95: {accept: 5}\n")
    code, found = call("replay", id, "--rules", str(stricter))
    assert code == 1
    assert found["changed"] == ["ds_question: PASS -> FAIL"]
    told = call("report", id)[1]["comparison"]
    assert told["note"] == "" and {segment["tag"] for segment in told["segments"]} == {"topic"}
    assert told["measures"]["flips"]["n"] == 48
    stricter.write_text("ds_question: {acept: 0.1}\n")
    assert call("replay", id, "--rules", str(stricter))[0] == 2
    assert call("replay", "docs:nobody")[0] == 2


def exported(call: Any, id: str, out: Path) -> None:
    """A run for each arm and paraphrase."""
    code, found = call("export", id, "--out", str(out))
    assert (code, found["phase"]) == (0, "warm")
    assert [(file["name"], file["questions"], file["unanswered"]) for file in found["files"]] == [
        (f"{arm}.p{paraphrase}.trec", 48, 0) for arm in ("blue", "green") for paraphrase in range(3)
    ]
    first = (out / "green.p2.trec").read_text().splitlines()[0]
    assert re.fullmatch("q01-assert-optimized Q0 [^ ]+ 1 1.000000 docs_v2.p2", first)


def test_power_says_what_can_be_told(call: Any) -> None:
    code, found = call("power", "--plan", PLAN, "--rate", "20")
    assert code == 0
    assert found["gold"]["valid"] == 48
    assert all(rule["text"] for rule in found["rules"])
    assert (found["judge"]["judge"]["name"], found["judge"]["bound"]) == ("wordllama-l2-supercat", 0.45)


def test_power_asks_blue_against_itself_and_leaves_no_trace(call: Any, world: World) -> None:
    assert call("power", "--plan", PLAN, "--rounds", "1")[0] == 2, "without --ask nothing is asked"
    assert call("power", "--plan", PLAN, "--ask", "--rounds", "0")[0] == 2
    code, found = call("power", "--plan", PLAN, "--ask", "--rounds", "1")
    assert code == 3, "one round is too little for error_rate"
    assert (found["asked"]["arm"], found["asked"]["probes"]) == ("docs_v1", 48 * 3 * 2 * 2)
    rules = {each["rule"]: each for each in found["asked"]["rules"]}
    assert (rules["error_rate"]["enough"], "598" in rules["error_rate"]["needs"]) == (False, True)
    paired = rules["coverage_vs_blue"]
    assert (paired["passes"], paired["spread"], paired["questions"]) == (1.0, 0.0, 45), "its answers have no noise"
    assert 0.1 < paired["shows"] < 0.2
    assert rules["latency_p95"]["worst"] is not None and "ds_p95_drift" in rules
    assert world.ledger.runs.latest() == []


def test_status_report_and_restore(call: Any, world: World) -> None:
    switch = world.warmed()
    code, found = call("status", "--service", "docs")
    assert (code, [row["state"] for row in found]) == (0, ["warmed"])
    assert call("report", switch.id)[1]["checks"]
    assert call("restore", switch.id)[0] == 5, "it is driven"
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    code, found = call("restore", switch.id)
    assert (code, found["state"]) == (0, "aborted")
    assert not world.frozen


def test_gold_check_against_blues_index_as_the_corpus(call: Any, tmp_path: Path) -> None:
    plan = yaml.safe_load(Path(PLAN).read_text())
    plan["gold"] |= {"path": "gold.jsonl", "corpus": {"kind": "index", "start": "start_char"}}
    del plan["cache"]  # names a file
    (tmp_path / "gold.jsonl").write_text(GOLD.read_text())
    (tmp_path / "docs.yaml").write_text(yaml.safe_dump(plan))
    code, found = call("gold", "check", str(GOLD), "--plan", str(tmp_path / "docs.yaml"))
    assert (code, found["questions"], found["resolved"], found["problems"]) == (0, 48, True, [])
    assert found["judge"]["bound"] == 0.45, "the texts are those of the table of documents"


def test_gold_check_and_export_against_the_plans_corpus(call: Any, world: World, tmp_path: Path) -> None:
    code, found = call("gold", "check", str(GOLD), "--plan", PLAN)
    assert (code, found["questions"], found["resolved"], found["problems"]) == (0, 48, True, [])
    assert (found["judge"]["bound"], found["judge"]["tags"]["topic=types"]) == (0.45, {"questions": 6, "auc": None})
    moved = tmp_path / "moved.jsonl"
    moved.write_text(GOLD.read_text().replace("The current code generator emits", "The newest code generator emits"))
    code, found = call("gold", "check", str(moved), "--plan", PLAN)
    assert (code, len(found["problems"])) == (2, 1)
    assert found["problems"][0].startswith(f"{moved}:1: q01-assert-optimized: answer 1: quote of 111")
    assert call("gold", "export", str(moved), "--plan", PLAN, "--out", str(tmp_path / "no"))[0] == 2
    assert not (tmp_path / "no").exists()

    beir = tmp_path / "beir"
    assert call("gold", "export", str(GOLD), "--plan", PLAN, "--out", str(beir))[0] == 0
    documents = (beir / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    assert world.sql("SELECT count(*) FROM documents") == [(len(documents),)], "the whole corpus, not the judged part"
    into = [str(beir / "queries.jsonl"), "--from", "beir", "--set", f"qrels={beir / 'qrels' / 'test.trec'}"]
    for source in (["--plan", PLAN], ["--corpus", str(beir / "corpus.jsonl")]):
        again = tmp_path / f"{source[0]}.jsonl"
        code, found = call("gold", "import", *into, *source, "--out", str(again))
        assert (code, found["questions"]) == (0, 48)
        code, found = call("gold", "check", str(again), "--plan", PLAN)
        assert (code, found["grade"], found["problems"]) == (2, "id", [])
        assert found["judge"]["auc"] < 0.95, "whole documents are too much alike for this judge, and that is said"
    assert (tmp_path / "--plan.jsonl").read_text() == (tmp_path / "--corpus.jsonl").read_text()

"""Where a plan is looser than the contract, and below which floors only a sandbox plan may go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.inner.recorded import record
from tests.inner.test_plan_checks import refusal, written

from switchover.approval import Gate
from switchover.cli.entry import main
from switchover.judge.rules import RULE_KINDS
from switchover.ledger import Ledger
from switchover.notify import Event
from switchover.notify.texts import mail_text, render
from switchover.page import render_run
from switchover.page.bundle import bundle
from switchover.planfile.departures import departed, departures
from switchover.planfile.load import load_plan
from switchover.report.approval_text import body_text
from switchover.report.review import review
from switchover.report.tell import compose
from switchover.report.told import Now

THREE: dict[str, Any] = {
    "latency_p95": {"accept": 0.5},
    "flips_vs_blue": {"margin": 0.05},
    "coverage": {"accept": 0.65, "stop": 0.6, "minimum": 40},  # a higher minimum asks for more
}
VOID: dict[str, Any] = {
    "ds_question": {"accept": 1},
    "ds_p95_drift": {"accept": 1, "stop": None},
    "coverage": {"accept": 0, "stop": None},
    "coverage_vs_blue": {"margin": 1},
    "flip_rate": {"accept": 1, "stop": 1},
    "flips_vs_blue": {"margin": 1},
    "latency_p95": {"accept": 100},
    "error_rate": {"accept": 1},
    "http_5xx": {"accept": 1, "stop": None},
    "tool_loops": {"stop": None},
    "rollback_path": {"accept": 3600},
    "live_traffic": {"silent_windows": None},
    "cache_poison": {"stop": None},
}


def test_a_plan_of_defaults_departs_from_nothing(tmp_path: Path) -> None:
    plan = load_plan(written(tmp_path))
    assert (departures(plan), departed([])) == ([], "")


def test_a_plan_with_three_departures_lists_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, rules=THREE)
    assert departures(load_plan(path)) == [
        "rules.coverage.accept 0.65 (contract: 0.7)",
        "rules.flips_vs_blue.margin 0.05 (contract: 0)",
        "rules.latency_p95.accept 0.5 (contract: 0.15)",
    ]
    assert main(["plan", "check", str(path)]) == 0
    assert f"{path}: 3 points are looser than the contract: rules.coverage.accept 0.65" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"rules": {"latency_p95": {"accept": 0.1, "stop": 0.3}, "coverage": {"accept": 0.8}}}, []),
        ({"rules": {"latency_p95": {"stage": "retrieve"}}}, ["rules.latency_p95.stage retrieve (contract: total)"]),
        ({"rules": {"ds_question": {"minimum": 5}}}, ["rules.ds_question.minimum 5 (contract: 20)"]),
        ({"rules": {"flip_rate": {"seeds": 1}}}, ["rules.flip_rate.seeds 1 (contract: 2)"]),
        ({"rules": {"statistics": {"false_stops": 0.001}}}, ["rules.statistics.false_stops 0.001 (contract: 0.01)"]),
        ({"rules": {"statistics": {"false_stops": 0.05, "confidence": 0.99, "window": 2}}}, []),
        ({"probes": {"seeds": 1}}, ["probes.seeds 1 (contract: 2)"]),
        ({"gold__minimum": 15}, ["gold.minimum 15 (contract: 20)"]),
        ({"sandbox": True, "hold": {"minutes": 1}}, ["hold.minutes 1 (contract: 15 to 30)"]),
        ({"rehearsal": {"max_age_h": 24}, "rollback": {"ttr_s": 30}}, []),
    ],
)
def test_what_is_looser_and_what_is_not(tmp_path: Path, changes: dict[str, Any], found: list[str]) -> None:
    assert departures(load_plan(written(tmp_path, **changes))) == found


def test_a_plan_whose_bounds_are_all_void_is_refused_outside_the_sandbox(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"rules": VOID, "hold": {"max_minutes": 600, "on_unaccepted": "extend"}}
    changes |= {"gold__minimum": 1, "rollback": {"ttr_s": 3600}}
    told = refusal(written(tmp_path, **changes))
    assert [rule for rule in VOID if f"rules.{rule}." not in told] == []
    for words in (
        "hold.max_minutes: found 600; allowed: up to 30 (anything only with `sandbox: true`)",
        "gold.minimum: found 1; allowed: from 10 (",
        "rollback.ttr_s: found 3600; allowed: up to 120 (",
        "rules.rollback_path.accept: found 3600; allowed: up to 120 (",
        "rules.http_5xx.stop: found none; allowed: a bound that a bad Green can be beyond (",
        "rules.live_traffic.silent_windows: found none; allowed: a bound",
        "rules.coverage.accept: found 0; allowed: a bound",
    ):
        assert words in told
    sandbox = departures(load_plan(written(tmp_path, sandbox=True, **changes)))
    assert len(sandbox) >= len(VOID) + 3


@pytest.mark.parametrize("rule", [name for name, kind in RULE_KINDS.items() if kind().bound("stop") is not None])
def test_no_rule_gives_up_its_stop_bound_outside_the_sandbox(tmp_path: Path, rule: str) -> None:
    key = "stop" if "stop" in RULE_KINDS[rule].model_fields else "silent_windows"
    assert f"rules.{rule}.{key}: found none" in refusal(written(tmp_path, rules={rule: {key: None}}))


@pytest.fixture(scope="module")
def ledger(pg_server: Any) -> Iterator[Ledger]:
    pg_server.create_database("departures")
    engine = sa.create_engine(pg_server.sqlalchemy_url("departures"))
    found = Ledger(engine=engine)
    found.create_tables()
    record(found)
    yield found
    engine.dispose()


def test_departures_stand_wherever_verdicts_are_shown(ledger: Ledger) -> None:
    found = review(ledger, "docs:1")
    line = departed(found.facts.departures)
    assert line.startswith("2 points are looser than the contract: rules.flips_vs_blue.margin 0.05 (contract: 0)")
    files = dict(bundle(found))
    assert json.loads(files["summary.json"])["departures"] == found.facts.departures
    assert "2 points are looser than the contract" in files["report.md"]
    assert line in render_run(found, base="/switchover")
    row = ledger.runs.get("docs:1")
    message = compose(ledger, Now(row=row, at=ledger.now(), target="docs_v2"), Event.FLIP)
    assert message is not None
    assert [kind for kind in ("slack", "smtp") if line not in render(message, kind=kind)] == []
    assert line in mail_text(message)
    assert json.loads(render(message, kind="webhook"))["departures"] == found.facts.departures
    asked = body_text(
        found.facts, {}, gate=Gate.BEFORE_FLIP, until=row.opened_at, approvers=1, bound="", rehearsed=None, url=""
    )
    assert "2 points are looser than the contract" in asked

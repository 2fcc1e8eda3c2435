"""Alert rules and dashboard: checked by a real promtool, and in step with the metrics that a run sends."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml

from sandbox.errors import NotHere
from sandbox.processes.airflow_home import REPOSITORY
from sandbox.servers import prometheus
from switchover.report.metrics import METRICS

FOLDER = REPOSITORY / "observability"
WATCHDOG = {"switchover_watchdog_last_look_timestamp_seconds", "switchover_undriven_runs"}
SENT = {f"airflow_{name.replace('.', '_')}": tags for name, (tags, _) in METRICS.items()}
USED = re.compile(r"\b(?:airflow_)?switchover_[a-z_]+\b(?!\s*\()")


def promtool(*arguments: str) -> str:
    try:
        program = prometheus.binary("promtool")
    except NotHere as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    done = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, str]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", "alerts.yaml")
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yaml")


def test_every_alert_has_a_test_in_which_it_fires_and_its_line_in_the_docs() -> None:
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    page = (REPOSITORY / "docs" / "metrics.md").read_text()
    for rule in rules():
        assert rule["alert"] in fired
        assert f"- `{rule['alert']}` (" in page


def test_alerts_and_dashboard_name_only_metrics_that_are_sent() -> None:
    dashboard = (FOLDER / "grafana-dashboard.json").read_text()
    expressions = [panel["targets"][0]["expr"] for panel in json.loads(dashboard)["panels"]]
    for text in [dashboard, *(rule["expr"] for rule in rules())]:
        assert set(USED.findall(text)) <= set(SENT) | WATCHDOG
    shown = {name for text in expressions for name in USED.findall(text)} | set(USED.findall(dashboard))
    assert shown == set(SENT) | WATCHDOG, "the dashboard shows every metric"


def test_labels_in_alerts_and_dashboard_are_tags_of_their_metric() -> None:
    texts = [rule["expr"] for rule in rules()]
    for panel in json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]:
        texts += [target["expr"] for target in panel["targets"]]
    for text in texts:
        for name, selector in re.findall(r"(airflow_switchover_[a-z_]+){([^}]*)}", text):
            assert set(re.findall(r"(\w+)=", selector)) <= {"service", *SENT[name]}, text


def test_the_page_lists_every_metric() -> None:
    page = (REPOSITORY / "docs" / "metrics.md").read_text()
    for name, (tags, meaning) in METRICS.items():
        assert f"| `{name}` | {', '.join(f'`{tag}`' for tag in tags) or '–'} | {meaning} |" in page

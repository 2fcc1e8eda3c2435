"""A plan hurts nobody else and is no code: mutilated plans beside a good one, and templates in every text of a plan."""

from __future__ import annotations

import copy
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.dag_processing.processor import _serialize_dags
from structlog import get_logger

from switchover.errors import PlanError
from switchover.planfile.load import load_plan
from switchover_airflow.review import ledgers
from tests.airflow.conftest import ROOT
from tests.airflow.test_dag import as_service, bag_of, dags_of, plans_in

LONG = "FUZZ" in os.environ
PLANS = sorted((ROOT / "include" / "plans").glob("*.yaml"))
MORE = {
    "notify": [{"kind": "slack", "connection": "chat"}, {"kind": "smtp", "connection": "mail", "to": ["a@b.example"]}],
    "rehearsal": {"schedule": "0 4 * * *", "max_age_h": 5.0},
    "rollback": {"ttr_s": 60},
    "lease_s": 10,
    "asset": "docs_index_built",
    "evidence": "evidence",
}
VALUES: list[Any] = [None, [1], "x", 7, {"a": 1}, -1, float("inf"), 1e300, " ", "a" * 2000, "0 25 * * *", "{{ 1/0 }}"]
#: What the loader took and Airflow did not, or the other way round: at 36ca0a7 each of them stopped every service.
HOSTILE: dict[str, bytes | str] = {
    "cron": "schedule: '0 25 * * *'",
    "no_such_day": "schedule: '0 3 31 2 *'",
    "empty_cron": "schedule: ''",
    "rehearsal_cron": "rehearsal: {schedule: every monday}",
    "blank_asset": "asset: ' '",
    "long_asset": f"asset: {'a' * 2000}",
    "kept_asset": "asset: airflow://x",
    "no_address": "asset: 'http://[x'",
    "infinite": "rollback: {ttr_s: .inf}",
    "huge": "retire: {after_h: 1.0e+300}",
    "long_lease": "lease_s: 86400",
    "owner": f"secrets: [{'x' * 3000}]",
}


def written(plans: Path, name: str, text: str) -> None:
    """A plan file for a service of its own, so that it is in nobody's way by its names."""
    (plans / f"{name}.yaml").write_text(as_service(text, name))


def mutations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of every plan of the repository, each with every value, and every mapping with a key too many."""
    for number, path in enumerate(PLANS):
        good = yaml.safe_load(path.read_text()) | (MORE if number == 0 else {})
        for place in _places(good, ()):
            for which, value in enumerate([*VALUES, ...]):
                data = copy.deepcopy(good)
                parent = _at(data, place[:-1])
                if value is not ...:
                    parent[place[-1]] = value
                elif isinstance(parent[place[-1]], dict):
                    parent[place[-1]]["zzz"] = 1
                else:
                    continue
                yield f"m{number}_{'_'.join(map(str, place))}_{which}", data


def _places(data: Any, above: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for name, value in data.items() if isinstance(data, dict) else enumerate(data):
        yield (*above, name)
        if isinstance(value, dict | list):
            yield from _places(value, (*above, name))


def _at(data: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        data = data[step]
    return data


def folder_of(plans: Path, chosen: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """The files of these mutations in a folder of plans; returns their services."""
    names = []
    for number, (_, data) in enumerate(chosen):
        name = f"m{number}"
        if data.get("service") in ("docs", "docs_alb", "docs_kv", "docs_opensearch"):
            data["service"] = name
        if isinstance(data.get("pointer"), dict):
            for key in ("alias", "key"):
                if isinstance(data["pointer"].get(key), str) and "docs" in data["pointer"][key]:
                    data["pointer"][key] = name
        (plans / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        names.append(name)
    return names


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    """The plan ``docs``, beside plans that at 36ca0a7 took it out of Airflow."""
    plans = plans_in(tmp_path)
    text = (plans / "docs.yaml").read_text()
    for name, line in HOSTILE.items():
        written(plans, name, re.sub(rf"^{line.split(':')[0]}:.*\n", "", text, flags=re.M) + f"\n{line}\n")
    written(plans, "arm_key", text.replace("  docs_v1:\n", "  docs_v1:\n    timeout: 5\n"))
    shutil.copy(plans / "arm_key.yaml", plans / "odd näme, a copy.yml")
    (plans / "bytes.yaml").write_bytes(b"service: \xff\n")
    (plans / "folder.yaml").mkdir()
    (plans / "gone.yaml").symlink_to(plans / "nowhere")
    os.mkfifo(plans / "pipe.yaml")
    return plans


BROKEN = {*(f"plans/{name}.yaml" for name in (*HOSTILE, "arm_key", "bytes", "folder", "gone", "pipe"))} | {
    "plans/odd näme, a copy.yml"
}


def test_a_real_dag_processor_keeps_the_good_plan_beside_broken_ones(
    plans: Path, migrated_home: Path, tmp_path: Path
) -> None:
    every = list(mutations())
    names = folder_of(plans, every[:: len(every) // 30])
    home = tmp_path / "home"
    shutil.copytree(migrated_home, home)
    subprocess.run(
        [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"],
        env={**os.environ, "AIRFLOW_HOME": str(home), "SWITCHOVER_PLANS": str(plans)},
        check=True,
        timeout=300,
        capture_output=True,
    )
    database = next(home.glob("*.db"))
    with sqlite3.connect(database) as connection:
        dags = dict(connection.execute("SELECT dag_id, has_import_errors OR is_stale FROM dag").fetchall())
        errors = dict(connection.execute("SELECT filename, stacktrace FROM import_error").fetchall())
    assert {dag_id: dags.get(dag_id) for dag_id in dags_of("docs") | {"build_index__docs"}} == dict.fromkeys(
        dags_of("docs") | {"build_index__docs"}, 0
    )
    assert set(errors) >= BROKEN
    assert all(name.startswith("plans/") for name in errors), "no error stands under a DAG file's own name"
    for name in names:
        told, known = errors.get(f"plans/{name}.yaml"), [dag for dag in dags if dag.endswith(f"__{name}")]
        assert told or known or not _is_its_own(plans / f"{name}.yaml", name), f"{name} went in silence"
    unforeseen = [told for told in errors.values() if "Airflow does not take" in told or "report this" in told]
    assert unforeseen == [], "the loader checks what Airflow will check"


def _is_its_own(path: Path, name: str) -> bool:
    return bool(yaml.safe_load(path.read_text()).get("service") == name)


@pytest.mark.skipif(not LONG, reason="the long mode: FUZZ=1, every node with every value")
def test_every_mutation_is_that_plans_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = list(mutations())
    for number in range(0, len(every), 100):
        plans = plans_in(tmp_path / str(number))
        folder_of(plans, every[number : number + 100])
        bag = bag_of(monkeypatch, plans)
        serialised, errors = _serialize_dags(bag, get_logger())
        assert bag.import_errors == {}
        assert dags_of("docs") <= {dag.dag_id for dag in serialised}
        for name, told in errors.items():
            assert re.search(rf"{re.escape(name)}:\d+: ", told), told
            assert "Airflow does not take" not in told and "report this" not in told, told


def test_the_review_page_and_the_task_know_the_good_plan_beside_broken_ones(
    plans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHOVER_PLANS", str(plans))
    assert ledgers.ledger_names() == ["switchover_ledger"]


INJECTION = "{{ cycler.__init__.__globals__.os.popen('id').read() }} {{ conn.docs_db.password }}"


def test_no_text_of_a_plan_reaches_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of a plan is made a template: what is taken stands in no templated field of any task."""
    plans = plans_in(tmp_path)
    good = yaml.safe_load((plans / "docs.yaml").read_text()) | MORE
    texts = [place for place in _places(good, ()) if isinstance(_at(good, place), str)]
    taken = []
    for number, place in enumerate(texts):
        data = copy.deepcopy(good)
        _at(data, place[:-1])[place[-1]] = INJECTION
        path = plans / f"p{number}.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        try:
            load_plan(path)
        except PlanError:
            continue
        taken.append(place)
        for dag in bag_of(monkeypatch, path).dags.values():
            assert not dag.render_template_as_native_obj
            for task in dag.tasks:
                templated = {field: getattr(task, field) for field in task.template_fields}
                assert "popen" not in str(templated), f"{place}: {dag.dag_id}.{task.task_id}: {templated}"
    assert ("description",) in taken
    assert ("evidence",) not in taken, "nothing would render it"


@pytest.mark.parametrize("arm", ["20241001", "0", "1_10", "None", "1e5"])
def test_an_arm_that_looks_like_a_number_arrives_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    plans = plans_in(tmp_path)
    text = (plans / "docs.yaml").read_text().replace("docs_v2", f'"{arm}"')
    (plans / "docs.yaml").write_text(text)
    dag = bag_of(monkeypatch, plans).dags["switchover__docs"]
    task = dag.get_task("preflight")
    context: Any = {
        "params": {"green": arm, "hold_minutes": 20, "dry_run": False},
        "run_id": "r",
        "triggering_asset_events": {},
    }
    task.render_template_fields(context)
    assert (task.green, task.hold_minutes, task.dry) == (arm, "20", "False")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("alias: docs\n", "alias: other\n"), "service: service 'docs' stands in"),
        (("service: docs\n", "service: other\n"), "pointer: this pgvector pointer stands in"),
    ],
)
def test_two_plans_for_one_thing_are_errors_that_name_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str], told: str
) -> None:
    plans = plans_in(tmp_path)
    (plans / "next.yaml").write_text((plans / "docs.yaml").read_text().replace(*edit))
    bag = bag_of(monkeypatch, plans)
    serialised, errors = _serialize_dags(bag, get_logger())
    assert (serialised, bag.import_errors) == ([], {})
    for one, other in (("docs", "next"), ("next", "docs")):
        assert f"{told} {plans / other}.yaml:" in errors[f"plans/{one}.yaml"]

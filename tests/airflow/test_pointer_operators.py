"""The operators for any DAG, and their examples, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import timezone
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from switchover.errors import BadInput, PointerConflict
from switchover.pointers import kv_sql, pgvector
from switchover_airflow.operators.pointer import (
    AlbSwapOperator,
    IndexAliasSwapOperator,
    PointerSwapOperator,
    ServiceSelectorSwapOperator,
)
from switchover_airflow.sensors.pointer import PointerAtSensor
from switchover_airflow.triggers.pointer import PointerAtTrigger
from tests.airflow.conftest import ROOT

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
KEY = {"kind": "kv_sql", "connection": "config_db", "key": "docs"}


@pytest.fixture
def engine(fresh_db_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A database with both kinds of SQL pointers on Blue, under the connection that the examples name."""
    engine = sa.create_engine(fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1))
    kv_sql.create_table(engine)
    pgvector.create_tables(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO switchover_key (key, target) VALUES ('docs', 'docs_v1')"))
        connection.execute(sa.text("INSERT INTO switchover_alias (alias, target) VALUES ('docs', 'docs_v1')"))
        connection.execute(sa.text("INSERT INTO switchover_manifest VALUES ('docs_v2', 'hash', '{}', now())"))
    url = engine.url
    monkeypatch.setenv(
        "AIRFLOW_CONN_CONFIG_DB",
        json.dumps({"conn_type": "postgres", "host": url.query["host"], "login": url.username, "schema": url.database}),
    )
    yield engine
    engine.dispose()


def live(engine: sa.Engine, table: str = "switchover_key") -> str:
    with engine.connect() as connection:
        return str(connection.execute(sa.text(f"SELECT target FROM {table}")).scalar_one())


def test_a_pointer_of_any_kind_is_moved(engine: sa.Engine) -> None:
    swap = PointerSwapOperator(task_id="swap", pointer=KEY, expect="docs_v1", to="docs_v2")
    moved = swap.execute({})
    assert (moved["changed"], moved["before"], moved["after"]) == (True, "docs_v1", "docs_v2")
    assert live(engine) == "docs_v2"
    assert swap.execute({})["changed"] is False


def test_an_index_alias_is_moved(engine: sa.Engine) -> None:
    swap = IndexAliasSwapOperator(
        task_id="swap", store="pgvector", conn_id="config_db", alias="docs", expect="docs_v1", to="docs_v2"
    )
    assert swap.execute({})["changed"] is True
    assert live(engine, "switchover_alias") == "docs_v2"


@pytest.mark.parametrize("dry", [True, "True", "1"])
def test_a_dry_run_changes_nothing(engine: sa.Engine, dry: bool | str) -> None:
    swap = PointerSwapOperator(task_id="swap", pointer=KEY, expect="docs_v1", to="docs_v2", dry=dry)
    assert "would move from 'docs_v1' to 'docs_v2'" in swap.execute({})["plan"]
    assert live(engine) == "docs_v1"


def test_a_pointer_elsewhere_fails_the_task_and_stays(engine: sa.Engine) -> None:
    swap = PointerSwapOperator(task_id="swap", pointer=KEY, expect="other", to="docs_v2")
    with pytest.raises(PointerConflict, match="expected 'other', found 'docs_v1'; nothing was changed"):
        swap.execute({})
    assert live(engine) == "docs_v1"


@pytest.mark.parametrize(
    ("pointer", "told"),
    [
        ({"kind": "abacus", "connection": "config_db"}, "kind.*'abacus'|found .*abacus.*kv_sql"),
        ({"connection": "config_db", "key": "docs"}, "kind: missing; allowed: .*kv_sql"),
        ({"kind": "kv_sql", "connection": "config_db"}, "key: missing"),
        ({**KEY, "alias": "docs"}, "alias: unknown key for kind 'kv_sql'"),
    ],
)
def test_a_pointer_that_cannot_be_is_one_clear_line(pointer: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told) as caught:
        PointerSwapOperator(task_id="swap", pointer=pointer, expect="a", to="b").execute({})
    assert "\n" not in str(caught.value)


def test_a_missing_connection_is_said() -> None:
    pointer = {**KEY, "connection": "nowhere"}
    with pytest.raises(BadInput, match="connection 'nowhere': not in Airflow"):
        PointerSwapOperator(task_id="swap", pointer=pointer, expect="a", to="b").execute({})


def test_what_the_special_operators_ask_for() -> None:
    alb = AlbSwapOperator(
        task_id="a", aws_conn_id="aws", targets={"b": "arn:1", "g": "arn:2"}, rule_arn="arn:r", expect="b", to="g"
    )
    assert alb.pointer_values() == {
        "kind": "alb",
        "connection": "aws",
        "targets": {"b": "arn:1", "g": "arn:2"},
        "rule_arn": "arn:r",
    }
    service = ServiceSelectorSwapOperator(
        task_id="s",
        kubernetes_conn_id="k",
        namespace="n",
        service="docs",
        selectors={"b": {"arm": "b"}, "g": {"arm": "g"}},
        expect="b",
        to="g",
    )
    assert service.pointer_values()["targets"] == {"b": {"arm": "b"}, "g": {"arm": "g"}}


def test_the_sensor_is_done_at_once_or_defers(engine: sa.Engine) -> None:
    there = PointerAtSensor(task_id="at", pointer=KEY, arm="docs_v1")
    assert "serves 'docs_v1'" in there.execute({})
    with pytest.raises(TaskDeferred) as deferred:
        PointerAtSensor(task_id="at", pointer=KEY, arm="docs_v2", timeout=60).execute({})
    trigger = deferred.value.trigger
    path, arguments = trigger.serialize()
    assert path == f"{PointerAtTrigger.__module__}.{PointerAtTrigger.__qualname__}"
    assert json.loads(json.dumps(arguments)) == arguments
    assert PointerAtTrigger(**arguments).serialize() == (path, arguments)
    with pytest.raises(AirflowException, match="not in time"):
        there.execute_complete({}, {"there": False, "line": "not in time"})


@pytest.mark.parametrize(("seconds", "there"), [(30, True), (1, False)])
def test_the_trigger_fires_when_somebody_moves_it_or_at_its_deadline(
    engine: sa.Engine, seconds: float, there: bool
) -> None:
    until = (timezone.utcnow() + timedelta(seconds=seconds)).isoformat()
    trigger = PointerAtTrigger(pointer=KEY, arm="docs_v2", until=until, pause_s=0.1)

    def move() -> None:
        time.sleep(0.5)
        if there:
            with engine.begin() as connection:
                connection.execute(sa.text("UPDATE switchover_key SET target = 'docs_v2'"))

    async def first() -> Any:
        return await anext(trigger.run())

    mover = threading.Thread(target=move)
    mover.start()
    event = asyncio.run(first())
    mover.join()
    assert event.payload["there"] is there
    assert ("serves 'docs_v2'" if there else "last look: reads 'docs_v1'") in event.payload["line"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads(path: Path) -> None:
    bag = DagBag(dag_folder=str(path))
    assert not bag.import_errors
    assert list(bag.dags) == [f"example_{path.stem}"]


def test_an_example_runs(engine: sa.Engine, airflow_db: None) -> None:
    argv = [sys.executable, "-m", "airflow", "dags", "test", "example_pointer_swap"]
    env = {**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "docs" / "examples")}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "moved from 'docs_v1' to 'docs_v2'" in done.stdout
    assert live(engine) == "docs_v2"


def test_every_operator_has_an_example() -> None:
    shown = "".join(path.read_text() for path in EXAMPLES)
    for operator in (
        AlbSwapOperator,
        IndexAliasSwapOperator,
        PointerAtSensor,
        PointerSwapOperator,
        ServiceSelectorSwapOperator,
    ):
        assert f"{operator.__name__}(" in shown

"""A throw-away Airflow home for each test worker; set before anything imports airflow."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from switchover.ledger import Ledger
from switchover.planfile.load import load_plan

ROOT = Path(__file__).parents[2]
RUN = "docs:manual__1"

HOME = tempfile.mkdtemp(prefix="switchover-airflow-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ.update(
    AIRFLOW_HOME=HOME,
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
)


@pytest.fixture(scope="session")
def airflow_db(migrated_home: Path) -> None:
    """The metadata database of this worker's home, for tests that run a whole DAG."""
    shutil.copytree(migrated_home, HOME, dirs_exist_ok=True)


@pytest.fixture
def ledger(fresh_db_url: str, fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """One run, with two writers, in a ledger that Airflow has a connection to."""
    parts = urlsplit(fresh_db_url)
    host = parse_qs(parts.query)["host"][0]
    known = {"conn_type": "postgres", "host": host, "login": parts.username, "schema": parts.path[1:]}
    monkeypatch.setenv("AIRFLOW_CONN_SWITCHOVER_LEDGER", json.dumps(known))
    engine = sa.create_engine(fresh_db)
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    plan = load_plan(ROOT / "include" / "plans" / "docs.yaml")
    ledger.runs.open(id=RUN, plan=plan, pointer="p", blue="docs_v1", green="docs_v2", hold_minutes=20)
    for name in ("ingest process", "ingest DAG"):
        ledger.journal.found_writer(RUN, name, {"frozen": False})
    yield ledger
    engine.dispose()

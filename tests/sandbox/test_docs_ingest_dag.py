"""The writer DAG, run once by Airflow itself in a process and a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from sandbox.writers import ingest

Conn = psycopg.Connection[Any]
INCLUDE = Path(__file__).parents[2] / "include"

RUN = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=FOLDER)
assert not bag.import_errors, bag.import_errors
dag = bag.dags["docs_ingest"]
assert (dag.catchup, dag.max_active_runs, dag.schedule.total_seconds()) == (False, 1, 10)
run = dag.test()
print("STATE", run.state)
"""


def test_the_dag_applies_its_stream_through_the_airflow_connection(
    built: Conn, built_url: str, migrated_home: Path, tmp_path: Path
) -> None:
    shutil.copytree(migrated_home, tmp_path, dirs_exist_ok=True)
    for n in range(3):
        ingest.append(built, stream="dag", key=f"k{n}", text="Harbour log: the ferry left.")
    ingest.append(built, stream="process", key="other", text="Not for the DAG.")
    url = urlsplit(built_url)
    connection = {
        "conn_type": "postgres",
        "host": parse_qs(url.query).get("host", [url.hostname])[0],
        "login": url.username,
        "schema": url.path.lstrip("/"),
    }
    env = {
        **os.environ,
        "PYTHONPATH": str(INCLUDE),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(INCLUDE / "sandbox" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW_CONN_DOCS_DB": json.dumps(connection),
    }
    code = RUN.replace("FOLDER", repr(str(INCLUDE / "sandbox" / "dags")))
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "STATE success" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    assert ingest.count_effects(built)["written"] == 3
    assert ingest.lag(built) == 1

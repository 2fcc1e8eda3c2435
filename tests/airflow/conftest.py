"""A throw-away Airflow home for each test worker; set before anything imports airflow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

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

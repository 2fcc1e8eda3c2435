"""One real PostgreSQL for a session (for each worker, if there are several); each test takes a database of it.

The server belongs to a keeper, so it ends with the session in whatever way the session ends, and its
directory with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# The quick profile tries the same examples every time, so that a test that turns red was broken by a change. The long
# one looks for new examples. Neither is timed: a loaded machine is no error.
settings.register_profile("quick", max_examples=25, derandomize=True, deadline=None)
settings.register_profile("long", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--crash FILE`` runs the whole kill matrix of tests/crash and writes what each cell showed."""
    parser.addoption("--crash", type=Path, metavar="FILE", help="run the whole kill matrix, write its cells to FILE")


pytest_plugins = ["tests.contract.recorder", "tests.groups", "tests.servers", "tests.world"]

if TYPE_CHECKING:
    from sandbox.processes.postgres import Postgres


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Postgres]:
    """The session's server."""
    from tests.servers import throwaway_postgres  # a plugin: not before pytest has it

    with throwaway_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def pg_url(pg_server: Postgres) -> str:
    """libpq URL of a database with pgvector that the whole session shares."""
    pg_server.create_database("tests", vector=True)
    return pg_server.url("tests")


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow home with nothing in it but its metadata database, to be copied."""
    home = tmp_path_factory.mktemp("airflow")
    keys = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "True"}
    argv = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(argv, env={**os.environ, **keys}, check=True, timeout=180, capture_output=True)
    return home


@pytest.fixture
def fresh_db_url(pg_server: Postgres) -> Iterator[str]:
    """libpq URL of an empty database with pgvector for one test."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    pg_server.create_database(name, vector=True)
    yield pg_server.url(name)
    pg_server.drop_database(name)


@pytest.fixture
def fresh_db(fresh_db_url: str) -> str:
    """SQLAlchemy URL of an empty database with pgvector for one test."""
    return fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1)

"""What the contract suite measures is kept for the capability table. Its servers are in tests/servers.py.

Its PostgreSQL is its own: a case restarts it, which ends every client's connection.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.postgres import Postgres
from sandbox.stack import Stack
from tests.contract.recorder import OPTION, Recorder
from tests.servers import throwaway_postgres


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Postgres]:
    """The suite's own server."""
    with throwaway_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def airflow() -> Iterator[Stack]:
    """A real Airflow with one DAG that writes."""
    from tests.contract.writers.airflow import start_airflow

    with tempfile.TemporaryDirectory(prefix="switchover-airflow-", ignore_cleanup_errors=True) as directory:
        stack = start_airflow(Path(directory))
        yield stack
        stack.close()


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Keeps what was measured; written at the end of the session if ``--capabilities`` names a file."""
    recorder = Recorder()
    yield recorder
    path = request.config.getoption(OPTION, default=None)
    if path is not None:
        recorder.write(path)

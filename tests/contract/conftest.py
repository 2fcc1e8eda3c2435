"""What the contract suite measures is kept for the capability table. Its servers are in tests/servers.py.

Its PostgreSQL is its own: a case restarts it, which ends every client's connection.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.processes.postgres import Postgres
from tests.contract.recorder import OPTION, Recorder
from tests.servers import throwaway_postgres


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Postgres]:
    """The suite's own server."""
    with throwaway_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Keeps what was measured; written at the end of the session if ``--capabilities`` names a file."""
    recorder = Recorder()
    yield recorder
    path = request.config.getoption(OPTION, default=None)
    if path is not None:
        recorder.write(path)

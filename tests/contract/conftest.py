"""What the contract suite measures is kept for the capability table. Its servers are in tests/servers.py.

Its PostgreSQL is its own: a case restarts it, which ends every client's connection.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.processes.postgres import Postgres
from switchover.edge import sql
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


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client waits as long as the product says, or a second or two."""
    for module in [each for name, each in sys.modules.items() if name.startswith("switchover.")]:
        if hasattr(module, "TIMEOUT_S"):
            monkeypatch.setattr(module, "TIMEOUT_S", 1.5)
    transaction: Any = sql.transaction
    monkeypatch.setitem(transaction.__wrapped__.__kwdefaults__, "answer_s", 2.0)

"""What the contract suite measures is kept for the capability table. Its servers are in tests/servers.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.recorder import OPTION, Recorder


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Keeps what was measured; written at the end of the session if ``--capabilities`` names a file."""
    recorder = Recorder()
    yield recorder
    path = request.config.getoption(OPTION, default=None)
    if path is not None:
        recorder.write(path)

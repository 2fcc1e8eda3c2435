"""Servers for tests: one place that decides between a skip and a failure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.keeper_client import KeeperClient
from sandbox.servers import NotHere, Server


def here(start: Callable[[KeeperClient], Server], keeper: KeeperClient) -> Server:
    """The started server. Where it cannot run the test is skipped with the reason; in CI it fails."""
    try:
        return start(keeper)
    except NotHere as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have every server: {reason}", pytrace=False)
        pytest.skip(str(reason))


@contextmanager
def short_lived_keeper() -> Iterator[KeeperClient]:
    """A keeper with a directory of its own; leaving the block ends its servers and deletes their data."""
    # A short name of our own: pytest's directories are too long for the sockets of some servers.
    with (
        tempfile.TemporaryDirectory(prefix="switchover-servers-", ignore_cleanup_errors=True) as directory,
        KeeperClient(state=Path(directory) / "state") as keeper,
    ):
        yield keeper

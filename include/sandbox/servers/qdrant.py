"""Qdrant as its own client emulates it (local mode), behind its REST interface, in one process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version

from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import Server, answers, data_directory, lasting_port, launch


def start_qdrant(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start the emulator. It takes any API key.

    Raises
        ServiceFailed  it did not start; the message ends with its log
    """
    data = data_directory(keeper, "qdrant")
    port = lasting_port()
    options = {"--port": str(port), "--data": str(data / "data")}
    return launch(
        keeper,
        name="qdrant",
        port=port,
        argv=[
            sys.executable,
            "-m",
            "sandbox.servers.qdrant_process",
            *(part for pair in options.items() for part in pair),
        ],
        connection={"conn_type": "qdrant"},
        describe=f"qdrant-client {version('qdrant-client')} local mode behind HTTP, emulator",
        data=data,
        ready=answers(f"http://{ports.HOST}:{port}/"),
        env=env,
    )

"""A real Chroma server. It has no aliases: the case for a pointer in a key-value store."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version

from sandbox.processes import ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import Server, answers, data_directory, lasting_port, launch

_MAIN = "from chromadb.cli.cli import app; app()"  # the module has no entry of its own


def start_chroma(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start it.

    Raises
        ServiceFailed  it did not start; the message ends with its log
    """
    data = data_directory(keeper, "chroma")
    port = lasting_port()
    options = {"--path": str(data / "data"), "--host": ports.HOST, "--port": str(port)}
    return launch(
        keeper,
        name="chroma",
        port=port,
        argv=[sys.executable, "-c", _MAIN, "run", *(part for pair in options.items() for part in pair)],
        connection={"conn_type": "http", "schema": "http"},
        describe=f"Chroma {version('chromadb')}, real server",
        data=data,
        ready=answers(f"http://{ports.HOST}:{port}/api/v2/heartbeat"),
        env={**(env if env is not None else base_environment()), "ANONYMIZED_TELEMETRY": "False"},
    )

"""A real etcd, from the system's package or as ``make servers`` unpacked it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from sandbox.errors import NotHere
from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import FETCHED, Server, answers, data_directory, lasting_port, launch, output_of

UNPACKED = FETCHED / "etcd" / "usr" / "bin" / "etcd"


def binary() -> str:
    """Path of etcd: on the PATH, or where ``make servers`` has put it.

    Raises
        NotHere  neither has it
    """
    found = shutil.which("etcd") or (str(UNPACKED) if os.access(UNPACKED, os.X_OK) else None)
    if found is None:
        raise NotHere("etcd: not on the PATH and not fetched; run `make servers`, or install the package etcd-server")
    return found


def start_etcd(keeper: KeeperClient, *, name: str = "etcd", env: Mapping[str, str] | None = None) -> Server:
    """Start a single member. The JSON gateway (``/v3/kv/range``, ``put``, ``txn``) and gRPC share one port.

    Raises
        NotHere        there is no etcd on this machine
        ServiceFailed  it did not start; the message ends with its log
    """
    program = binary()
    version = output_of(program, "--version").split()[2]
    data = data_directory(keeper, name)
    port, peer = lasting_port(), lasting_port()
    client_url, peer_url = f"http://{ports.HOST}:{port}", f"http://{ports.HOST}:{peer}"
    options = {
        "name": "sandbox",
        "data-dir": data / "member",
        "listen-client-urls": client_url,
        "advertise-client-urls": client_url,
        "listen-peer-urls": peer_url,
        "initial-advertise-peer-urls": peer_url,
        "initial-cluster": f"sandbox={peer_url}",
        "logger": "zap",
        # A single member elects itself after a restart: do not wait a second for others.
        "heartbeat-interval": 10,
        "election-timeout": 100,
    }
    return launch(
        keeper,
        name=name,
        port=port,
        argv=[program, *(f"--{name}={value}" for name, value in options.items())],
        connection={"conn_type": "http", "schema": "http"},
        describe=f"etcd {version}, real server",
        data=data,
        ready=answers(f"{client_url}/health"),
        env=env,
    )

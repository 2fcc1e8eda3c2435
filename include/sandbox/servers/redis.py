"""A real Redis or Valkey, from the system's package or as ``make servers`` unpacked it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from sandbox.errors import NotHere
from sandbox.processes import ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import FETCHED, Server, data_directory, lasting_port, launch

UNPACKED = FETCHED / "redis"
#: What ``make servers`` unpacks: the server is in the first two, the others are its libraries.
PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1")


def binary() -> str:
    """Path of the server: on the PATH, or where ``make servers`` has put it.

    Raises
        NotHere  neither has it
    """
    fetched = UNPACKED / "usr" / "bin" / "redis-server"
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    found = found or (str(fetched) if os.access(fetched, os.X_OK) else None)
    if found is None:
        raise NotHere(
            "redis: neither valkey-server nor redis-server is on the PATH, and none is fetched; run `make servers`,"
            " or install the package valkey-server or redis-server"
        )
    return found


def start_redis(keeper: KeeperClient, *, name: str = "redis", env: Mapping[str, str] | None = None) -> Server:
    """Start one. It writes every change to its log, so an orderly restart keeps all.

    Raises
        NotHere        there is none on this machine
        ServiceFailed  it did not start; the message ends with its log
    """
    program = binary()
    data = data_directory(keeper, name)
    port = lasting_port()
    environment = dict(env if env is not None else base_environment())
    if Path(program).is_relative_to(UNPACKED):
        environment["LD_LIBRARY_PATH"] = ":".join(str(path) for path in sorted(UNPACKED.glob("usr/lib/*-linux-*")))
    options = {"bind": ports.HOST, "port": port, "dir": data, "appendonly": "yes", "save": "", "daemonize": "no"}
    return launch(
        keeper,
        name=name,
        port=port,
        argv=[program, *(word for option, value in options.items() for word in (f"--{option}", str(value)))],
        connection={"conn_type": "redis", "extra": {"db": 0}},
        describe=f"{Path(program).name.removesuffix('-server')}, real server",
        data=data,
        ready=lambda: _pong(port),
        env=environment,
    )


def _pong(port: int) -> bool:
    try:
        with socket.create_connection((ports.HOST, port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

"""A real PgBouncer before a PostgreSQL, from the system's package or as ``make servers`` unpacked it.

In transaction mode with two server connections: whatever a client leaves behind, another client finds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg

from sandbox.errors import NotHere
from sandbox.processes import accounts, ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.processes.postgres import USER, Postgres
from sandbox.servers.base import FETCHED, Server, data_directory, lasting_port, launch, output_of

UNPACKED = FETCHED / "pgbouncer"
#: What ``make servers`` unpacks: the server is in the first, the others are its libraries.
PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2")


def binary() -> str:
    """Path of the server: on the PATH, or where ``make servers`` has put it.

    Raises
        NotHere  neither has it
    """
    fetched = UNPACKED / "usr" / "sbin" / "pgbouncer"
    found = shutil.which("pgbouncer") or (str(fetched) if os.access(fetched, os.X_OK) else None)
    if found is None:
        raise NotHere(
            "pgbouncer: not on the PATH and not fetched; run `make servers`, or install the package pgbouncer"
        )
    return found


def start_pgbouncer(keeper: KeeperClient, server: Postgres) -> Server:
    """Start one before every database of ``server``; who may open its port is logged in as the superuser.

    Raises
        NotHere        there is none on this machine
        ServiceFailed  it did not start; the message ends with its log
    """
    program = binary()
    environment = dict(base_environment())
    if Path(program).is_relative_to(UNPACKED):
        environment["LD_LIBRARY_PATH"] = ":".join(str(path) for path in sorted(UNPACKED.glob("usr/lib/*-linux-*")))
    data = data_directory(keeper, "pgbouncer")
    port = lasting_port()
    settings = {
        "listen_addr": ports.HOST,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 2,
        "max_client_conn": 200,
    }
    lines = ["[databases]", f"* = host={server.socket_dir} user={USER}", "[pgbouncer]"]
    config = data / "pgbouncer.ini"
    config.write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items()), ""]))
    account = accounts.unprivileged()  # PgBouncer refuses to run as root
    if account:
        for path in (config, data):
            accounts.give(path, account)
        for path in (Path(program), keeper.state):
            accounts.let_pass(path)
    return launch(
        keeper,
        name="pgbouncer",
        port=port,
        argv=[program, str(config)],
        connection={"conn_type": "postgres", "login": USER, "schema": "postgres"},
        describe=f"{' '.join(output_of('env', *_given(environment), program, '--version').split()[:2])}, real server",
        data=data,
        ready=lambda: _answers(port),
        env=environment,
        user=account,
    )


def _given(environment: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items() if name == "LD_LIBRARY_PATH"]


def _answers(port: int) -> bool:
    try:
        psycopg.connect(host=ports.HOST, port=port, user=USER, dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True

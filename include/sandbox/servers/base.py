"""What every server has in common: where it is, how Airflow names it, and that it can stop and start again."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sandbox.errors import SandboxError
from sandbox.processes import ports
from sandbox.processes.airflow_home import REPOSITORY, base_environment
from sandbox.processes.keeper_client import KeeperClient, Spec

# What ``make servers`` fetched; one folder a server.
FETCHED = REPOSITORY / ".servers"
_START_S = 120.0  # seconds on a busy machine; idle it is 0.2 to 5


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server on this machine's loopback address.

    ``connection``: conn_type, host, port, login, password, schema, extra, in the words of an Airflow
    connection. ``describe``: name and version, and whether it is the real server or an emulator.
    ``data``: its directory; it survives ``restart`` and lives as long as the keeper's state directory.
    """

    name: str
    port: int
    connection: Mapping[str, Any]
    describe: str
    data: Path
    keeper: KeeperClient = field(repr=False)
    spec: Spec = field(repr=False)
    ready: Callable[[], bool] = field(repr=False)
    start_s: float = field(default=_START_S, repr=False)

    @property
    def host(self) -> str:
        """Always the loopback address."""
        return ports.HOST

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """``http://host:port``."""
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        """The server's process; another one after a restart."""
        return self.keeper.pids()[self.name]

    def airflow_connection(self) -> str:
        """The connection as the JSON text of an ``AIRFLOW_CONN_*`` variable."""
        return json.dumps(self.connection)

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises
            ServiceFailed  it ended, or was not ready in time; the message ends with its log
        """
        self.keeper.start(self.spec)
        self.keeper.wait_ready(self.name, self.ready, timeout=self.start_s)

    def stop(self) -> None:
        """Stop it in an orderly way; its data stays."""
        self.keeper.stop(self.name)

    def restart(self) -> None:
        """Stop it and start it again on the same port with the same data."""
        self.stop()
        self.start()


def launch(
    keeper: KeeperClient,
    *,
    name: str,
    port: int,
    argv: Sequence[str],
    connection: Mapping[str, Any],
    describe: str,
    data: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    start_s: float = _START_S,
    stop_signal: str = "SIGTERM",
    user: str | None = None,
) -> Server:
    """Start a server as the keeper's child and wait until it answers.

    ``env``: replaces the sandbox's environment. ``start_s``: seconds that it has to become ready. ``user``: run
    it as another account (only root can).
    """
    server = Server(
        name=name,
        port=port,
        connection={"host": ports.HOST, "port": port, **connection},
        describe=describe,
        data=data,
        keeper=keeper,
        spec=Spec(
            name=name,
            argv=argv,
            env=env if env is not None else base_environment(),
            cwd=str(data),
            stop_signal=stop_signal,
            user=user,
        ),
        ready=ready,
        start_s=start_s,
    )
    server.start()
    return server


def data_directory(keeper: KeeperClient, name: str) -> Path:
    """The server's own directory below the keeper's state directory, closed to others."""
    path = keeper.state / name
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def lasting_port() -> int:
    """A free port that stays free while its server restarts.

    Out of the range from which the system takes the near end of an outgoing connection: a client that
    tries again while the server is down could otherwise be given the server's own port, and keep it.
    """
    for port in random.sample(range(15_000, 32_000), 1_000):
        if ports.is_free(port):
            return port
    raise SandboxError("no free port from 15000 to 31999")


def answers(url: str) -> Callable[[], bool]:
    """A ready check: the address answers with success."""

    def check() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).is_success
        except httpx.TransportError:
            return False

    return check


def output_of(*argv: str) -> str:
    """What a short command prints, both streams."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.stdout

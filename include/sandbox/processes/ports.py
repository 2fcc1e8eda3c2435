"""Local TCP ports: is one free, and if not, who has it."""

from __future__ import annotations

import contextlib
import socket

import psutil

from sandbox.errors import PortTaken

HOST = "127.0.0.1"


def host() -> str:
    """The name under which the sandbox's processes know this machine; no name server is asked."""
    return HOST


def is_free(port: int) -> bool:
    """True if a server could listen on the port now; connections that are only closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, *, variable: str) -> None:
    """Refuse a taken port in one line that names its owner.

    Raises
        PortTaken  with the owner's pid and name where the system tells them
    """
    if not 0 < port < 65536:
        raise PortTaken(f"{variable}={port} is no port; allowed: 1 to 65535")
    if is_free(port):
        return
    raise PortTaken(f"port {port} on {HOST} is taken{_owner(port)}; free it or set {variable}=<another port>")


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # the list, or this process, may be another user's
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f" by pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""

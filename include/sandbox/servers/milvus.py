"""The server of Milvus Lite: Milvus' own single-process engine behind its gRPC interface, with aliases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version

from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import Server, data_directory, lasting_port, launch


def start_milvus(keeper: KeeperClient, *, env: Mapping[str, str] | None = None) -> Server:
    """Start it; clients connect to ``Server.url``.

    Raises
        ServiceFailed  it did not start; the message ends with its log
    """
    data = data_directory(keeper, "milvus")
    port = lasting_port()
    options = {"--data-dir": str(data / "data"), "--host": ports.HOST, "--port": str(port)}
    return launch(
        keeper,
        name="milvus",
        port=port,
        argv=[sys.executable, "-m", "milvus_lite", "server", *(part for pair in options.items() for part in pair)],
        connection={"conn_type": "generic"},
        describe=f"Milvus Lite {version('milvus-lite')}, real server",
        data=data,
        ready=_serves_grpc(port),
        env=env,
        stop_signal="SIGINT",  # the one on which it closes its files
    )


def _serves_grpc(port: int) -> Callable[[], bool]:
    import grpc  # type: ignore[import-untyped]

    def check() -> bool:
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(f"{ports.HOST}:{port}", options=options) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=1.0)
            except grpc.FutureTimeoutError:
                return False
            return True

    return check

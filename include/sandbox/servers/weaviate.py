"""A real Weaviate, a single node, as ``python -m sandbox.servers.weaviate_build`` built it from its Go module."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sandbox.errors import NotHere
from sandbox.processes import ports
from sandbox.processes.airflow_home import base_environment
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers.base import FETCHED, Server, answers, data_directory, lasting_port, launch

VERSION = "1.35.2"
BUILT = FETCHED / "weaviate" / "weaviate-server"


def is_built() -> bool:
    """Whether the program is here."""
    return os.access(BUILT, os.X_OK)


def start_weaviate(
    keeper: KeeperClient,
    *,
    name: str = "weaviate",
    settings: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
) -> Server:
    """Start it. Without ``settings`` (more environment variables) anybody may do anything.

    Raises
        NotHere        it was not built on this machine
        ServiceFailed  it did not start; the message ends with its log
    """
    if not is_built():
        raise NotHere("weaviate: not built; `python -m sandbox.servers.weaviate_build` builds it in some minutes")
    data = data_directory(keeper, name)
    port, grpc_port, gossip, cluster, raft, rpc = (lasting_port() for _ in range(6))
    own = {
        "PERSISTENCE_DATA_PATH": data / "data",
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
        "CLUSTER_HOSTNAME": "sandbox",
        "CLUSTER_ADVERTISE_ADDR": ports.HOST,
        "CLUSTER_BIND_ADDR": ports.HOST,
        "CLUSTER_GOSSIP_BIND_PORT": gossip,
        "CLUSTER_DATA_BIND_PORT": cluster,
        "RAFT_PORT": raft,
        "RAFT_INTERNAL_RPC_PORT": rpc,
        "RAFT_BOOTSTRAP_EXPECT": 1,
        "GRPC_PORT": grpc_port,
        "DISABLE_TELEMETRY": "true",
        "GO_PROFILING_DISABLE": "true",
        **(settings or {}),
    }
    return launch(
        keeper,
        name=name,
        port=port,
        argv=[str(BUILT), "--host", ports.HOST, "--port", str(port), "--scheme", "http"],
        connection={"conn_type": "weaviate", "extra": {"grpc_port": grpc_port}},
        describe=f"Weaviate {VERSION}, real server",
        data=data,
        ready=answers(f"http://{ports.HOST}:{port}/v1/.well-known/ready"),
        env={**(env if env is not None else base_environment()), **{key: str(value) for key, value in own.items()}},
    )

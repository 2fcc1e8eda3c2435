"""The Service's data plane: a real Envoy follows the EndpointSlices of a Kubernetes API, real or emulated."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import httpx
from tests.sandbox.test_alb_data_plane import BLUE, GREEN, answered_while_moved, services
from tests.servers import here, short_lived_keeper

from sandbox.demo.planes.k8s_service import create_service, pod_of
from sandbox.processes.keeper_client import Spec
from sandbox.servers import Server
from sandbox.servers.alb_data_plane import start_proxy
from sandbox.servers.base import lasting_port
from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers.k8s_service import ServiceSpec

SPEC = ServiceSpec(
    kind="k8s_service",
    connection="cluster",
    namespace="data-plane",
    service="docs",
    targets={BLUE: {"app": "docs", "arm": "blue"}, GREEN: {"app": "docs", "arm": "green"}},
)


async def test_every_request_is_answered_by_one_arm_while_the_selector_moves(kubernetes_api: Server) -> None:
    connection = Connection(id="cluster", **kubernetes_api.connection)
    create_service(clients.kubernetes(connection), SPEC, live=BLUE)
    edge = Edge(connections=lambda conn_id: connection)
    pointer = SPEC.build(edge)
    ports, port = {BLUE: lasting_port(), GREEN: lasting_port()}, lasting_port()
    pods = [f"--pod={pod_of(arm)}={number}" for arm, number in ports.items()]
    place = ["--connection", "cluster", "--namespace", SPEC.namespace, "--service", SPEC.service]
    with short_lived_keeper() as keeper:
        proxy = here(lambda keeper: start_proxy(keeper, port=port), keeper)
        argv = [sys.executable, "-m", "sandbox.servers.k8s_data_plane", *place, *pods, "--out", str(proxy.data)]
        text = json.dumps({**kubernetes_api.connection})
        env = {**os.environ, "AIRFLOW_CONN_CLUSTER": text, "PYTHONPATH": "include"}
        keeper.start(Spec(name="follower", argv=argv, env=env, cwd=str(Path.cwd())))
        async with services(ports), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            seen = await answered_while_moved(client, pointer, moves=4)
    edge.close()
    assert set(seen) == {BLUE, GREEN}
    assert sum(seen.values()) > 100

"""``POINTER=k8s_service``: a Kubernetes Service's selector chooses between two services, one an arm.

The API is a real API server where one has been built, otherwise our emulator. There are no nodes: each pod is an
entry that says it is ready, and stands for a service on this machine. The proxy that follows the EndpointSlices and
the traffic through it are real (``sandbox.servers.k8s_data_plane``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.demo.planes.two_services import TwoServices
from sandbox.servers import start_kubernetes_api
from switchover.edge import clients
from switchover.edge.connection import environment_connections
from switchover.pointers.k8s_service import ServiceSpec

JSON, MERGE = "application/json", "application/merge-patch+json"
NODE = "sandbox"


class KubernetesPlane(TwoServices):
    """A Service, and a pod an arm; Envoy forwards to the pods that its EndpointSlices name."""

    file = "docs_k8s.yaml"
    connections = ("docs_k8s", "docs_v1_service", "docs_v2_service")
    made = ("kubernetes", "envoy")

    def start_servers(self) -> None:
        """See :class:`DataPlane`."""
        self._start_server("Kubernetes API", start_kubernetes_api, "docs_k8s")
        self.place_services()

    def create_pointer(self, target: str) -> None:
        """See :class:`DataPlane`."""
        spec = self.plan.pointer
        assert isinstance(spec, ServiceSpec)
        connection = environment_connections(self.stack.environment())(spec.connection)
        create_service(clients.kubernetes(connection), spec, live=target)

    def follower(self, out: Path) -> tuple[str, Sequence[str]]:
        """See :class:`TwoServices`."""
        spec = self.plan.pointer
        assert isinstance(spec, ServiceSpec)
        pods = [f"--pod={pod_of(arm)}={port}" for arm, port in self._ports.items()]
        place = ("--connection", spec.connection, "--namespace", spec.namespace, "--service", spec.service)
        return "sandbox.servers.k8s_data_plane", (*place, *pods, "--out", str(out))


def pod_of(arm: str) -> str:
    """The name of an arm's pod."""
    return arm.replace("_", "-") + "-0"


def create_service(client: Any, spec: ServiceSpec, *, live: str) -> None:
    """A node that is only a name, a namespace, a ready pod an arm, and the Service on the live arm's pod."""
    _call(client, "POST", "/api/v1/nodes", {"metadata": {"name": NODE}, "spec": {"unschedulable": True}})
    _call(client, "POST", "/api/v1/namespaces", {"metadata": {"name": spec.namespace}})
    within = f"/api/v1/namespaces/{spec.namespace}"
    container = {"name": "docs", "image": "docs", "ports": [{"name": "http", "containerPort": 8080}]}
    for number, (arm, labels) in enumerate(spec.targets.items(), start=1):
        metadata, address = {"name": pod_of(arm), "labels": labels}, f"10.9.0.{number}"
        _call(client, "POST", f"{within}/pods", {"metadata": metadata, "spec": _pod(container)})
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
        _call(client, "PATCH", f"{within}/pods/{pod_of(arm)}/status", {"status": status}, MERGE)
    service = {"selector": spec.targets[live], "ports": [{"port": 80, "targetPort": "http"}]}
    _call(client, "POST", f"{within}/services", {"metadata": {"name": spec.service}, "spec": service})


def _pod(container: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [container], "nodeName": NODE}


def _call(client: Any, method: str, path: str, body: Any, content: str = JSON) -> None:
    client.call_api(
        path,
        method,
        header_params={"Content-Type": content, "Accept": JSON},
        body=body,
        response_types_map=dict.fromkeys((200, 201), "object"),
        auth_settings=["BearerToken"],
        _return_http_data_only=True,
        _request_timeout=10,
    )

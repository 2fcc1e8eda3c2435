"""What the nodes' proxies do with requests to a Kubernetes Service: a real Envoy that follows its EndpointSlices.

The sandbox's cluster has no nodes. ``python -m sandbox.servers.k8s_data_plane`` looks every 50 ms at which pods a
Service's EndpointSlices name as ready, and gives Envoy a route to them; ``--pod NAME=PORT`` says which process of this
machine a pod stands for. Without an answer of the API the last routes stay, as on a node.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import urllib3

from sandbox.processes import ports
from sandbox.servers.alb_data_plane import cluster, forward, look_until_ended
from sandbox.servers.envoy import CLUSTER_TYPE, CLUSTERS, ROUTES, ROUTES_TYPE, publish, routes
from switchover.edge import clients
from switchover.edge.connection import environment_connections
from switchover.errors import SwitchoverError

SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


class Endpoints:
    """The ready pods of one Service."""

    def __init__(self, *, client: Any, namespace: str, service: str) -> None:
        self._client = client
        self._path = SLICES.format(namespace)
        self._query = [("labelSelector", f"kubernetes.io/service-name={service}")]

    def pods(self) -> list[str]:
        """Their names, each once, in order."""
        found = self._client.call_api(
            self._path,
            "GET",
            query_params=self._query,
            header_params={"Accept": "application/json"},
            response_types_map={200: "object"},
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=5,
        )
        endpoints = [each for slice_ in found["items"] for each in slice_.get("endpoints") or []]
        return sorted({each["targetRef"]["name"] for each in endpoints if each["conditions"]["ready"]})


class Follower:
    """Publishes Envoy's routes, when the Service has other ready pods than before."""

    def __init__(self, *, endpoints: Endpoints, ports_of: Mapping[str, int], out: Path) -> None:
        self._endpoints = endpoints
        self._ports = ports_of
        self._out = out
        self._pods: list[str] | None = None

    def begin(self) -> None:
        """Publish a cluster for each pod that there may be, one look before the first route."""
        clusters = [cluster(pod, [(ports.HOST, port)]) for pod, port in self._ports.items()]
        publish(self._out / CLUSTERS, CLUSTER_TYPE, clusters)

    def look(self) -> None:
        """Look once. A Service without a ready pod answers 503."""
        pods = [pod for pod in self._endpoints.pods() if pod in self._ports]
        if pods != self._pods:
            self._pods = pods
            publish(self._out / ROUTES, ROUTES_TYPE, [routes(forward(dict.fromkeys(pods, 1)))])


def main() -> None:
    """Follow until SIGTERM or SIGINT; an API that does not answer is asked again."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servers.k8s_data_plane", description="Follow a Service.")
    parser.add_argument("--connection", required=True, help="id of the kubernetes connection (AIRFLOW_CONN_<ID>)")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--pod", action="append", required=True, metavar="NAME=PORT", help="what a pod stands for")
    parser.add_argument("--out", type=Path, required=True, help="Envoy's directory")
    args = parser.parse_args()
    try:
        client = clients.kubernetes(environment_connections()(args.connection))
    except SwitchoverError as error:
        sys.exit(f"k8s_data_plane: {error}")
    named = {name: int(port) for name, _, port in (each.partition("=") for each in args.pod)}
    endpoints = Endpoints(client=client, namespace=args.namespace, service=args.service)
    follower = Follower(endpoints=endpoints, ports_of=named, out=args.out)
    follower.begin()
    look_until_ended(follower.look, silence=(client_error(), urllib3.exceptions.HTTPError), name="k8s_data_plane")


def client_error() -> type[Exception]:
    """What the client raises for an answer that is none; imported late, as the client is large."""
    from kubernetes.client.exceptions import ApiException

    found: type[Exception] = ApiException
    return found


if __name__ == "__main__":
    main()

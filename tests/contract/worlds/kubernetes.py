"""A namespace with two arms in a Kubernetes cluster: a Service, a pair of Ingresses, or an HTTPRoute before them.

No pod runs here: each is bound to a node that is only a name, and the world says in its status that it is ready.
The EndpointSlices are the cluster's own controller's.
"""

from __future__ import annotations

import itertools
import json
import time
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.pointers.k8s_ingress import CANARY, WEIGHT
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, NotApplicable, Place, World

JSON, MERGE = "application/json", "application/merge-patch+json"
SERVICES, PODS, SLICES = "/api/v1 services", "/api/v1 pods", "/apis/discovery.k8s.io/v1 endpointslices"
INGRESSES = "/apis/networking.k8s.io/v1 ingresses"
ROUTES = "/apis/gateway.networking.k8s.io/v1 httproutes"
ELSEWHERE = "elsewhere"
NODE = "switchover-nowhere"
_addresses = itertools.count(1)


class KubernetesPlace(Place):
    """A namespace of its own."""

    fixture = "kubernetes_api"

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @cached_property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.server.connection["extra"]["kube_config"])
        return config

    @property
    def address(self) -> tuple[str, int]:
        return self.server.connection["host"], self.server.connection["port"]

    def connection(self, address: tuple[str, int] | str) -> Connection:
        config = json.loads(json.dumps(self.config))
        cluster = config["clusters"][0]["cluster"]
        there = urlsplit(cluster["server"])
        cluster["server"] = f"{there.scheme}://{address[0]}:{address[1]}"
        cluster["tls-server-name"] = there.hostname  # a certificate names the server, not the proxy before it
        return Connection(id=CONNECTION, conn_type="kubernetes", extra={"kube_config": json.dumps(config)})

    @cached_property
    def client(self) -> Any:
        return clients.kubernetes(self.connection(self.address))

    def call(self, method: str, path: str, body: Any = None, content: str = JSON, **query: str) -> Any:
        return self.client.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Content-Type": content, "Accept": JSON},
            body=body,
            response_types_map=dict.fromkeys((200, 201, 202), "object"),
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=10,
        )

    def path(self, kind: str, name: str = "") -> str:
        root, plural = kind.split()
        return f"{root}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def get(self, kind: str, name: str) -> Any:
        return self.call("GET", self.path(kind, name))

    def create(self, kind: str, name: str, spec: Any, **metadata: Any) -> Any:
        body = {"metadata": {"name": name, **metadata}, "spec": spec}
        if kind == ROUTES:  # only what comes from a definition must say what it is
            body |= {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
        return self.call("POST", self.path(kind), body)

    def merge(self, kind: str, name: str, change: Any) -> Any:
        """A patch as people make it: without a look before."""
        return self.call("PATCH", self.path(kind, name), change, MERGE)

    def delete(self, kind: str, name: str) -> None:
        self.call("DELETE", self.path(kind, name))

    def delete_pod(self, name: str) -> None:
        """At once: on a node that is only a name nobody would end it."""
        self.call("DELETE", self.path(PODS, name), gracePeriodSeconds="0")

    def set_up(self) -> None:
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        self.make()

    @abstractmethod
    def make(self) -> None:
        """Create what the test is about."""

    def tear_down(self) -> None:
        for pod in self.call("GET", self.path(PODS))["items"]:
            self.delete_pod(pod["metadata"]["name"])
        self.call("DELETE", f"/api/v1/namespaces/{self.name}")
        self.client.close()

    def wait(self, until: Callable[[], bool]) -> None:
        """The cluster's controllers follow by themselves."""
        deadline = time.monotonic() + 20
        while not until():
            assert time.monotonic() < deadline, "the cluster's controllers did not follow"
            time.sleep(0.02)

    def restart(self) -> None:
        if not hasattr(self.server, "restart"):
            raise NotApplicable("the cluster that KUBECONFIG names is not ours to restart")
        self.server.restart()


class KubernetesWorld(KubernetesPlace, World):
    """What the three pointers share. Each arm has one pod, with the labels ``app: docs`` and ``arm: <arm>``."""

    def set_up(self) -> None:
        self.ensure_node()
        super().set_up()

    def ensure_node(self) -> None:
        """EndpointSlices name only pods of nodes that are there."""
        if NODE not in {each["metadata"]["name"] for each in self.call("GET", "/api/v1/nodes")["items"]}:
            self.call("POST", "/api/v1/nodes", {"metadata": {"name": NODE}, "spec": {"unschedulable": True}})

    def make(self) -> None:
        """Create the pods of both arms; each kind adds the pointer, on Blue, and what it needs."""
        for arm in (BLUE, GREEN):
            self.add_pod(arm)

    def add_pod(self, arm: str, **metadata: Any) -> None:
        container = {"name": "docs", "image": "docs", "ports": [{"name": "http", "containerPort": 8080}]}
        spec = {"containers": [container], "nodeName": NODE}
        name = pod_of(arm)
        self.create(PODS, name, spec, labels={"app": "docs", "arm": label(arm)}, **metadata)
        self.set_ready(arm, True)

    def set_ready(self, arm: str, ready: bool) -> None:
        address = f"10.9.{arm == GREEN:d}.{next(_addresses) % 250 + 1}"
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        self.merge(PODS, f"{pod_of(arm)}/status", {"status": status})

    def planted(self, kind: str, name: str) -> Callable[[], object]:
        """See ``plant``: a copy of the pointer's object under the name of its rehearsal."""
        found = self.get(kind, name)
        spec = {key: value for key, value in found["spec"].items() if not key.startswith("clusterIP")}
        self.create(kind, f"{name}-rehearsal", spec)
        return lambda: self.get(kind, f"{name}-rehearsal")["metadata"]["uid"]

    def add_service(self, name: str, selector: dict[str, str], **spec: Any) -> None:
        ports = [{"port": 80, "targetPort": "http"}]
        self.create(SERVICES, name, {"selector": selector, "ports": ports, **spec})

    def ready_pods(self, service: str) -> set[str]:
        """The pods that a Service sends requests to, by its EndpointSlices."""
        slices = self.call("GET", self.path(SLICES), labelSelector=f"kubernetes.io/service-name={service}")
        endpoints = [each for slice_ in slices["items"] for each in slice_.get("endpoints") or []]
        return {each["targetRef"]["name"] for each in endpoints if each["conditions"]["ready"]}


class ServiceWorld(KubernetesWorld):
    kind = "k8s_service"
    arms: tuple[str, ...] = (BLUE, GREEN)  # whose pods are there

    def make(self) -> None:
        super().make()
        self.add_service("docs", self.selector(BLUE))

    def labels(self, arm: str) -> dict[str, str]:
        """Of the arm's pod. Read by its name: a list would wait for the API server's cache, up to 0.1 s."""
        found: dict[str, str] = self.get(PODS, pod_of(arm))["metadata"]["labels"]
        return found

    def selector(self, arm: str) -> dict[str, str]:
        return {"app": "docs", "arm": label(arm)}

    def spec(self) -> dict[str, Any]:
        targets = {arm: self.selector(arm) for arm in (BLUE, GREEN, ELSEWHERE)}
        return {"namespace": self.name, "service": "docs", "targets": targets}

    def serve(self) -> frozenset[str]:
        """The arms whose pods the selector takes. That EndpointSlices follow is in test_k8s_service.py."""
        selector = self.get(SERVICES, "docs")["spec"]["selector"]
        return frozenset(arm for arm in self.arms if selector.items() <= self.labels(arm).items())

    def move(self, target: str) -> None:
        self.merge(SERVICES, "docs", {"spec": {"selector": self.selector(target)}})

    def plant(self) -> Callable[[], object]:
        return self.planted(SERVICES, "docs")

    def remove(self) -> None:
        self.delete(SERVICES, "docs")

    def spoil(self, target: str, how: str) -> None:
        if how == "empty":
            raise NotApplicable("a selector takes pods or none: none is `missing`")
        if how == "missing":
            self.arms = tuple(arm for arm in self.arms if arm != target)
            self.delete_pod(pod_of(target))
        else:
            self.set_ready(target, False)


class RoutedWorld(KubernetesWorld):
    """Each arm has a Service of its own, named as the arm's pod."""

    def make(self) -> None:
        super().make()
        for arm in (BLUE, GREEN):
            self.add_service(pod_of(arm), {"arm": label(arm)})
        for arm in (BLUE, GREEN):
            self.wait(lambda arm=arm: self.ready_pods(pod_of(arm)) == {pod_of(arm)})

    def spoil(self, target: str, how: str) -> None:
        if how == "missing":
            self.delete(SERVICES, pod_of(target))
            return
        if how == "empty":
            self.delete_pod(pod_of(target))
        else:
            self.set_ready(target, False)
        self.wait(lambda: not self.ready_pods(pod_of(target)))


class IngressWorld(RoutedWorld):
    kind = "k8s_ingress"

    def make(self) -> None:
        super().make()
        self.add_ingress("main", BLUE)
        self.add_ingress("canary", GREEN, annotations={CANARY: "true", WEIGHT: "0"})

    def add_ingress(self, name: str, arm: str, **metadata: Any) -> None:
        backend = {"service": {"name": pod_of(arm), "port": {"number": 80}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        spec = {"ingressClassName": "nginx", "rules": [{"host": "docs.example", "http": {"paths": paths}}]}
        self.create(INGRESSES, name, spec, **metadata)

    def spec(self) -> dict[str, Any]:
        return {"namespace": self.name, "targets": {BLUE: "main", GREEN: "canary", ELSEWHERE: "elsewhere"}}

    def serve(self) -> frozenset[str]:
        """Where the controller may send a request: it draws a number from 1 to 100 against the weight."""
        weight = int(self.get(INGRESSES, "canary")["metadata"]["annotations"][WEIGHT])
        return frozenset([*([GREEN] if weight > 0 else []), *([BLUE] if weight < 100 else [])])

    def move(self, target: str) -> None:
        weight = {BLUE: "0", GREEN: "100"}[target]
        self.merge(INGRESSES, "canary", {"metadata": {"annotations": {WEIGHT: weight}}})

    def plant(self) -> Callable[[], object]:
        return self.planted(INGRESSES, "canary")

    def remove(self) -> None:
        self.delete(INGRESSES, "canary")


class HttpRouteWorld(RoutedWorld):
    kind = "k8s_httproute"

    def make(self) -> None:
        super().make()
        self.create(ROUTES, "docs", {"rules": [{"backendRefs": self.backends(BLUE)}]})

    def backends(self, live: str) -> list[dict[str, Any]]:
        arms = (BLUE, GREEN, ELSEWHERE)
        return [{"name": pod_of(arm), "port": 80, "weight": 100 if arm == live else 0} for arm in arms]

    def spec(self) -> dict[str, Any]:
        targets = {arm: pod_of(arm) for arm in (BLUE, GREEN, ELSEWHERE)}
        return {"namespace": self.name, "route": "docs", "targets": targets}

    def serve(self) -> frozenset[str]:
        backends = self.get(ROUTES, "docs")["spec"]["rules"][0]["backendRefs"]
        return frozenset(
            arm for arm in (BLUE, GREEN) for each in backends if each["name"] == pod_of(arm) and each["weight"]
        )

    def move(self, target: str) -> None:
        self.merge(ROUTES, "docs", {"spec": {"rules": [{"backendRefs": self.backends(target)}]}})

    def plant(self) -> Callable[[], object]:
        return self.planted(ROUTES, "docs")

    def remove(self) -> None:
        self.delete(ROUTES, "docs")


def label(arm: str) -> str:
    """A label's value may not be any text; an arm's name may."""
    return arm.replace("_", "-")


def pod_of(arm: str) -> str:
    return f"docs-{label(arm).removeprefix('docs-')}"

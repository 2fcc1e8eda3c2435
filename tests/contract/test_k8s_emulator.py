"""Our emulator of the Kubernetes API answers as a real API server does, for every kind of request the pointers make."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiException

from sandbox.servers import start_kubernetes_api
from tests.contract.worlds.kubernetes import INGRESSES, JSON, MERGE, NODE, PODS, ROUTES, SERVICES, SLICES, ServiceWorld
from tests.servers import short_lived_keeper

PATCH = "application/json-patch+json"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SERVICE = {"metadata": {"name": "docs"}, "spec": {"selector": {"arm": "blue"}, "ports": [{"port": 80}]}}
CONTAINER = {"name": "docs", "image": "docs"}
POD = {"metadata": {"name": "pod", "labels": {"arm": "blue"}}, "spec": {"nodeName": NODE, "containers": [CONTAINER]}}
READY = {"podIP": "10.9.0.1", "podIPs": [{"ip": "10.9.0.1"}], "conditions": [{"type": "Ready", "status": "True"}]}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "docs"},
    "spec": {"rules": [{"backendRefs": [{"name": "docs", "port": 80}]}]},
}
ROLE = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}]}
BINDING = {
    "metadata": {"name": "r"},
    "subjects": [{"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}],
    "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
}


def operations(*words: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(("op", "path", "value"), each, strict=False)) for each in words]


#: What is asked, in this order: method, path below the namespace, body, content type.
STEPS: list[tuple[str, str, Any, str]] = [
    ("POST", SERVICES, SERVICE, JSON),
    ("POST", SERVICES, SERVICE, JSON),
    ("GET", f"{SERVICES} docs", None, JSON),
    ("GET", f"{SERVICES} nosuch", None, JSON),
    ("GET", "/apis/nosuch.example/v1 things docs", None, JSON),
    ("PATCH", f"{SERVICES} docs", operations(("test", "/metadata/resourceVersion", "0")), PATCH),
    ("PATCH", f"{SERVICES} docs", operations(("test", "/spec/selector", {"arm": "green"})), PATCH),
    ("PATCH", f"{SERVICES} docs", operations(("test", "/metadata/annotations/a~1b", "1")), PATCH),
    ("PATCH", f"{SERVICES} docs", operations(("replace", "/metadata/annotations/a~1b", "1")), PATCH),
    ("PATCH", f"{SERVICES} docs", operations(("replace", "/metadata/resourceVersion", "1")), PATCH),
    ("PATCH", f"{SERVICES} nosuch", operations(("test", "/spec/selector", {})), PATCH),
    (
        "PATCH",
        f"{SERVICES} docs",
        operations(("test", "/spec/selector", {"arm": "blue"}), ("add", "/metadata/annotations", {"a/b": "1"})),
        PATCH,
    ),
    ("PATCH", f"{SERVICES} docs", operations(("add", "/metadata/annotations/a~1b", "2")), PATCH),
    ("PATCH", f"{SERVICES} docs", operations(("replace", "/spec/selector", {"arm": "green"})), PATCH),
    ("PATCH", f"{SERVICES} docs", operations(("replace", "/spec/selector", {"arm": "no label"})), PATCH),
    ("PATCH", f"{SERVICES} docs", {"spec": {"selector": {"arm": "blue"}}, "metadata": {"labels": {"x": "y"}}}, MERGE),
    ("PATCH", f"{SERVICES} docs", {"metadata": {"labels": {"x": None}}}, MERGE),
    ("POST", PODS, POD, JSON),
    ("PATCH", f"{PODS} pod/status", {"status": READY}, MERGE),
    ("GET", f"{PODS}?arm=blue", None, JSON),
    ("GET", f"{PODS}?arm=green", None, JSON),
    ("GET", f"{SLICES}?kubernetes.io/service-name=docs", None, JSON),
    ("PATCH", f"{PODS} pod/status", {"status": {**READY, "conditions": []}}, MERGE),
    ("GET", f"{SLICES}?kubernetes.io/service-name=docs", None, JSON),
    ("DELETE", f"{PODS} pod", None, JSON),
    ("GET", f"{PODS}?arm=blue", None, JSON),
    ("POST", ROUTES, ROUTE, JSON),
    ("PATCH", f"{ROUTES} docs", operations(("add", "/spec/rules/0/backendRefs/0/weight", 0)), PATCH),
    ("PATCH", f"{ROUTES} docs", operations(("add", "/spec/rules/1/backendRefs/0/weight", 0)), PATCH),
    ("PATCH", f"{ROUTES} docs", operations(("add", "/metadata/annotations", {"a": "b"})), PATCH),
    ("GET", f"{INGRESSES} docs", None, JSON),
    ("POST", f"{RBAC} roles", ROLE, JSON),
    ("POST", f"{RBAC} rolebindings", BINDING, JSON),
    ("GET as reader", f"{SERVICES} docs", None, JSON),
    ("GET as reader", f"{PODS}?arm=blue", None, JSON),
    ("PATCH as reader", f"{SERVICES} docs", operations(("test", "/spec/selector", {})), PATCH),
    ("GET as nobody", f"{SERVICES} docs", None, JSON),
    ("DELETE", f"{SERVICES} docs", None, JSON),
    ("DELETE", f"{SERVICES} docs", None, JSON),
]


@pytest.fixture
def emulator() -> Iterator[ServiceWorld]:
    with short_lived_keeper() as keeper:
        yield ServiceWorld(start_kubernetes_api(keeper, real=False))


def ask(world: ServiceWorld, step: tuple[str, str, Any, str]) -> dict[str, Any]:
    """What the pointers can see of an answer."""
    method, words, body, content = step
    method, _, user = method.partition(" as ")
    words, _, labels = words.partition("?")
    root, plural, *name = words.split()
    path = world.path(f"{root} {plural}", *name)
    query = {"labelSelector": labels} if labels else {}
    world.client.default_headers.pop("Impersonate-User", None)
    if user:
        world.client.set_default_header("Impersonate-User", user)
    try:
        answer = world.call(method, path, body, content, **query)
    except ApiException as error:
        told = json.loads(error.body) if error.body.startswith("{") else {}
        details = told.get("details") or {}
        cannot = user and f"cannot {'list' if labels else method.lower()} resource" in str(told.get("message"))
        return {"status": error.status, "reason": told.get("reason"), "kind": details.get("kind"), "cannot": cannot}
    return seen(answer)


def seen(answer: dict[str, Any]) -> dict[str, Any]:
    if "items" in answer:
        return {"items": [seen(each) for each in answer["items"]]}
    metadata, spec = answer.get("metadata", {}), answer.get("spec", {})
    return {
        "annotations": metadata.get("annotations") if "addressType" not in answer else None,
        "labels": {key: value for key, value in (metadata.get("labels") or {}).items() if "managed-by" not in key},
        "ending": "deletionTimestamp" in metadata,
        "generation": metadata.get("generation") if "rules" in spec else None,
        "selector": spec.get("selector"),
        "type": spec.get("type"),
        "backends": [ref for rule in spec.get("rules", []) for ref in rule["backendRefs"]],
        "ready": [each["conditions"]["ready"] for each in answer.get("endpoints") or []],
    }


def test_the_emulator_answers_as_a_real_api_server(kubernetes_api: Any, emulator: ServiceWorld) -> None:
    real = ServiceWorld(kubernetes_api)
    if "emulator" in real.against:
        pytest.skip("no API server has been built; run `make kube-apiserver`")
    for world in (real, emulator):
        world.ensure_node()
        world.call("POST", "/api/v1/namespaces", {"metadata": {"name": world.name}})
    try:
        for step in STEPS:
            expected, deadline = ask(emulator, step), time.monotonic() + 10
            while (answer := ask(real, step)) != expected and step[0].startswith("GET") and time.monotonic() < deadline:
                time.sleep(0.05)  # the real controllers, and its Roles, follow a moment later
            assert answer == expected, step
    finally:
        real.client.default_headers.pop("Impersonate-User", None)
        real.tear_down()
        real.close()
        emulator.close()

"""An emulator of the part of the Kubernetes API that pointers and writers use: ``--port N --data DIR``.

For machines on which no API server has been built. Its answers are held against a real API server's by
tests/contract/test_k8s_emulator.py. No watches, no admission, no quota; EndpointSlices are made when they are
asked for, so they follow at once; nothing acts on a Deployment or a CronJob. It writes its state when it is
stopped and reads it when it starts.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.processes import ports
from sandbox.servers.kubernetes_patch import json_patch, merge

Object = dict[str, Any]
Key = tuple[str, str, str, str]  # group, plural, namespace, name

RBAC, DISCOVERY = "rbac.authorization.k8s.io", "discovery.k8s.io"
NETWORK, GATEWAY = "networking.k8s.io", "gateway.networking.k8s.io"
APPS, BATCH, SCALING = "apps", "batch", "autoscaling"
SERVED = {
    (APPS, "deployments"),
    (BATCH, "cronjobs"),
    (BATCH, "jobs"),
    (SCALING, "horizontalpodautoscalers"),
    ("", "namespaces"),
    ("", "nodes"),
    ("", "pods"),
    ("", "services"),
    (RBAC, "roles"),
    (RBAC, "rolebindings"),
    (NETWORK, "ingresses"),
    (GATEWAY, "httproutes"),
    (DISCOVERY, "endpointslices"),
}
VERSIONS = {SCALING: "v2"}  # all others: v1
VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
JSON_PATCH = "application/json-patch+json"
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")


class Refused(Exception):
    """An answer that is no success; ``reason`` and ``details`` as in a ``Status`` object."""

    def __init__(self, status: int, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.details = details

    def response(self) -> Response:
        """The ``Status`` object."""
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(self)}
        return JSONResponse(
            {**body, "reason": self.reason, "details": self.details, "code": self.status}, status_code=self.status
        )


class Store:
    """Every object, with one growing revision for all of them, as in etcd."""

    def __init__(self) -> None:
        self.revision = 0
        self.objects: dict[Key, Object] = {}

    def get(self, key: Key) -> Object:
        """The object itself."""
        if key not in self.objects:
            raise _not_found(key)
        return self.objects[key]

    def put(self, key: Key, body: Object, before: Object | None) -> Object:
        """Write, if anything changed."""
        body["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"] if before else ""
        if body == before:
            return body
        self.revision += 1
        body["metadata"]["resourceVersion"] = str(self.revision)
        if before is not None and body.get("spec") != before.get("spec") and "generation" in body["metadata"]:
            body["metadata"]["generation"] += 1
        self.objects[key] = body
        return body

    def create(self, key: Key, body: Object) -> Object:
        """Add an object, with the defaults that the pointers look at."""
        group, plural, namespace, name = key
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{plural} "{name}" already exists', kind=plural, name=name)
        body["metadata"] = {**body["metadata"], "uid": str(uuid.uuid4())}
        if namespace:
            body["metadata"]["namespace"] = namespace
        if group in (NETWORK, GATEWAY, APPS, BATCH):
            body["metadata"]["generation"] = 1
        if plural == "services":
            body["spec"] = {"type": "ClusterIP", "clusterIP": f"10.96.0.{self.revision % 250 + 1}", **body["spec"]}
        if plural == "httproutes":
            for backend in (ref for rule in body["spec"].get("rules", []) for ref in rule.get("backendRefs", [])):
                for field, value in {"group": "", "kind": "Service", "weight": 1}.items():
                    backend.setdefault(field, value)
        return self.put(key, body, None)

    def delete(self, key: Key, *, at_once: bool) -> Object:
        """Remove an object; a namespace with all that is in it. A pod only ends, unless at once: no node ends it."""
        gone = self.get(key)
        if key[1] == "pods" and not at_once:
            metadata = {**gone["metadata"], "deletionTimestamp": datetime.now(timezone.utc).isoformat()}
            return self.put(key, {**gone, "metadata": metadata}, gone)
        self.revision += 1
        if key[1] == "namespaces":
            self.objects = {each: body for each, body in self.objects.items() if each[2] != key[3]}
        del self.objects[key]
        return gone

    def within(self, group: str, plural: str, namespace: str) -> Iterator[Object]:
        """Every object of a kind in a namespace."""
        if plural == "endpointslices":
            yield from (self._slice(service) for service in self.within("", "services", namespace))
        for key, body in self.objects.items():
            if key[:3] == (group, plural, namespace):
                yield body

    def _slice(self, service: Object) -> Object:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        selector = service["spec"].get("selector")
        pods = [pod for pod in self.within("", "pods", namespace) if selector and _selected(pod, selector)]
        return {
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": [pod["status"]["podIP"]],
                    "conditions": {"ready": _ready(pod)},
                    "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
                }
                for pod in pods
                if (pod.get("status") or {}).get("podIP")
            ],
        }


class Emulator:
    """The API over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def __call__(self, request: Request) -> Response:
        """Answer one request. The store is read and written without a pause in between, so in one step."""
        body = await request.body()
        try:
            return self._answer(request, json.loads(body) if body else None)
        except Refused as refused:
            return refused.response()

    def _answer(self, request: Request, body: Any) -> Response:
        words = request.path_params
        group, namespace, name = words.get("group", ""), words.get("namespace", ""), words.get("name", "")
        plural = words["plural"]
        if (group, plural) not in SERVED or words["version"] != VERSIONS.get(group, "v1"):
            return PlainTextResponse("404 page not found\n", status_code=404)
        verb = "list" if request.method == "GET" and not name else VERBS[request.method]
        part = words.get("part")
        asked = f"{plural}/{part}" if part else plural
        self._allow(request.headers.get("impersonate-user"), verb, group, asked, namespace, name)
        if verb == "list":
            labels = dict(pair.split("=") for pair in request.query_params.get("labelSelector", "").split(",") if pair)
            items = [each for each in self.store.within(group, plural, namespace) if _selected(each, labels)]
            return JSONResponse({"kind": "List", "metadata": {}, "items": items})
        if verb == "create":
            if namespace and ("", "namespaces", "", namespace) not in self.store.objects:
                raise _not_found(("", "namespaces", "", namespace))
            return JSONResponse(self.store.create((group, plural, namespace, body["metadata"]["name"]), body), 201)
        key = (group, plural, namespace, name)
        if verb == "delete":
            return JSONResponse(self.store.delete(key, at_once=request.query_params.get("gracePeriodSeconds") == "0"))
        if verb == "patch":
            return JSONResponse(self._patched(key, body, request.headers["content-type"], part))
        found = self.store.get(key)
        return JSONResponse(scale_of(found) if part == "scale" else found)

    def _patched(self, key: Key, patch: Any, content_type: str, part: str | None) -> Object:
        """A JSON patch, or a merge patch; ``part`` is ``status``, ``scale``, or the object without its status."""
        before = self.store.get(key)
        seen = scale_of(before) if part == "scale" else before
        try:
            after = json_patch(seen, patch) if content_type == JSON_PATCH else merge(seen, patch)
        except ValueError as error:
            raise Refused(422, "Invalid", str(error)) from None
        if part == "scale":
            spec = {**before["spec"], "replicas": after["spec"]["replicas"]}
            return scale_of(self.store.put(key, {**copy.deepcopy(before), "spec": spec}, before))
        kept = (
            {**before, "status": after.get("status")} if part == "status" else {**after, "status": before.get("status")}
        )
        kept = {name: value for name, value in copy.deepcopy(kept).items() if value is not None}
        if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", "the object has been modified", kind=key[1], name=key[3])
        selector = (kept.get("spec", {}).get("selector") or {}) if key[1] == "services" else {}
        wrong = [value for value in selector.values() if not LABEL.fullmatch(value)]
        if wrong:
            text = f'Service "{key[3]}" is invalid: spec.selector: Invalid value: "{wrong[0]}"'
            raise Refused(422, "Invalid", text, kind="Service", name=key[3])
        return self.store.put(key, kept, before)

    def _allow(self, user: str | None, verb: str, group: str, plural: str, namespace: str, name: str) -> None:
        """Who is not impersonated may do everything; others what a Role of the namespace grants."""
        if user is None:
            return
        for binding in self.store.within(RBAC, "rolebindings", namespace):
            if not any(subject["name"] == user for subject in binding["subjects"]):
                continue
            role = self.store.objects.get((RBAC, "roles", namespace, binding["roleRef"]["name"])) or {"rules": []}
            for rule in role["rules"]:
                fits = verb in rule["verbs"] and group in rule["apiGroups"] and plural in rule["resources"]
                if fits and (not rule.get("resourceNames") or name in rule["resourceNames"]):
                    return
        where = f'in API group "{group}" in the namespace "{namespace}"'
        message = f'{plural} "{name}" is forbidden: User "{user}" cannot {verb} resource "{plural}" {where}'
        raise Refused(403, "Forbidden", message, kind=plural, name=name)


def scale_of(body: Object) -> Object:
    """The ``Scale`` of an object that can be scaled."""
    names = ("name", "namespace", "uid", "resourceVersion")
    metadata = {name: body["metadata"][name] for name in names}
    replicas = body["spec"].get("replicas", 1)
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {"replicas": replicas}}


def _selected(body: Object, labels: Mapping[str, str]) -> bool:
    return labels.items() <= (body["metadata"].get("labels") or {}).items()


def _ready(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and any(
        each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", [])
    )


def _not_found(key: Key) -> Refused:
    return Refused(404, "NotFound", f'{key[1]} "{key[3]}" not found', kind=key[1], name=key[3])


def application(data: Path) -> Starlette:
    """The API's paths, over what ``data`` holds."""
    store, path = Store(), data / "state.json"
    if path.exists():
        store.revision, objects = json.loads(path.read_text())
        store.objects = {tuple(key): body for key, body in objects}

    @contextlib.asynccontextmanager
    async def kept(_: Starlette) -> AsyncIterator[None]:
        yield
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps([store.revision, list(store.objects.items())]))
        fresh.replace(path)

    emulator = Emulator(store)
    within = "namespaces/{namespace}/{plural}"
    paths = ["/api/{version}/{plural}", "/api/{version}/{plural}/{name}"]
    for root in ("/api/{version}", "/apis/{group}/{version}"):
        paths += [f"{root}/{within}", f"{root}/{within}/{{name}}", f"{root}/{within}/{{name}}/{{part}}"]
    routes = [Route(each, emulator.__call__, methods=list(VERBS)) for each in paths]
    return Starlette(routes=[*routes, Route("/readyz", lambda _: PlainTextResponse("ok"))], lifespan=kept)


def main() -> None:
    """Serve until SIGTERM; the state is written when the last request is answered."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servers.kubernetes_emulator")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    uvicorn.run(application(options.data), host=ports.HOST, port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()

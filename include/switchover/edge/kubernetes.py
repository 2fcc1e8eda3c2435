"""What the Kubernetes pointers and writers share: objects read as JSON, and one JSON patch that is a compare-and-set.

A patch begins with a ``test`` of the object's ``resourceVersion``. The API server evaluates tests and writes in
one step, so a write by anybody else since our look makes the patch fail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from switchover.edge.clients import TIMEOUT_S
from switchover.errors import BadInput, Unreachable
from switchover.text import one_line

Object = dict[str, Any]
Operation = dict[str, Any]

_METHODS = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}
_ANSWERS = dict.fromkeys((200, 201, 202), "object")
_THROTTLED = 429
_TEST_FAILED = (409, 422)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind of object and where the API serves it."""

    group: str
    plural: str
    kind: str
    version: str = "v1"
    part: str = ""  # a subresource: ``scale``

    def __str__(self) -> str:
        """As in a Role and on kubectl's command line: ``endpointslices.discovery.k8s.io``."""
        what = f"{self.plural}/{self.part}" if self.part else self.plural
        return f"{what}.{self.group}" if self.group else what

    @property
    def api_version(self) -> str:
        """``v1`` or ``group/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str = "") -> str:
        """Path of the object, or of all objects in the namespace."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" + "".join(
            f"/{word}" for word in (name, self.part) if word
        )


SERVICES = Resource(group="", plural="services", kind="Service")
PODS = Resource(group="", plural="pods", kind="Pod")
NAMESPACES = Resource(group="", plural="namespaces", kind="Namespace")
INGRESSES = Resource(group="networking.k8s.io", plural="ingresses", kind="Ingress")
HTTP_ROUTES = Resource(group="gateway.networking.k8s.io", plural="httproutes", kind="HTTPRoute")
SLICES = Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice")
DEPLOYMENTS = Resource(group="apps", plural="deployments", kind="Deployment")
SCALES = Resource(group="apps", plural="deployments", kind="Scale", part="scale")
CRON_JOBS = Resource(group="batch", plural="cronjobs", kind="CronJob")
JOBS = Resource(group="batch", plural="jobs", kind="Job")
AUTOSCALERS = Resource(
    group="autoscaling", plural="horizontalpodautoscalers", kind="HorizontalPodAutoscaler", version="v2"
)


class Cluster:
    """One namespace of one cluster. Objects are plain JSON, as the API server gives them.

    ``page`` names the page below docs/ that has the Role.

    Every method raises ``Unreachable`` when the server does not answer, and ``BadInput`` when it refuses.
    """

    def __init__(self, *, client: Any, namespace: str, page: str) -> None:
        self._client = client
        self._page = page
        self.namespace = namespace
        self.host = str(client.configuration.host).split("://")[-1].rstrip("/")
        self.place = f"{self.host}/{namespace}"

    def get(self, resource: Resource, name: str) -> Object | None:
        """The object, or ``None``. A namespace that is absent is an error."""
        return self._call("get", resource, resource.path(self.namespace, name), name=name)

    def list(self, resource: Resource, labels: Mapping[str, str]) -> list[Object]:
        """Every object with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        found = self._call("list", resource, resource.path(self.namespace), query=[("labelSelector", selector)])
        if found is None or "items" not in found:
            raise Unreachable(f"kubernetes at {self.host}: its answer to list {resource} is no list")
        return list(found["items"] or [])

    def create(self, resource: Resource, body: Object) -> None:
        """Create an object; ``body`` lacks only what the resource and the namespace say."""
        metadata = {**body["metadata"], "namespace": self.namespace}
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body, "metadata": metadata}
        self._call("create", resource, resource.path(self.namespace), name=metadata["name"], body=whole)

    def delete(self, resource: Resource, name: str) -> None:
        """Remove an object; no error when there is none."""
        self._call("delete", resource, resource.path(self.namespace, name), name=name)

    def patch(self, resource: Resource, found: Object, writes: Sequence[Operation]) -> bool:
        """Write if the object still is as it was found, whatever changed in it; whether it did."""
        name, version = found["metadata"]["name"], found["metadata"]["resourceVersion"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
        path = resource.path(self.namespace, name)
        try:
            return self._call("patch", resource, path, name=name, body=[unchanged, *writes]) is not None
        except _Refused as refused:
            if refused.status not in _TEST_FAILED:
                raise
            # The same status says that a test failed and that the result would not be valid.
            now = self.get(resource, name)
            if now is None or now["metadata"]["resourceVersion"] != version:
                return False
            raise

    def _call(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        name: str = "",
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
    ) -> Object | None:
        """The answer; ``None`` when the object does not exist."""
        import urllib3
        from kubernetes.client import ApiException

        patching = {"Content-Type": "application/json-patch+json"} if verb == "patch" else {}
        # A write names its author in metadata.managedFields: there people look up the last writer.
        author = [("fieldManager", "switchover")] if verb in ("patch", "create") else []
        try:
            answer = self._client.call_api(
                path,
                _METHODS[verb],
                query_params=[*query, *author],
                header_params={"Accept": "application/json", **patching},
                body=body,
                response_types_map=_ANSWERS,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=TIMEOUT_S,
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._silent(error) from error
        except (ApiException, AttributeError) as error:
            # Where TLS fails the client stumbles over its own error, which has no body.
            failure = error if isinstance(error, ApiException) else error.__context__
            if not isinstance(failure, ApiException):
                raise
            self._absent_or_raise(failure, verb, resource, name)
            return None
        if not isinstance(answer, dict):
            raise BadInput(f"kubernetes at {self.host}: what answers there is no Kubernetes API; nothing was changed")
        return answer

    def _absent_or_raise(self, failure: Any, verb: str, resource: Resource, name: str) -> None:
        """Return if the object does not exist; everything else is raised."""
        status, told = failure.status or 0, _told(failure)
        what, message = f"{verb} {resource} {name!r}" if name else f"{verb} {resource}", str(told.get("message", ""))
        if status == 0:
            raise self._untrusted(failure)
        if status == _THROTTLED or status >= 500:
            raise Unreachable(f"kubernetes at {self.host}: answered {status} to {what}: {message or failure.reason}")
        if status == 404:
            self._require_surroundings(told, verb, resource)
            return
        raise _Refused(status, f"kubernetes at {self.host}: {self._why(status, verb, resource, what, message)}")

    def _why(self, status: int, verb: str, resource: Resource, what: str, message: str) -> str:
        if status == 401:
            return "the credentials are not accepted (401); mend the connection; nothing was changed"
        if status == 403 and f"cannot {verb}" in message:
            return (
                f"no right to {verb} {resource} in namespace {self.namespace!r}, or no such namespace;"
                f" grant the Role of docs/{self._page}.md; nothing was changed"
            )
        return f"refused to {what} in namespace {self.namespace!r}: {one_line(message)}; nothing was changed"

    def _require_surroundings(self, told: Mapping[str, Any], verb: str, resource: Resource) -> None:
        kind = (told.get("details") or {}).get("kind")
        if not kind:  # the path itself is unknown
            raise BadInput(
                f"kubernetes at {self.host}: does not serve {resource} ({resource.api_version});"
                " install that API; nothing was changed"
            )
        if kind == NAMESPACES.plural:
            raise BadInput(f"kubernetes at {self.host}: there is no namespace {self.namespace!r}; nothing was changed")
        if verb == "get":
            self._require_namespace()

    def _require_namespace(self) -> None:
        """Raise ``BadInput`` if the namespace is absent. Without the right to ask nothing is raised."""
        try:
            self._call("get", NAMESPACES, f"/api/v1/namespaces/{self.namespace}", name=self.namespace)
        except _Refused as refused:
            if refused.status != 403:
                raise

    def _silent(self, error: Exception) -> Unreachable:
        return Unreachable(f"kubernetes at {self.host}: did not answer: {type(error).__name__}: {one_line(error)}")

    def _untrusted(self, failure: Any) -> BadInput | Unreachable:
        reason = one_line(str(failure.reason).replace("\n", ": "))
        if "certificate verify failed" in reason.lower():
            return BadInput(
                f"kubernetes at {self.host}: its certificate is not trusted; give the connection the cluster's"
                f" certificate authority; nothing was changed ({reason})"
            )
        return Unreachable(f"kubernetes at {self.host}: did not answer: {reason}")


class _Refused(BadInput):
    """The API server refused."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _told(failure: Any) -> Mapping[str, Any]:
    """The ``Status`` object of an error, or what can be had instead."""
    try:
        told = json.loads(failure.body or "")
    except ValueError:
        return {"message": failure.body}
    return told if isinstance(told, dict) else {}

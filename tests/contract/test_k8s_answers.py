"""Answers that are no success: what the plan's writer can mend is told apart from what may pass."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.edge.kubernetes import SERVICES, Cluster
from switchover.errors import BadInput, Unreachable
from switchover.steps.move import pointer_spec
from tests.contract.worlds.base import CONNECTION
from tests.contract.worlds.kubernetes import ServiceWorld


@contextmanager
def answering(status: int, body: str, content: str = "application/json") -> Iterator[str]:
    """A server that has one answer: a real API server cannot be made to give these at will."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def told(status: int, message: str) -> str:
    return json.dumps({"kind": "Status", "status": "Failure", "code": status, "message": message})


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (429, told(429, "too many requests"), Unreachable, "answered 429 to get services 'docs': too many requests"),
        (500, told(500, "etcdserver: request timed out"), Unreachable, "answered 500 .*etcdserver: request timed out"),
        (503, "upstream connect error", Unreachable, "answered 503 to get services 'docs': upstream connect error"),
        (504, "", Unreachable, "answered 504 to get services 'docs': Gateway Timeout"),
        (401, told(401, "Unauthorized"), BadInput, r"the credentials are not accepted \(401\); mend the connection"),
        (
            403,
            told(403, 'admission webhook "policy" denied the request: frozen'),
            BadInput,
            r"refused to get services 'docs' in namespace 'n': admission webhook .* frozen; nothing was changed",
        ),
        (200, "<html>sign in</html>", BadInput, "what answers there is no Kubernetes API; nothing was changed"),
        (404, "<html>not here</html>", BadInput, r"does not serve services \(v1\); install that API"),
    ],
)
def test_an_answer_is_told_in_one_line(status: int, body: str, error: type[Exception], message: str) -> None:
    with answering(status, body) as url:
        client = clients.kubernetes(Connection(id=CONNECTION, conn_type="kubernetes", host=url))
        with pytest.raises(error, match=message) as caught:
            Cluster(client=client, namespace="n", page="pointers/k8s_service").get(SERVICES, "docs")
    assert "\n" not in str(caught.value)
    assert url.removeprefix("http://") in str(caught.value)


@pytest.fixture
def world(kubernetes_api: Any) -> Iterator[ServiceWorld]:
    world = ServiceWorld(kubernetes_api)
    if "emulator" in world.against:
        pytest.skip("the emulator has no TLS and no tokens")
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def read(world: ServiceWorld, config: dict[str, Any]) -> None:
    connection = Connection(id=CONNECTION, conn_type="kubernetes", extra={"kube_config": json.dumps(config)})
    edge = Edge(connections=lambda _: connection)
    pointer_spec({"kind": "k8s_service", "connection": CONNECTION, **world.spec()}).build(edge).read()


def test_a_token_that_is_not_accepted_is_told(world: ServiceWorld) -> None:
    config = json.loads(json.dumps(world.config))
    config["users"][0]["user"] = {"token": "expired"}
    with pytest.raises(BadInput, match=r"the credentials are not accepted \(401\)"):
        read(world, config)


def test_a_certificate_that_is_not_trusted_is_told(world: ServiceWorld) -> None:
    config = json.loads(json.dumps(world.config))
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    with pytest.raises(BadInput, match="its certificate is not trusted; give the connection the cluster's"):
        read(world, config)


@pytest.mark.parametrize(
    "extra",
    [{"kube_config_path": "/nosuch"}, {"kube_config": "{}"}, {"kube_config": "a: [b"}, {"kube_config": "words"}],
    ids=["no file", "empty", "no YAML", "no mapping"],
)
def test_a_configuration_that_cannot_be_used_is_told(extra: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="connection 'store': no Kubernetes configuration from its extra: .*; allowed"):
        clients.kubernetes(Connection(id=CONNECTION, conn_type="kubernetes", extra=extra))

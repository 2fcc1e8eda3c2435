"""A knowledge base of Bedrock is asked with a signed request; the server is a stand-in that keeps what it is sent."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from switchover.arms.client import open_arm
from switchover.arms.spec import Arm, Asking
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge


def test_a_knowledge_base_is_asked_with_a_request_that_the_connection_signs() -> None:
    seen: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.update(path=self.path, headers=dict(self.headers.items()), body=body)
            raw = json.dumps({"retrievalResults": [{"content": {"text": "hello"}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    extra = {"region_name": "eu-west-1", "endpoint_url": url}
    connection = {"conn_type": "aws", "login": "AKIDEXAMPLE", "password": "wJalr", "extra": extra}
    edge = Edge(connections=environment_connections({"AIRFLOW_CONN_KB": json.dumps(connection)}))

    async def ask() -> Any:
        asking = Asking(preset="bedrock_retrieve")
        async with open_arm(edge, "KB2GREEN", Arm(connection="kb"), asking=asking, timeout_s=5) as arm:
            return await arm.ask("Was ist das?", seed=0, k=3)

    try:
        reply = asyncio.run(ask())
    finally:
        edge.close()
        server.shutdown()
        server.server_close()
    assert reply.ok and reply.hits[0].text == "hello"
    assert seen["path"] == "/knowledgebases/KB2GREEN/retrieve"
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    given = AWSRequest(method="POST", url=f"{url}{seen['path']}", data=seen["body"])
    given.headers["Host"], given.headers["Content-Type"] = headers["host"], headers["content-type"]
    given.headers["X-Amz-Date"] = given.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalr"), "bedrock", "eu-west-1")
    signature = auth.signature(auth.string_to_sign(given, auth.canonical_request(given)), given)
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert "wJalr" not in json.dumps(headers)

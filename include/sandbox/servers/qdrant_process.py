"""An emulator of Qdrant's REST interface: its client's local mode behind HTTP. ``--port N --data DIR``.

Only what a pointer, its reader and its tests call. No binary of the real server comes in a package. Two things
are as in the real server's source, where the local mode differs: the actions of one request are applied one
after the other, and what stood before a failed one stays.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models

from sandbox.processes import ports

Answer = Callable[..., Any]


class Routes:
    """The calls by method and path; one at a time, as under the real server's lock."""

    def __init__(self, client: QdrantClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._routes: list[tuple[str, re.Pattern[str], Answer]] = [
            ("GET", re.compile(r"/"), lambda _: {"title": "emulator", "version": "0"}),
            ("GET", re.compile(r"/aliases"), lambda _: client.get_aliases()),
            ("POST", re.compile(r"/collections/aliases"), self._change_aliases),
            ("GET", re.compile(r"/collections/([^/]+)/exists"), self._exists),
            ("GET", re.compile(r"/collections/([^/]+)"), self._info),
            ("PUT", re.compile(r"/collections/([^/]+)"), self._create),
            ("DELETE", re.compile(r"/collections/([^/]+)"), lambda _, name: client.delete_collection(name)),
            ("PATCH", re.compile(r"/collections/([^/]+)"), self._update),
            ("PUT", re.compile(r"/collections/([^/]+)/points"), self._upsert),
            ("POST", re.compile(r"/collections/([^/]+)/points"), self._retrieve),
            ("POST", re.compile(r"/collections/([^/]+)/points/count"), self._count),
            ("POST", re.compile(r"/collections/([^/]+)/points/scroll"), self._scroll),
            ("POST", re.compile(r"/collections/([^/]+)/points/delete"), self._delete),
            ("POST", re.compile(r"/collections/([^/]+)/points/query"), self._query),
        ]

    def answer(self, method: str, path: str, body: Any) -> Any:
        """What a request is answered with; ``LookupError`` when the path or what it names is not there."""
        for verb, pattern, call in self._routes:
            match = pattern.fullmatch(path)
            if verb == method and match:
                with self._lock:
                    return call(body, *match.groups())
        raise LookupError(f"{method} {path} is not emulated")

    def _change_aliases(self, body: Any) -> bool:
        adapter: TypeAdapter[Any] = TypeAdapter(models.AliasOperations)
        for action in body["actions"]:
            try:
                self._client.update_collection_aliases(change_aliases_operations=[adapter.validate_python(action)])
            except ValueError as error:
                raise LookupError(str(error)) from error
        return True

    def _found(self, name: str) -> str:
        aliases = {each.alias_name for each in self._client.get_aliases().aliases}
        if name not in aliases and not self._client.collection_exists(name):
            raise LookupError(f"Collection `{name}` doesn't exist!")
        return name

    def _exists(self, _: Any, name: str) -> Any:
        return {"exists": self._client.collection_exists(name)}

    def _info(self, _: Any, name: str) -> Any:
        return self._client.get_collection(self._found(name))

    def _create(self, body: Any, name: str) -> Any:
        vectors = TypeAdapter(models.VectorsConfig).validate_python(body["vectors"])
        return self._client.create_collection(name, vectors_config=vectors, metadata=body.get("metadata"))

    def _upsert(self, body: Any, name: str) -> Any:
        points = TypeAdapter(list[models.PointStruct]).validate_python(body["points"])
        return self._client.upsert(self._found(name), points=points)

    def _update(self, body: Any, name: str) -> Any:
        """The server merges metadata, the client's local mode replaces them."""
        there = self._client.get_collection(self._found(name)).config.metadata or {}
        return self._client.update_collection(name, metadata={**there, **body["metadata"]})

    def _retrieve(self, body: Any, name: str) -> Any:
        asked = models.PointRequest.model_validate(body)
        payload = asked.with_payload if asked.with_payload is not None else True
        vectors = asked.with_vector or False
        return self._client.retrieve(self._found(name), asked.ids, with_payload=payload, with_vectors=vectors)

    def _count(self, body: Any, name: str) -> Any:
        return self._client.count(self._found(name), exact=True)

    def _scroll(self, body: Any, name: str) -> Any:
        asked = models.ScrollRequest.model_validate(body)
        points, after = self._client.scroll(
            self._found(name),
            limit=asked.limit or 10,
            offset=asked.offset,
            scroll_filter=asked.filter,
            with_payload=asked.with_payload if asked.with_payload is not None else True,
            with_vectors=asked.with_vector or False,
        )
        return {"points": points, "next_page_offset": after}

    def _delete(self, body: Any, name: str) -> Any:
        return self._client.delete(self._found(name), points_selector=body["points"])

    def _query(self, body: Any, name: str) -> Any:
        asked = models.QueryRequest.model_validate(body)
        return self._client.query_points(self._found(name), query=asked.query, limit=asked.limit or 10)


class Handler(BaseHTTPRequestHandler):
    """HTTP around the routes."""

    protocol_version = "HTTP/1.1"
    routes: Routes

    def _serve(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        try:
            found = self.routes.answer(self.command, path, json.loads(text) if text else None)
            status, answer = HTTPStatus.OK, {"result": _plain(found), "status": "ok", "time": 0.0}
        except LookupError as error:
            status, answer = HTTPStatus.NOT_FOUND, {"status": {"error": f"Not found: {error}"}, "time": 0.0}
        except (ValueError, ValidationError, KeyError) as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"status": {"error": f"Wrong input: {error}"}, "time": 0.0}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Only failures are worth a line."""


class QuietServer(ThreadingHTTPServer):
    """A client that hangs up is no error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See ``socketserver``."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _plain(found: Any) -> Any:
    if isinstance(found, list):
        return [_plain(each) for each in found]
    if isinstance(found, dict):
        return {name: _plain(each) for name, each in found.items()}
    return found.model_dump(mode="json") if hasattr(found, "model_dump") else found


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servers.qdrant_process")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    client = QdrantClient(path=str(args.data), force_disable_check_same_thread=True)
    Handler.routes = Routes(client)
    server = QuietServer((ports.HOST, args.port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    client.close()


if __name__ == "__main__":
    main()

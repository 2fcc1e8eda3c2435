"""A real HTTP server on loopback whose answers are wrong in the way that its path says: slow, endless, malformed.

``/body/NAME`` answers what a test has put into ``bodies`` under that name, ``/raw/NAME`` sends it without a head.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

HIT: dict[str, Any] = {
    "snippet_id": "s1",
    "section_id": "sec",
    "source_url": "u",
    "doc": "d",
    "start": 0,
    "end": 5,
    "tokens": 1,
    "index_hash": "h",
    "score": 0.5,
    "rank": 1,
    "text": "hello",
}
GOOD: dict[str, Any] = {
    "arm": "a",
    "index_hash": "h",
    "cited": "sec",
    "hits": [HIT],
    "stages_ms": {"retrieve": 1.0, "total": 2.0},
    "tool_calls": [],
    "cache": "off",
}
REPORT: dict[str, Any] = {
    "arm": "a",
    "pins": {"INDEX_HASH": "h"},
    "encoder": {"name": "wordllama-l2-supercat", "dimension": 256},
    "secrets": {"t": True},
    "cache": {"namespace": "n"},
    "count": 1,
}
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Hostile:
    """The server: its ``url``, what it answers below ``/body/``, and how many requests it had."""

    url: str
    bodies: dict[str, bytes] = field(default_factory=dict)
    requests: int = 0


@contextlib.contextmanager
def hostile() -> Iterator[Hostile]:
    """The server, for the block."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server = Hostile(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    over = threading.Event()
    threading.Thread(target=_accept, args=(listener, server, over), daemon=True).start()
    try:
        yield server
    finally:
        over.set()
        listener.close()


def _accept(listener: socket.socket, server: Hostile, over: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not over.is_set():
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, server, over), daemon=True).start()


def _serve(connection: socket.socket, server: Hostile, over: threading.Event) -> None:
    with contextlib.suppress(OSError), connection:
        head = _request(connection)
        if not head:
            return
        server.requests += 1
        first, _, rest = head.split()[1].decode().strip("/").partition("/")
        WAYS.get(first, _good)(connection, rest, server, over)


def _request(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return b""
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    return head


def _send(connection: socket.socket, body: bytes, status: str = "200 OK", more: str = "") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    connection.sendall(head.encode() + body)


def _good(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    _send(connection, json.dumps(GOOD).encode())


def _body(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    _send(connection, server.bodies[rest])


def _drip(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    """A byte of white space, which JSON may begin with, every so many seconds."""
    connection.sendall(CHUNKED)
    while not over.wait(float(rest)):
        connection.sendall(b"1\r\n \r\n")


def _drip_head(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(float(rest)):
        connection.sendall(b"X: 1\r\n")


def _silent(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    over.wait(60)


def _interim(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    while not over.wait(0.05):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _endless(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    connection.sendall(CHUNKED)
    block = b"10000\r\n" + b" " * 65536 + b"\r\n"
    while not over.is_set():
        connection.sendall(block)


def _bomb(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    """So many megabytes of white space, packed."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b" " * 1_000_000) for _ in range(int(rest))) + packer.flush()
    _send(connection, packed, more="Content-Encoding: gzip\r\n")


def _packed(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    packer = zlib.compressobj(9, wbits=31)
    _send(connection, packer.compress(json.dumps(GOOD).encode()) + packer.flush(), more="Content-Encoding: gzip\r\n")


def _labelled(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    _send(connection, b"not packed at all", more=f"Content-Encoding: {rest}\r\n")


def _status(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    _send(connection, b'{"detail":"no"}', status=f"{rest} X")


def _redirect(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    _send(connection, b"", status="307 X", more="Location: /good\r\n")


def _raw(connection: socket.socket, rest: str, server: Hostile, over: threading.Event) -> None:
    connection.sendall(server.bodies[rest])
    time.sleep(0.05)


WAYS = {
    "body": _body,
    "drip": _drip,
    "driphead": _drip_head,
    "silent": _silent,
    "interim": _interim,
    "endless": _endless,
    "bomb": _bomb,
    "packed": _packed,
    "labelled": _labelled,
    "status": _status,
    "redirect": _redirect,
    "raw": _raw,
}

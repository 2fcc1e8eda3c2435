"""Flip an ALB's listener under load: does any request fail on its way through the proxy?

    python bench/bench_alb.py [--flips 24] [--connections 8]

The listener is the ELBv2 API's (moto, an emulator); the proxy that follows it and the two arms are a real Envoy
each, and every request is a real one over a kept-alive connection. Prints one JSON line; exits 1 when a request
failed, or when there were fewer than 20 flips or 2,000 requests a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sandbox.demo.planes.alb import create_load_balancer
from sandbox.processes import ports
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers import start_envoy, start_moto
from sandbox.servers.alb_data_plane import Follower, Listener, start_proxy
from sandbox.servers.base import lasting_port
from sandbox.servers.envoy import always, follow_files, routes
from switchover.edge import clients
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers import Change
from switchover.pointers.alb import AlbSpec

BLUE, GREEN = "docs_v1", "docs_v2"
ENDS = (BLUE, GREEN, "both", "neither", "failed")  # what an answer can be
PAUSE_S = 0.25
ASK = b"GET / HTTP/1.1\r\nHost: docs\r\n\r\n"


class Client(asyncio.Protocol):
    """One kept-alive connection that asks again as soon as it is answered."""

    def __init__(self, counts: Any) -> None:
        self._counts = counts
        self._data = b""

    def _count(self, end: str) -> None:
        self._counts[ENDS.index(end)] += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(ASK)

    def data_received(self, data: bytes) -> None:
        """Count a whole answer by its body, which is its arm's name, and ask again."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
            return
        self._data = b""
        self._count(end_of(body.decode()) if head.startswith(b"HTTP/1.1 200") else "failed")
        self._transport.write(ASK)

    def connection_lost(self, error: Exception | None) -> None:
        """A connection that the other end gives up is a failed request."""
        if not self._transport.is_closing() or error is not None:
            self._count("failed")


def end_of(body: str) -> str:
    """Whose answer it is."""
    if BLUE in body and GREEN in body:
        return "both"
    return body if body in (BLUE, GREEN) else "neither"


def load(port: int, connections: int, counts: Any, stop: Any) -> None:
    """Ask over all connections until told to stop; a process of its own, as clients are."""
    asyncio.run(_load(port, connections, counts, stop))


async def _load(port: int, connections: int, counts: Any, stop: Any) -> None:
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: Client(counts), ports.HOST, port) for _ in range(connections)]
    await asyncio.to_thread(stop.wait)
    for transport, _ in opened:
        transport.abort()


def arms(listeners: dict[str, int]) -> dict[str, Any]:
    """A bootstrap with one listener an arm that answers with the arm's name."""
    static = []
    for name, port in listeners.items():
        (listener,) = follow_files(Path(), port)["static_resources"]["listeners"]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        static.append({**listener, "name": name})
        manager["route_config"] = routes(always(200, name))
    return {"static_resources": {"listeners": static}}


def main() -> int:
    """Start, flip, count, end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--flips", type=int, default=24)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    from tests.servers import short_lived_keeper

    with short_lived_keeper() as keeper, short_lived_keeper() as other:
        print(json.dumps(line := measure(keeper, other, options.flips, options.connections)))
    wrong = line["failed"] + line["neither"] + line["mixed"]
    return 1 if wrong or line["flips"] < 20 or line["requests_per_s"] < 2000 else 0


def measure(keeper: KeeperClient, other: KeeperClient, flips: int, connections: int) -> dict[str, Any]:
    """The line."""
    listeners = {BLUE: lasting_port(), GREEN: lasting_port()}
    start_envoy(other, bootstrap=arms(listeners))
    moto = start_moto(keeper)
    made = create_load_balancer(moto, ports_of=listeners, live=BLUE)
    connection = Connection(id="aws", **moto.connection)
    follower = Follower(
        listener=Listener(api=clients.aws(connection, "elbv2"), arn=made["listener"]), out=keeper.state / "envoy"
    )
    port = lasting_port()
    start_proxy(keeper, port=port)
    stop = threading.Event()

    def follow() -> None:
        while not stop.wait(0.05):
            follower.look()

    apart = multiprocessing.get_context("spawn")
    counts, asked_enough = apart.Array("q", len(ENDS), lock=False), apart.Event()
    client = apart.Process(target=load, args=(port, connections, counts, asked_enough))
    follower_thread = threading.Thread(target=follow)
    follower_thread.start()
    time.sleep(1)
    edge = Edge(connections=lambda _: connection)
    targets = {arm: made[arm] for arm in (BLUE, GREEN)}
    spec = AlbSpec(kind="alb", connection="aws", listener_arn=made["listener"], targets=targets)
    pointer = spec.build(edge)
    client.start()
    while not sum(counts):
        time.sleep(0.01)
    time.sleep(PAUSE_S)
    before_all = sum(counts)
    began, seconds = time.perf_counter(), []
    for number in range(flips):
        before, after = (BLUE, GREEN) if number % 2 == 0 else (GREEN, BLUE)
        flipped = time.perf_counter()
        assert pointer.apply(Change(before=before, after=after, epoch=1, actor="bench")).changed
        seconds.append(time.perf_counter() - flipped)
        seen = counts[ENDS.index(after)]
        while counts[ENDS.index(after)] == seen:
            time.sleep(0.005)
        time.sleep(PAUSE_S)
    elapsed, asked = time.perf_counter() - began, sum(counts) - before_all
    asked_enough.set()
    client.join()
    stop.set()
    follower_thread.join()
    edge.close()
    seconds.sort()
    ends = dict(zip(ENDS, counts, strict=True))
    return {
        "backend": "alb through Envoy",
        "flips": flips,
        "reads": sum(counts),
        "failed": ends["failed"],
        "neither": ends["neither"],
        "mixed": ends["both"],
        "requests_per_s": round(asked / elapsed),
        "flip_p50_ms": round(1000 * seconds[len(seconds) // 2], 1),
        "flip_p95_ms": round(1000 * seconds[int(0.95 * (len(seconds) - 1))], 1),
    }


if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 2)[0])
    sys.exit(main())

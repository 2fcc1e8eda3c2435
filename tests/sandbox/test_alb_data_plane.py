"""The load balancer's data plane: a real Envoy follows the listener in an emulated ELBv2 API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Response
from tests.servers import here, short_lived_keeper

from sandbox.demo.planes.alb import create_load_balancer
from sandbox.processes.keeper_client import KeeperClient, Spec
from sandbox.servers import Server, alb_data_plane, start_moto
from sandbox.servers.base import lasting_port
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers import Change, Pointer
from switchover.pointers.alb import AlbSpec

BLUE, GREEN = "docs_v1", "docs_v2"


def answering(name: str) -> FastAPI:
    """A service that only says its name."""
    app = FastAPI()
    app.add_api_route("/", lambda: Response(name), methods=["GET"])
    return app


@contextlib.asynccontextmanager
async def services(ports: dict[str, int]) -> Any:
    """One service an arm."""
    started = [
        uvicorn.Server(uvicorn.Config(answering(arm), port=port, log_level="warning", timeout_keep_alive=120))
        for arm, port in ports.items()
    ]
    running = [asyncio.create_task(server._serve()) for server in started]
    try:
        yield
    finally:
        for server in started:
            server.should_exit = True
        await asyncio.gather(*running)


@dataclass(frozen=True, kw_only=True)
class Balancer:
    """Control plane and data plane of one load balancer."""

    keeper: KeeperClient
    moto: Server
    ports: dict[str, int]
    pointer: Pointer
    url: str


@pytest.fixture(scope="module")
def balancer() -> Iterator[Balancer]:
    with short_lived_keeper() as keeper:
        moto = here(start_moto, keeper)
        ports, port = {BLUE: lasting_port(), GREEN: lasting_port()}, lasting_port()
        arns = create_load_balancer(moto, ports_of=ports, live=BLUE)
        proxy = here(lambda keeper: alb_data_plane.start_proxy(keeper, port=port), keeper)
        argv = [sys.executable, "-m", "sandbox.servers.alb_data_plane", "--connection", "aws", "--out", str(proxy.data)]
        env = {**os.environ, "AIRFLOW_CONN_AWS": moto.airflow_connection(), "PYTHONPATH": "include"}
        keeper.start(Spec(name="follower", argv=[*argv, "--listener", arns["listener"]], env=env, cwd=str(Path.cwd())))
        spec = AlbSpec(
            kind="alb",
            connection="aws",
            listener_arn=arns["listener"],
            targets={arm: arns[arm] for arm in ports},
        )
        edge = Edge(connections=lambda conn_id: Connection(id=conn_id, **moto.connection))
        yield Balancer(keeper=keeper, moto=moto, ports=ports, pointer=spec.build(edge), url=f"http://127.0.0.1:{port}/")
        edge.close()


async def until(client: httpx.AsyncClient, arm: str) -> None:
    end = time.monotonic() + 10
    while (await client.get("/")).text != arm:
        assert time.monotonic() < end, f"{arm} does not answer"
        await asyncio.sleep(0.02)


async def answered_while_moved(client: httpx.AsyncClient, pointer: Pointer, *, moves: int) -> Counter[str]:
    """Who answered how often while the pointer was moved there and back, asked by eight at once."""
    seen: Counter[str] = Counter()
    stop = asyncio.Event()
    await until(client, BLUE)

    async def ask() -> None:
        while not stop.is_set():
            answer = await client.get("/")
            seen[answer.text if answer.is_success else f"HTTP {answer.status_code}"] += 1

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    for number in range(moves):
        before, after = (BLUE, GREEN) if number % 2 == 0 else (GREEN, BLUE)
        change = Change(before=before, after=after, epoch=1, actor="test")
        assert (await asyncio.to_thread(pointer.apply, change)).changed
        await until(client, after)
    stop.set()
    await asyncio.gather(*asking)
    return seen


async def test_every_request_is_answered_by_one_arm_while_the_listener_moves(balancer: Balancer) -> None:
    async with services(balancer.ports), httpx.AsyncClient(base_url=balancer.url, trust_env=False) as client:
        seen = await answered_while_moved(client, balancer.pointer, moves=6)
    assert set(seen) == {BLUE, GREEN}
    assert sum(seen.values()) > 100


async def test_without_an_answer_of_the_api_the_last_routes_stay(balancer: Balancer) -> None:
    async with services(balancer.ports), httpx.AsyncClient(base_url=balancer.url, trust_env=False) as client:
        await until(client, BLUE)
        balancer.moto.stop()
        await asyncio.sleep(5 * alb_data_plane.LOOK_S)
        assert {(await client.get("/")).text for _ in range(10)} == {BLUE}
        log = (balancer.keeper.logs / "follower.log").read_text()
        assert log.count("the last routes stay") == 1


@pytest.mark.parametrize(
    ("weights", "route"),
    [
        ({"a": 100, "b": 0}, {"weighted_clusters": {"clusters": [{"name": "a", "weight": 100}]}}),
        (
            {"a": 30, "b": 70},
            {"weighted_clusters": {"clusters": [{"name": "a", "weight": 30}, {"name": "b", "weight": 70}]}},
        ),
    ],
)
def test_a_forward_action_becomes_a_route(weights: dict[str, int], route: dict[str, Any]) -> None:
    assert alb_data_plane.forward(weights)["route"] == route


@pytest.mark.parametrize("weights", [{}, {"a": 0, "b": 0}])
def test_a_listener_that_forwards_nowhere_answers_503(weights: dict[str, int]) -> None:
    assert alb_data_plane.forward(weights)["direct_response"]["status"] == 503

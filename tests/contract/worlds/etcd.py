"""A key in a real etcd."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

import httpx

from switchover.edge.connection import Connection
from tests.contract.worlds.base import BLUE, CONNECTION, World


class EtcdWorld(World):
    kind = "kv_etcd"
    fixture = "etcd"
    write_marker = b"/v3/kv/txn"

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.connection["host"], self.server.connection["port"]

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return Connection(id=CONNECTION, conn_type="http", host=address[0], port=int(address[1]))

    @cached_property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.server.url, trust_env=False, verify=False)

    def call(self, path: str, **body: str) -> Any:
        body = {name: base64.b64encode(text.encode()).decode() for name, text in body.items()}
        return self.client.post(f"/v3/kv/{path}", json=body).raise_for_status().json()

    def set_up(self) -> None:
        self.move(BLUE)

    def tear_down(self) -> None:
        self.remove()
        self.client.close()

    def spec(self) -> dict[str, Any]:
        return {"key": self.name}

    def serve(self) -> frozenset[str]:
        found = self.call("range", key=self.name).get("kvs", [])
        return frozenset(json.loads(base64.b64decode(each["value"]))["target"] for each in found)

    def move(self, target: str) -> None:
        self.call("put", key=self.name, value=json.dumps({"target": target}))

    def plant(self) -> Callable[[], object]:
        stranger = copy.copy(self)
        stranger.name += "__rehearsal"
        stranger.set_up()
        return stranger.serve

    def remove(self) -> None:
        self.call("deleterange", key=self.name)

    def restart(self) -> None:
        self.server.restart()

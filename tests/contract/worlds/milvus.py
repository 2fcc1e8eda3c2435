"""A collection alias in a real Milvus Lite server.

Clients are imported where they are used: every test session imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from switchover.edge.connection import Connection
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, World

ELSEWHERE = "elsewhere"


class MilvusWorld(World):
    kind = "milvus"
    fixture = "milvus"

    @property
    def write_marker(self) -> bytes:  # type: ignore[override]
        """Names of calls are compressed on the wire, arguments are not: a move names Green's collection."""
        return self.collections[GREEN].encode()

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return Connection(id=CONNECTION, conn_type="generic", host=str(address[0]), port=int(address[1]))

    @cached_property
    def client(self) -> Any:
        from pymilvus import MilvusClient

        return MilvusClient(uri=self.server.url, dedicated=True)

    @property
    def collections(self) -> dict[str, str]:
        return {arm: f"{self.name}_{arm}" for arm in (BLUE, GREEN, ELSEWHERE)}

    def create(self, arm: str, *, rows: int = 1) -> None:
        collection = self.collections[arm]
        self.client.create_collection(collection, dimension=2, properties={"index_hash": f"hash-{arm}"})
        found = [{"id": number, "vector": [1.0, 0.0], "arm": arm} for number in range(rows)]
        if found:
            self.client.insert(collection, found)

    def set_up(self) -> None:
        with ThreadPoolExecutor() as pool:  # the client sleeps half a second until a collection is loaded
            list(pool.map(self.create, self.collections))
        self.client.create_alias(self.collections[BLUE], self.name)

    def tear_down(self) -> None:
        for alias in self.client.list_aliases()["aliases"]:
            if alias.startswith(self.name):
                self.client.drop_alias(alias)
        for collection in self.collections.values():
            self.client.drop_collection(collection)
        self.client.close()

    def spec(self) -> dict[str, Any]:
        return {"alias": self.name, "targets": self.collections}

    def serve(self) -> frozenset[str]:
        (found,) = self.client.search(self.name, data=[[1.0, 0.0]], limit=5, output_fields=["arm"])
        return frozenset(hit["entity"]["arm"] for hit in found)

    def move(self, target: str) -> None:
        self.client.alter_alias(self.collections[target], self.name)

    def plant(self) -> Callable[[], object]:
        name = f"{self.name}__rehearsal"
        self.client.create_alias(self.collections[BLUE], name)
        return lambda: (sorted(self.client.list_aliases()["aliases"]), self.client.describe_alias(name))

    def remove(self) -> None:
        self.client.drop_alias(self.name)

    def spoil(self, target: str, how: str) -> None:
        if how == "unhealthy":
            self.client.release_collection(self.collections[target])
            return
        self.client.drop_collection(self.collections[target])
        if how == "empty":
            self.create(target, rows=0)

    def restart(self) -> None:
        self.server.restart()
        for collection in self.collections.values():
            self.client.load_collection(collection)

"""A collection alias in a real Weaviate.

Clients are imported where they are used: every test session imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from switchover.edge.connection import Connection
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, NotApplicable, World

ELSEWHERE = "elsewhere"


class WeaviateWorld(World):
    kind = "weaviate"
    fixture = "weaviate"
    write_marker = b"PUT "

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.name = self.name.capitalize()

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    def connection(self, address: tuple[str, int] | str) -> Connection:
        extra = self.server.connection["extra"]
        return Connection(id=CONNECTION, conn_type="weaviate", host=str(address[0]), port=int(address[1]), extra=extra)

    @cached_property
    def client(self) -> Any:
        import weaviate

        grpc_port = self.server.connection["extra"]["grpc_port"]
        return weaviate.connect_to_local(
            host=self.server.host, port=self.server.port, grpc_port=grpc_port, skip_init_checks=True
        )

    @property
    def collections(self) -> dict[str, str]:
        return {arm: f"{self.name}_{arm}" for arm in (BLUE, GREEN, ELSEWHERE)}

    def create(self, arm: str, *, objects: int = 1) -> None:
        from weaviate.classes.config import Configure

        collection = self.client.collections.create(
            self.collections[arm],
            description=f"Documents. index_hash: hash-{arm}",
            vector_config=Configure.Vectors.self_provided(),
        )
        for _ in range(objects):
            collection.data.insert({"arm": arm}, vector=[1.0, 0.0])

    def set_up(self) -> None:
        for arm in self.collections:
            self.create(arm)
        self.client.alias.create(alias_name=self.name, target_collection=self.collections[BLUE])

    def tear_down(self) -> None:
        for alias in self.client.alias.list_all():
            if alias.startswith(self.name):
                self.client.alias.delete(alias_name=alias)
        self.client.collections.delete(list(self.collections.values()))
        self.client.close()

    def spec(self) -> dict[str, Any]:
        return {"alias": self.name, "targets": self.collections}

    def serve(self) -> frozenset[str]:
        found = self.client.collections.use(self.name).query.near_vector([1.0, 0.0], limit=5)
        return frozenset(str(each.properties["arm"]) for each in found.objects)

    def move(self, target: str) -> None:
        assert self.client.alias.update(alias_name=self.name, new_target_collection=self.collections[target])

    def plant(self) -> Callable[[], object]:
        self.client.alias.create(alias_name=f"{self.name}__rehearsal", target_collection=self.collections[BLUE])
        return lambda: {name: each.collection for name, each in self.client.alias.list_all().items()}

    def remove(self) -> None:
        self.client.alias.delete(alias_name=self.name)

    def spoil(self, target: str, how: str) -> None:
        if how == "unhealthy":
            raise NotApplicable("a single node's collection that is there answers queries")
        self.client.collections.delete(self.collections[target])
        if how == "empty":
            self.create(target, objects=0)

    def restart(self) -> None:
        self.server.restart()

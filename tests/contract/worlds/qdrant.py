"""An alias of Qdrant's client in local mode, behind HTTP: an emulator of the server.

Clients are imported where they are used: every test session imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from switchover.edge.connection import Connection
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, NotApplicable, World

ELSEWHERE = "elsewhere"
VECTOR = [1.0, 0.0]


class QdrantWorld(World):
    kind = "qdrant"
    fixture = "qdrant"
    write_marker = b"rename_alias"

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return Connection(id=CONNECTION, conn_type="qdrant", host=str(address[0]), port=int(address[1]))

    @cached_property
    def client(self) -> Any:
        from qdrant_client import QdrantClient

        return QdrantClient(url=self.server.url, check_compatibility=False)

    @property
    def collections(self) -> dict[str, str]:
        return {arm: f"{self.name}_{arm}" for arm in (BLUE, GREEN, ELSEWHERE)}

    def create(self, arm: str, *, points: int = 1, index_hash: str | None = None) -> None:
        from qdrant_client import models

        collection = self.collections[arm]
        self.client.create_collection(
            collection,
            vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE),
            metadata={"index_hash": index_hash or f"hash-{arm}"},
        )
        found = [models.PointStruct(id=number, vector=VECTOR, payload={"arm": arm}) for number in range(points)]
        if found:
            self.client.upsert(collection, points=found)

    def set_up(self) -> None:
        for arm in self.collections:
            self.create(arm)
        self.move(BLUE)

    def tear_down(self) -> None:
        for collection in self.collections.values():
            self.client.delete_collection(collection)
        self.client.close()

    def spec(self) -> dict[str, Any]:
        return {"alias": self.name, "targets": self.collections}

    def serve(self) -> frozenset[str]:
        found = self.client.query_points(self.name, query=VECTOR, limit=5)
        return frozenset((point.payload or {})["arm"] for point in found.points)

    def move(self, target: str) -> None:
        from qdrant_client import models

        create = models.CreateAlias(collection_name=self.collections[target], alias_name=self.name)
        self.client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])

    def plant(self) -> Callable[[], object]:
        from qdrant_client import models

        create = models.CreateAlias(collection_name=self.collections[BLUE], alias_name=f"{self.name}__rehearsal")
        self.client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
        return lambda: sorted((each.alias_name, each.collection_name) for each in self.client.get_aliases().aliases)

    def remove(self) -> None:
        from qdrant_client import models

        delete = models.DeleteAlias(alias_name=self.name)
        self.client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=delete)])

    def spoil(self, target: str, how: str) -> None:
        if how == "unhealthy":
            raise NotApplicable("a collection of the local mode is always green")
        self.client.delete_collection(self.collections[target])
        if how == "empty":
            self.create(target, points=0)

    def restart(self) -> None:
        self.server.restart()

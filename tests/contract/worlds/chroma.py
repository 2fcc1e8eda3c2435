"""A store without aliases: a key in a real etcd names the live arm, a real Chroma holds both.

Clients are imported where they are used: every test session imports this module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sandbox import servers
from sandbox.processes.keeper_client import KeeperClient
from sandbox.servers import Server
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers import Pointer
from switchover.pointers.kv_etcd import EtcdSpec
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, NotApplicable, World
from tests.contract.worlds.etcd import EtcdWorld

CHROMA = "chroma_http"
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"
_beside: dict[Path, Server] = {}


def etcd_beside(keeper: KeeperClient) -> Server:
    """An etcd of its own on the keeper that has Chroma, one for all worlds."""
    from tests.servers import here

    if keeper.state not in _beside:
        _beside[keeper.state] = here(partial(servers.start_etcd, name="etcd-beside-chroma"), keeper)
    return _beside[keeper.state]


class ChromaWorld(World):
    kind = "chroma"
    fixture = "chroma"
    write_marker = EtcdWorld.write_marker

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.keys = EtcdWorld(etcd_beside(server.keeper))
        self.keys.name = self.name

    @property
    def against(self) -> str:
        return f"{self.server.describe}; key in {self.keys.against}"

    @property
    def address(self) -> tuple[str, int]:
        return self.keys.address

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return self.keys.connection(address)

    def pointer(self, address: tuple[str, int] | str | None = None) -> Pointer:
        def connections(conn_id: str) -> Connection:
            if conn_id == CHROMA:
                return Connection(id=CHROMA, conn_type="http", host=self.server.host, port=self.server.port)
            return self.connection(address or self.address)

        edge = Edge(connections=connections)
        self._edges.append(edge)
        return EtcdSpec.model_validate({"connection": CONNECTION, **self.spec()}).build(edge)

    @cached_property
    def client(self) -> Any:
        import chromadb

        return chromadb.HttpClient(host=self.server.host, port=self.server.port)

    def create(self, arm: str) -> None:
        collection = self.client.create_collection(f"{self.name}_{arm}", metadata={"index_hash": f"hash-{arm}"})
        collection.add(ids=["1"], embeddings=[[1.0, 0.0]], metadatas=[{"arm": arm}])

    def set_up(self) -> None:
        for arm in (BLUE, GREEN):
            self.create(arm)
        self.keys.set_up()

    def tear_down(self) -> None:
        self.keys.tear_down()
        for found in self.client.list_collections():
            if found.name.startswith(self.name):
                self.client.delete_collection(found.name)

    def spec(self) -> dict[str, Any]:
        check = {"connection": CHROMA, "path": f"{COLLECTIONS}/{self.name}_{{target}}"}
        return {"kind": "kv_etcd", **self.keys.spec(), "check": check}

    def serve(self) -> frozenset[str]:
        """As a reader does: the key first, then the collection that it names."""
        arms: set[str] = set()
        for arm in self.keys.serve():
            collection = self.client.get_collection(f"{self.name}_{arm}")
            found = collection.query(query_embeddings=[[1.0, 0.0]], n_results=5)
            arms.update(str(each["arm"]) for each in found["metadatas"][0])
        return frozenset(arms)

    def move(self, target: str) -> None:
        self.keys.move(target)

    def plant(self) -> Callable[[], object]:
        return self.keys.plant()

    def remove(self) -> None:
        self.keys.remove()

    def spoil(self, target: str, how: str) -> None:
        if how != "missing":
            raise NotApplicable("what Chroma says of a collection by its name tells no more than that it is there")
        self.client.delete_collection(f"{self.name}_{target}")

    def restart(self) -> None:
        self.server.restart()
        self.keys.restart()

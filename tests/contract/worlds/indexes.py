"""What the contract suite of indexes must be able to do to each kind of store: a build, and what people do to it.

Ids are decimal numbers as text, which every store takes. Clients are imported where they are used.
"""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from tests.contract.worlds.base import NotApplicable
from tests.contract.worlds.chroma import COLLECTIONS

CONNECTION = "store"
#: id -> text, revision, vector
Rows = Mapping[str, tuple[str, int, list[float]]]
_numbers = itertools.count(1)


class IndexWorld(ABC):
    """One index (of one arm) in a real store."""

    table: ClassVar[str] = "indexes"
    kind: ClassVar[str]
    fixture: ClassVar[str]
    against: ClassVar[str]

    def __init__(self, server: Any) -> None:
        self.server = server
        self.name = f"ix{os.getpid()}_{next(_numbers)}"

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """The connection to the store."""

    @property
    def told(self) -> dict[str, Any]:
        """The plan's ``index``."""
        return {"kind": self.kind, "connection": CONNECTION}

    @cached_property
    def edge(self) -> Edge:
        return Edge(connections=lambda _: self.connection)

    @abstractmethod
    def create(self, rows: Rows) -> None:
        """Make the index with these rows, without a manifest."""

    @abstractmethod
    def put(self, id: str, text: str, revision: int, vector: list[float]) -> None:
        """Write one row, as a writer of the live index does; it is to be seen at once."""

    @abstractmethod
    def remove(self, id: str) -> None:
        """Remove one row."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the index, by the store's own means."""

    def use(self) -> None:
        """Make something in the store lead to the index."""
        raise NotApplicable("nothing in this store leads to an index")

    def release(self) -> None:  # noqa: B027 - where nothing leads to an index there is nothing to take away
        """Take that away again."""

    def close(self) -> None:
        self.release()
        self.drop()
        self.edge.close()


class PgvectorIndexWorld(IndexWorld):
    kind = "pgvector"
    fixture = "pg_server"
    against = "a real PostgreSQL with pgvector"

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        import psycopg

        from switchover.pointers.pgvector import create_tables

        server.create_database(self.name, vector=True)
        self.conn = psycopg.connect(server.url(self.name), autocommit=True)
        create_tables(self.edge.sql(CONNECTION))

    @property
    def connection(self) -> Connection:
        from urllib.parse import parse_qs, urlsplit

        parts = urlsplit(self.server.url(self.name))
        host = parse_qs(parts.query)["host"][0]
        return Connection(
            id=CONNECTION, conn_type="postgres", host=host, login=parts.username or "postgres", schema=self.name
        )

    def create(self, rows: Rows) -> None:
        self.run(f"CREATE TABLE {self.name} (id int PRIMARY KEY, text text, revision bigint, embedding vector)")
        for id, row in rows.items():
            self.put(id, *row)

    def put(self, id: str, text: str, revision: int, vector: list[float]) -> None:
        self.run(
            f"INSERT INTO {self.name} VALUES (%s, %s, %s, %s::real[]::vector) ON CONFLICT (id) DO UPDATE SET"
            " text = excluded.text, revision = excluded.revision, embedding = excluded.embedding",
            [int(id), text, revision, vector],
        )

    def remove(self, id: str) -> None:
        self.run(f"DELETE FROM {self.name} WHERE id = %s", [int(id)])

    def drop(self) -> None:
        self.run(f"DROP TABLE IF EXISTS {self.name}")

    def use(self) -> None:
        self.run(f"CREATE VIEW shown AS SELECT * FROM {self.name}")

    def release(self) -> None:
        self.run("DROP VIEW IF EXISTS shown")

    def close(self) -> None:
        super().close()
        self.conn.close()
        self.server.drop_database(self.name)

    def run(self, statement: str, values: Any = None) -> None:
        """Its counts are published at once, as they are some seconds later by themselves."""
        self.conn.execute(statement, values)
        self.conn.execute("SELECT pg_stat_force_next_flush()")
        self.conn.execute("SELECT 1")


class SearchIndexWorld(IndexWorld):
    kind = "opensearch"
    fixture = "opensearch"
    against = "a real OpenSearch"

    @property
    def connection(self) -> Connection:
        told = self.server.connection
        return Connection(
            id=CONNECTION,
            conn_type="http",
            host=self.server.host,
            port=self.server.port,
            login=told.get("login", ""),
            password=told.get("password", ""),
            extra=told.get("extra", {}),
        )

    @cached_property
    def client(self) -> Any:
        import httpx

        told = self.server.connection
        auth = (told["login"], told["password"]) if "login" in told else None
        return httpx.Client(base_url=self.server.url, auth=auth, timeout=30, trust_env=False, verify=False)

    def call(self, method: str, path: str, body: Any = None) -> None:
        answer = self.client.request(method, path, json=body)
        assert answer.is_success or answer.status_code == 404, answer.text

    def create(self, rows: Rows) -> None:
        self.call("PUT", f"/{self.name}", {"settings": {"number_of_shards": 2, "number_of_replicas": 0}})
        for id, row in rows.items():
            self.put(id, *row)

    def put(self, id: str, text: str, revision: int, vector: list[float]) -> None:
        body = {"text": text, "revision": revision, "embedding": vector}
        self.call("PUT", f"/{self.name}/_doc/{id}?refresh=true", body)

    def remove(self, id: str) -> None:
        self.call("DELETE", f"/{self.name}/_doc/{id}?refresh=true")

    def drop(self) -> None:
        self.call("DELETE", f"/{self.name}?ignore_unavailable=true")

    def use(self) -> None:
        self.call("PUT", f"/{self.name}/_alias/{self.name}_live")

    def release(self) -> None:
        self.call("DELETE", f"/{self.name}/_alias/{self.name}_live")

    def close(self) -> None:
        super().close()
        self.client.close()


class ElasticsearchIndexWorld(SearchIndexWorld):
    kind = "elasticsearch"
    fixture = "elasticsearch"
    against = "a real Elasticsearch"


class QdrantIndexWorld(IndexWorld):
    kind = "qdrant"
    fixture = "qdrant"
    against = "an emulator: the client's local mode behind HTTP"

    @property
    def connection(self) -> Connection:
        return Connection(id=CONNECTION, conn_type="qdrant", host=self.server.host, port=self.server.port)

    @cached_property
    def client(self) -> Any:
        from qdrant_client import QdrantClient

        return QdrantClient(url=self.server.url, check_compatibility=False)

    def create(self, rows: Rows) -> None:
        from qdrant_client import models

        size = len(next(iter(rows.values()))[2])
        vectors = models.VectorParams(size=size, distance=models.Distance.DOT)
        self.client.create_collection(self.name, vectors_config=vectors)
        for id, row in rows.items():
            self.put(id, *row)

    def put(self, id: str, text: str, revision: int, vector: list[float]) -> None:
        from qdrant_client import models

        payload = {"text": text, "revision": revision}
        self.client.upsert(self.name, points=[models.PointStruct(id=int(id), vector=vector, payload=payload)])

    def remove(self, id: str) -> None:
        self.client.delete(self.name, points_selector=[int(id)])

    def drop(self) -> None:
        self.client.delete_collection(self.name)

    def use(self) -> None:
        from qdrant_client import models

        create = models.CreateAlias(collection_name=self.name, alias_name=f"{self.name}_live")
        self.client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])

    def release(self) -> None:
        from qdrant_client import models

        if any(each.alias_name == f"{self.name}_live" for each in self.client.get_aliases().aliases):
            delete = models.DeleteAlias(alias_name=f"{self.name}_live")
            self.client.update_collection_aliases([models.DeleteAliasOperation(delete_alias=delete)])


class MilvusIndexWorld(IndexWorld):
    kind = "milvus"
    fixture = "milvus"
    against = "a real Milvus Lite"

    @property
    def connection(self) -> Connection:
        return Connection(id=CONNECTION, conn_type="generic", host=self.server.host, port=self.server.port)

    @cached_property
    def client(self) -> Any:
        from pymilvus import MilvusClient

        return MilvusClient(uri=self.server.url, dedicated=True)

    def create(self, rows: Rows) -> None:
        size = len(next(iter(rows.values()))[2])
        self.client.create_collection(self.name, dimension=size, consistency_level="Strong")
        self.client.upsert(self.name, [self._row(id, *row) for id, row in rows.items()])

    def put(self, id: str, text: str, revision: int, vector: list[float]) -> None:
        self.client.upsert(self.name, [self._row(id, text, revision, vector)])

    def _row(self, id: str, text: str, revision: int, vector: list[float]) -> dict[str, Any]:
        return {"id": int(id), "text": text, "revision": revision, "vector": vector}

    def remove(self, id: str) -> None:
        self.client.delete(self.name, ids=[int(id)])

    def drop(self) -> None:
        self.client.drop_collection(self.name)

    def use(self) -> None:
        self.client.create_alias(self.name, f"{self.name}_live")

    def release(self) -> None:
        if f"{self.name}_live" in self.client.list_aliases()["aliases"]:
            self.client.drop_alias(f"{self.name}_live")


class ChromaIndexWorld(IndexWorld):
    kind = "chroma"
    fixture = "chroma"
    against = "a real Chroma"

    @property
    def connection(self) -> Connection:
        return Connection(id=CONNECTION, conn_type="http", host=self.server.host, port=self.server.port)

    @cached_property
    def client(self) -> Any:
        import httpx

        return httpx.Client(base_url=self.server.url, timeout=30)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, f"{COLLECTIONS}{path}", json=body)
        assert answer.is_success or answer.status_code == 404, answer.text
        return answer.json() if answer.content else None

    def create(self, rows: Rows) -> None:
        self.id = self.call("POST", "", {"name": self.name, "metadata": {"team": "search"}})["id"]
        for id, row in rows.items():
            self.put(id, *row)

    def put(self, id: str, text: str, revision: int, vector: list[float]) -> None:
        row = {"ids": [id], "documents": [text], "embeddings": [vector], "metadatas": [{"revision": revision}]}
        self.call("POST", f"/{self.id}/upsert", row)

    def remove(self, id: str) -> None:
        self.call("POST", f"/{self.id}/delete", {"ids": [id]})

    def drop(self) -> None:
        self.call("DELETE", f"/{self.name}")


INDEX_WORLDS: dict[str, type[IndexWorld]] = {
    world.kind: world
    for world in (
        PgvectorIndexWorld,
        SearchIndexWorld,
        ElasticsearchIndexWorld,
        QdrantIndexWorld,
        MilvusIndexWorld,
        ChromaIndexWorld,
    )
}

"""An alias in a real OpenSearch, and the same in a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import httpx

from switchover.edge.connection import Connection
from switchover.pointers import Pointer
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, World

ELSEWHERE = "elsewhere"  # an index that all tests share
ARMS = (BLUE, GREEN, ELSEWHERE)
ONE_SHARD = {"number_of_shards": 1, "number_of_replicas": 0}


class OpenSearchWorld(World):
    kind = "opensearch"
    fixture = "opensearch"
    write_marker = b"must_exist"  # a first mark is only added
    changed: Mapping[str, Any] = {}
    login: tuple[str, str] | None = None

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.host, self.server.port

    def connection(self, address: tuple[str, int] | str) -> Connection:
        told = self.server.connection
        login, password = self.login or (told.get("login", ""), told.get("password", ""))
        return Connection(
            id=CONNECTION,
            conn_type=told["conn_type"],
            host=address[0],
            port=int(address[1]),
            login=login,
            password=password,
            extra=told.get("extra", {}),
        )

    @cached_property
    def client(self) -> httpx.Client:
        told = self.server.connection
        auth = (told["login"], told["password"]) if "login" in told else None
        # Nothing is verified on loopback without TLS; reading certificates would take longer than most of these tests.
        return httpx.Client(base_url=self.server.url, auth=auth, timeout=30, trust_env=False, verify=False)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request by a client that is not ours; raises on every error status."""
        return self.client.request(method, path, json=body).raise_for_status().json()

    def aliases(self, *actions: dict[str, Any]) -> None:
        """One ``_aliases`` call of somebody else."""
        self.call("POST", "/_aliases", {"actions": list(actions)})

    def index(self, arm: str) -> str:
        """The index of an arm."""
        return arm if arm == ELSEWHERE else f"{self.name}.{arm}"

    def create(self, index: str, *, filled: bool = True, up: bool = True, **settings: Any) -> None:
        """An index, with one document unless it is to be empty; its hash is of its own name."""
        body = {"settings": {**ONE_SHARD, **settings}, "mappings": {"_meta": {"index_hash": f"hash of {index}"}}}
        self.call("PUT", f"/{index}?wait_for_active_shards={int(up)}", body)
        if filled:
            self.call("POST", f"/{index}/_doc?refresh=true", {"text": index})

    def set_up(self, *arms: str) -> None:
        """See :class:`World`; ``arms``: those whose index is created, instead of both."""
        if self.client.get(f"/{ELSEWHERE}").status_code == httpx.codes.NOT_FOUND:
            self.create(ELSEWHERE)
        for arm in arms or (BLUE, GREEN):
            self.create(self.index(arm))
        self.aliases({"add": {"index": self.index(BLUE), "alias": self.name}})

    def tear_down(self) -> None:
        left = self.call("GET", f"/_alias/{self.name}*").get(ELSEWHERE, {}).get("aliases", {})
        if left:
            self.aliases(*({"remove": {"index": ELSEWHERE, "alias": name}} for name in left))
        found = list(self.call("GET", f"/{self.name}*/_settings/index.uuid"))
        if found:
            self.call("DELETE", f"/{','.join(found)}")
        self.client.close()

    def pointer(
        self, address: tuple[str, int] | str | None = None, *, login: tuple[str, str] | None = None, **spec: Any
    ) -> Pointer:
        """See :class:`World`; ``login`` instead of the server's own, ``spec`` instead of parts of the plan's."""
        self.changed, self.login = spec, login
        return super().pointer(address)

    def spec(self) -> dict[str, Any]:
        return {"alias": self.name, "targets": {arm: self.index(arm) for arm in ARMS}, **self.changed}

    def serve(self) -> frozenset[str]:
        hits = self.call("GET", f"/{self.name}/_search?_source=false")["hits"]["hits"]
        return frozenset(arm for arm in ARMS for hit in hits if hit["_index"] == self.index(arm))

    def move(self, target: str) -> None:
        every = [{"remove": {"index": self.index(arm), "alias": self.name}} for arm in ARMS if arm != target]
        self.aliases(*every, {"add": {"index": self.index(target), "alias": self.name}})

    def plant(self) -> Callable[[], object]:
        self.aliases({"add": {"index": self.index(BLUE), "alias": f"{self.name}--rehearsal"}})
        return lambda: self.call("GET", f"/_alias/{self.name}*")

    def remove(self) -> None:
        self.aliases({"remove": {"index": f"{self.name}*", "alias": self.name}})

    def spoil(self, target: str, how: str) -> None:
        index = self.index(target)
        self.call("DELETE", f"/{index}")
        if how == "empty":
            self.create(index, filled=False)
        elif how == "unhealthy":
            self.create(index, filled=False, up=False, **{"index.routing.allocation.enable": "none"})

    def restart(self) -> None:
        self.server.restart()


class ElasticsearchWorld(OpenSearchWorld):
    kind = "elasticsearch"
    fixture = "elasticsearch"


SEARCH_WORLDS: dict[str, type[OpenSearchWorld]] = {world.kind: world for world in (OpenSearchWorld, ElasticsearchWorld)}

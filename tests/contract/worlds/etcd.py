"""A key in a real etcd."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

from switchover.clients import etcd
from switchover.edge import Connection
from switchover.pointers.kv import Entry
from switchover.pointers.kv_etcd import EtcdStore
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
    def store(self) -> EtcdStore:
        return EtcdStore(client=etcd(self.connection(self.address)))

    def set_up(self) -> None:
        self.store.put(self.name, Entry(target=BLUE, epoch=0), instead_of=None)

    def tear_down(self) -> None:
        self.remove()

    def spec(self) -> dict[str, Any]:
        return {"key": self.name}

    def serve(self) -> frozenset[str]:
        entry = self.store.get(self.name)
        return frozenset([entry.target] if entry else [])

    def move(self, target: str) -> None:
        store = self.store
        entry = store.get(self.name)
        assert entry is not None
        assert store.put(self.name, dataclasses.replace(entry, target=target), instead_of=entry)

    def remove(self) -> None:
        self.store.delete(self.name)

    def restart(self) -> None:
        self.server.restart()

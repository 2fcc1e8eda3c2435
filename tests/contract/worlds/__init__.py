"""Every backend of the contract suite, by kind."""

from __future__ import annotations

from tests.contract.worlds.base import World
from tests.contract.worlds.etcd import EtcdWorld
from tests.contract.worlds.sql import KvSqlWorld, PgvectorWorld

WORLDS: dict[str, type[World]] = {world.kind: world for world in (EtcdWorld, KvSqlWorld, PgvectorWorld)}

"""A pointer that is a key, on a connection of the test's own."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers import AnyPointer, Pointer, PointerSpec
from tests.contract.worlds.base import CONNECTION


def pointer_on(kind: str, connection: Connection, **parts: Any) -> Pointer:
    adapter: TypeAdapter[PointerSpec] = TypeAdapter(AnyPointer)
    spec = adapter.validate_python({"kind": kind, "connection": CONNECTION, "key": "docs", **parts})
    return spec.build(Edge(connections=lambda _: connection))

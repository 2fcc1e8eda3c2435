"""The demo's data planes: for each kind of pointer, what carries requests to the arm that it names."""

from __future__ import annotations

from sandbox.demo.planes.alb import AlbPlane
from sandbox.demo.planes.base import PLANS, DataPlane
from sandbox.demo.planes.kv import KvPlane
from sandbox.demo.planes.opensearch import OpenSearchPlane
from sandbox.demo.planes.pgvector import PgvectorPlane

__all__ = ["PLANES", "PLANS", "DataPlane"]

PLANES: dict[str, type[DataPlane]] = {
    "pgvector": PgvectorPlane,
    "alb": AlbPlane,
    "kv": KvPlane,
    "opensearch": OpenSearchPlane,
}

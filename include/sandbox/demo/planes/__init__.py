"""The demo's data planes: for each kind of pointer, what carries requests to the arm that it names.

One more is no kind of pointer: its live figures come from another store.
"""

from __future__ import annotations

from sandbox.demo.planes.alb import AlbPlane
from sandbox.demo.planes.base import PLANS, DataPlane
from sandbox.demo.planes.k8s_service import KubernetesPlane
from sandbox.demo.planes.kv import KvPlane
from sandbox.demo.planes.opensearch import OpenSearchPlane
from sandbox.demo.planes.pgvector import PgvectorPlane
from sandbox.demo.planes.prometheus import PrometheusPlane

__all__ = ["PLANES", "PLANS", "SIGNALS", "DataPlane"]

#: Where the live figures come from: by the request log, or by another store beside POINTER=pgvector.
SIGNALS = ("sql", "prometheus")

PLANES: dict[str, type[DataPlane]] = {
    "pgvector": PgvectorPlane,
    "alb": AlbPlane,
    "k8s_service": KubernetesPlane,
    "kv": KvPlane,
    "opensearch": OpenSearchPlane,
    "prometheus": PrometheusPlane,
}

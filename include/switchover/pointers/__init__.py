"""Pointers by kind: the one place that knows every backend."""

from __future__ import annotations

from switchover.edge import Edge
from switchover.plan import Plan
from switchover.pointers.base import Applied, Capabilities, Change, Pointer, Reading
from switchover.pointers.pgvector import PgvectorPointer

__all__ = ["Applied", "Capabilities", "Change", "Pointer", "Reading", "build_pointer"]


def build_pointer(plan: Plan, edge: Edge) -> Pointer:
    """The pointer that the plan names."""
    spec = plan.pointer
    return PgvectorPointer(engine=edge.sql(spec.connection), alias=spec.alias)

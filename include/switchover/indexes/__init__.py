"""Indexes by kind."""

from __future__ import annotations

from switchover.edge import Edge
from switchover.indexes.base import Content, Health, Index, Sample
from switchover.indexes.pgvector import PgvectorIndex
from switchover.plan import Plan

__all__ = ["Content", "Health", "Index", "Sample", "build_index"]


def build_index(plan: Plan, edge: Edge) -> Index:
    """The index store that the plan names."""
    return PgvectorIndex(engine=edge.sql(plan.index.connection))

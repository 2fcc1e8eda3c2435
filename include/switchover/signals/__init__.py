"""Signals by kind."""

from __future__ import annotations

from switchover.edge import Edge
from switchover.plan import Plan
from switchover.signals.base import Signals
from switchover.signals.sql import SqlSignals

__all__ = ["Signals", "build_signals"]


def build_signals(plan: Plan, edge: Edge) -> Signals:
    """The metrics store that the plan names."""
    spec = plan.signals
    return SqlSignals(engine=edge.sql(spec.connection), table=spec.table, stale_s=spec.stale_s, arms=list(plan.arms))

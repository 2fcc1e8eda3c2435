"""Time budgets as Airflow deadlines: a run that is late raises the alarm while it is late, not when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference  # type: ignore[attr-defined] # not in its stub

from switchover.edge.edge import Edge
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.steps import alarm
from switchover_airflow.connections import airflow_edge_async

#: What attest, freeze, verify and warm may take together before the hold; no plan key says more.
PREPARATION = timedelta(minutes=30)


def of_switchover(plan: Plan) -> DeadlineAlert:
    """Preparation, the longest hold and a rollback: then the run hangs."""
    longest = PREPARATION + timedelta(minutes=plan.hold.max_minutes, seconds=plan.rollback.ttr_s)
    return _deadline(plan, longest, what="switchover", own_run=True)


def of_rollback(plan: Plan) -> DeadlineAlert:
    """The time to restore."""
    return _deadline(plan, timedelta(seconds=plan.rollback.ttr_s), what="rollback", own_run=False)


def _deadline(plan: Plan, budget: timedelta, *, what: str, own_run: bool) -> DeadlineAlert:
    told = {
        "ledger_conn_id": plan.ledger,
        "service": plan.service,
        "what": what,
        "budget_s": budget.total_seconds(),
        "own_run": own_run,
    }
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        # Seconds: Airflow 3.3 cannot clear a task of a run whose deadline is a timedelta (apache/airflow#70368).
        interval=budget.total_seconds(),
        callback=AsyncCallback(over_budget, kwargs=told),
        name=f"{what} of {plan.service}",
    )


async def over_budget(
    *, ledger_conn_id: str, service: str, what: str, budget_s: float, own_run: bool, context: Mapping[str, Any]
) -> str:
    """Called in the triggerer; returns the line that was written down. See ``switchover.steps.alarm``."""
    edge: Edge = await airflow_edge_async([ledger_conn_id])
    id = f"{service}:{context['dag_run']['dag_run_id']}" if own_run else None

    def write() -> str:
        ledger = Ledger(engine=edge.sql(ledger_conn_id))
        return alarm.over_budget(ledger=ledger, service=service, what=what, budget_s=budget_s, id=id)

    try:
        return await asyncio.to_thread(write)
    finally:
        edge.close()

"""The ledgers of the plans, read only: an engine for each is built when a page first needs it, and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from switchover.errors import PlanError
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover_airflow.connections import airflow_edge
from switchover_airflow.plans import plan_paths

DEFAULT = str(Plan.model_fields["ledger"].default)


def ledger_names() -> list[str]:
    """Connections of all ledgers that the plans name; the default one when there are no plans."""
    return sorted({ledger for _, ledger in _plans()}) or [DEFAULT]


def ledger_of(run: str) -> Ledger:
    """The ledger of a run by its service's plan; that of a service without a plan is the first that knows it."""
    service = run.partition(":")[0]
    names = [ledger for of, ledger in _plans() if of == service] or ledger_names()
    found = [open_ledger(name) for name in names]
    return next((ledger for ledger in found if ledger.runs.find(run) is not None), found[0])


@lru_cache
def open_ledger(name: str) -> Ledger:
    """A ledger on an Airflow connection; every transaction is read only."""
    return Ledger(engine=airflow_edge().sql(name).execution_options(postgresql_readonly=True))


def _plans() -> Iterator[tuple[str, str]]:
    for path in plan_paths():
        with contextlib.suppress(OSError):  # a file that went, or a link to nothing
            found = _service_and_ledger(str(path), path.stat().st_mtime_ns)
            if found is not None:
                yield found


@lru_cache
def _service_and_ledger(path: str, changed_at: int) -> tuple[str, str] | None:
    try:
        plan = load_plan(Path(path))
    except PlanError:
        return None
    return plan.service, plan.ledger

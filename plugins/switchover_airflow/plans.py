"""Where the plans are; and a plan that cannot be read, shown by Airflow as an import error of that plan alone.

Plans are in ``include/plans``, or where ``SWITCHOVER_PLANS`` says: a folder, or one plan.

Airflow keeps one import error a file and takes every DAG of that file out of the scheduler, so a plain
exception in ``dags/switchover.py`` would stop every service. A broken plan becomes a DAG instead that
refuses to be serialised: Airflow reports it under its own ``relative_fileloc``, here the plan's path.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from switchover.errors import PlanError
from switchover.plan import Plan, load_plan


def plan_paths() -> list[Path]:
    """The files of all plans."""
    plans = Path(os.environ.get("SWITCHOVER_PLANS") or Path(__file__).parents[2] / "include" / "plans")
    return sorted(plans.glob("*.yaml")) if plans.is_dir() else [plans]


def readable_plans() -> Iterator[Plan]:
    """The plans without those that cannot be read: ``dags/switchover.py`` reports them."""
    for path in plan_paths():
        with contextlib.suppress(PlanError):
            yield load_plan(path)


class BrokenPlan(DAG):
    """Stands where the plan's DAG would be. Has no tasks and is never serialised."""

    def __init__(self, *, path: Path, error: PlanError) -> None:
        self._path = f"{path.parent.name}/{path.name}"
        self._error = error
        super().__init__(dag_id=f"broken_plan__{path.stem}", schedule=None)

    @property
    def relative_fileloc(self) -> str:
        """Under which name Airflow lists the import error."""
        return self._path

    @relative_fileloc.setter
    def relative_fileloc(self, value: str | None) -> None:
        """Airflow sets the DAG file's name here; the plan's stays."""

    def get_serialized_fields(self) -> Any:  # type: ignore[override]
        """Called when Airflow serialises the DAG: the moment at which an error is kept under its own name."""
        raise PlanError(str(self._error)) from None

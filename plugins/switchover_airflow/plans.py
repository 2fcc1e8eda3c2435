"""Where the plans are, and their DAGs; a plan that is broken is an import error of that plan alone.

Plans are in ``include/plans``, or where ``SWITCHOVER_PLANS`` says: a folder, or one plan.

Airflow keeps one import error a file and takes every DAG of that file out of the scheduler, so a plain
exception in ``dags/switchover.py`` would stop every service. A broken plan becomes a DAG instead that
refuses to be serialised: Airflow reports it under its own ``relative_fileloc``, here the plan's path.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.definitions.param import ParamsDict

from switchover.errors import PlanError
from switchover.plan import Plan
from switchover.planfile.folder import load_plans, plan_files
from switchover.planfile.lines import NOT_TEXT, shown


def plan_paths() -> list[Path]:
    """The files of all plans."""
    return plan_files(Path(os.environ.get("SWITCHOVER_PLANS") or Path(__file__).parents[2] / "include" / "plans"))


def dags_of(
    builders: Mapping[str, Callable[[Plan], DAG]],
    *,
    where: Callable[[Plan], bool] = lambda plan: True,
    report: bool = True,
) -> dict[str, DAG]:
    """The DAGs of every plan by their ids, for the globals of a DAG file. Nothing that a plan holds makes it raise.

    ``builders``: kind of DAG -> what builds it. ``report``: whether this file is the one that reports broken plans.
    """
    wanted = get_parsing_context().dag_id  # a task needs its own DAG; None: the DAG processor wants all of them
    dags: dict[str, DAG] = {}
    for found in load_plans(plan_paths()):
        if found.plan is None:
            made: list[DAG] = [BrokenPlan(path=found.path, told=str(found.error))] if report else []
        elif where(found.plan):
            made = list(_built(found.path, found.plan, builders, wanted))
        else:
            made = []
        dags.update({dag.dag_id: dag for dag in made})
    return dags


def _built(path: Path, plan: Plan, builders: Mapping[str, Callable[[Plan], DAG]], wanted: str | None) -> Iterator[DAG]:
    try:
        dags = [build(plan) for kind, build in builders.items() if wanted in (None, f"{kind}__{plan.service}")]
        for dag in dags:
            _share_params(dag)
            if wanted is None:
                _serialise(dag)
    except Exception as error:  # noqa: BLE001  (the last net: whatever Airflow does not take is this plan's error)
        told = NOT_TEXT.sub("?", f"{type(error).__name__}: {error}")[:1000]
        yield BrokenPlan(path=path, told=f"{shown(path)}:1: Airflow does not take this plan: {told}")
    else:
        yield from dags


def _share_params(dag: DAG) -> None:
    """Leave the DAG's params with the DAG: a task's run begins with them, and then takes its own.

    Airflow gives each task a copy, and checks every copy by its JSON schema whenever the DAG is written down.
    """
    for task in dag.tasks:
        task.params = ParamsDict()


def _serialise(dag: DAG) -> None:
    """What the DAG processor will do with a DAG: write it down, read it, ask when it runs next."""
    from airflow.serialization.serialized_objects import DagSerialization

    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    # Without a schedule there is no next run, and asking writes a line of log for each DAG at each parse.
    if dag.schedule is not None:
        read.next_dagrun_info(last_automated_run_info=None)


class BrokenPlan(DAG):
    """Stands where the plan's DAGs would be. Has no tasks and is never serialised."""

    def __init__(self, *, path: Path, told: str) -> None:
        self._path = shown(Path(path.parent.name) / path.name)
        self._told = told
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)[:100]
        own = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]  # two files must not become one id
        super().__init__(dag_id=f"broken_plan__{name}_{own}", schedule=None)

    @property
    def relative_fileloc(self) -> str:
        """Under which name Airflow lists the import error."""
        return self._path

    @relative_fileloc.setter
    def relative_fileloc(self, value: str | None) -> None:
        """Airflow sets the DAG file's name here; the plan's stays."""

    def get_serialized_fields(self) -> Any:  # type: ignore[override]
        """Called when Airflow serialises the DAG: the moment at which an error is kept under its own name."""
        raise PlanError(self._told) from None

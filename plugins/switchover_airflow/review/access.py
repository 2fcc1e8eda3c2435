"""Who may see which switchover. Airflow mounts a plugin's app without any check, so each route asks here.

Rights are those on the DAG that a run belongs to: ``switchover__<service>``. Rights come first: without them
nobody learns whether a run exists.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, HTTPException, status

PREFIX = "switchover__"


def dag_of(run: str) -> str:
    """The DAG of a run in the ledger, whose id is ``<service>:<DAG run id>``."""
    return f"{PREFIX}{run.partition(':')[0]}"


def require_dag(dag_id: str, user: GetUserDep) -> str:
    """403 unless the user may read this DAG; 401 without login."""
    if not get_auth_manager().is_authorized_dag(method="GET", details=DagDetails(id=dag_id), user=user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"no right to read the DAG {dag_id}")
    return dag_id


def require_run(run: str, user: GetUserDep) -> str:
    """403 unless the user may read the run's DAG; 401 without login."""
    require_dag(dag_of(run), user)
    return run


def readable_services(user: GetUserDep) -> Set[str]:
    """The services whose DAGs the user may read; 401 without login."""
    dags = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    return {dag.removeprefix(PREFIX) for dag in dags if dag.startswith(PREFIX)}


Run = Annotated[str, Depends(require_run)]
Dag = Annotated[str, Depends(require_dag)]
Services = Annotated[Set[str], Depends(readable_services)]

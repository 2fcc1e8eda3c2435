"""Links from a task to the thing it moves, and to the page that shows what it did."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink, conf


class PointerLink(BaseOperatorLink):
    """The pointer's page in its store's console. Empty for stores that have none."""

    name = "Pointer"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The task notes the address when it opens the pointer; stored when it ends or defers."""
        return str(getattr(operator, "pointer_url", "") or "")


class SwitchoverLink(BaseOperatorLink):
    """The run's page inside Airflow. Stored when the task ends or defers, so it works during the hold."""

    name = "Switchover"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The "Switchover" tab of the DAG run."""
        return tab_of(ti_key.dag_id, ti_key.run_id)


def page_of(switchover_id: str) -> str:
    """The same tab by the run's id in the ledger; empty where nobody has said where Airflow is."""
    service, _, run_id = switchover_id.partition(":")
    return tab_of(f"switchover__{service}", run_id) if conf.get("api", "base_url", fallback="") else ""


def tab_of(dag_id: str, run_id: str) -> str:
    """Address of the "Switchover" tab of a DAG run."""
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id)}/plugin/switchover"

"""The one file that Airflow scans in this folder: it registers the review page. The rest is in switchover_airflow."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from switchover_airflow.review import MOUNT, LazyApp


class SwitchoverPlugin(AirflowPlugin):
    """ "Switchovers" in the navigation, and a "Switchover" tab on each DAG run."""

    name = "switchover"
    fastapi_apps: list[Any] = [{"app": LazyApp(), "url_prefix": MOUNT, "name": "Switchover"}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012
        {"name": "Switchovers", "href": f"{MOUNT}/", "destination": "nav", "url_route": "switchovers"},
        {
            "name": "Switchover",
            "href": f"{MOUNT}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "switchover",
        },
    ]

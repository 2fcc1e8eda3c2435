"""Rebuild a dashboard's cache as soon as the pointer is on Green, whoever moved it. Takes no worker while it waits.

Needs: a ``postgres`` connection named ``config_db`` with the table of docs/pointers/kv.md.
"""

from airflow.sdk import DAG, task

from switchover_airflow.sensors.pointer import PointerAtSensor

with DAG("example_pointer_at", schedule=None, tags=["example"]):

    @task
    def rebuild_the_cache() -> str:
        """Yours."""
        return "rebuilt"

    (
        PointerAtSensor(
            task_id="wait_for_green",
            pointer={"kind": "kv_sql", "connection": "config_db", "key": "docs"},
            arm="docs_v2",
            poke_interval=2,
            timeout=3600,
        )
        >> rebuild_the_cache()
    )

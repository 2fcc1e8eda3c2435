"""The second writer of the sandbox: every 10 seconds it applies the ``dag`` stream to the live index.

A switchover freezes it by pausing the DAG and waiting for its active runs; what it writes is counted like
the process writer's.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import dag, task


@dag(
    dag_id="docs_ingest",
    schedule=timedelta(seconds=10),
    start_date=datetime(2025, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=2)},
    tags=["sandbox", "writer"],
    doc_md=__doc__,
)
def docs_ingest() -> None:
    """One task: take in what has arrived."""

    @task
    def apply() -> dict[str, int | str | bool | None]:
        """Apply the ``dag`` stream through the Airflow connection ``docs_db``."""
        import dataclasses

        import psycopg
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        from sandbox.service.live import live_from
        from sandbox.writers import ingest

        conn = PostgresHook(postgres_conn_id="docs_db").get_conn()
        if not isinstance(conn, psycopg.Connection):
            raise TypeError("connection docs_db: psycopg 3 is needed; install psycopg[binary]>=3")
        with conn:
            return dataclasses.asdict(ingest.apply_all(conn, stream="dag", live=live_from()))

    apply()


docs_ingest()

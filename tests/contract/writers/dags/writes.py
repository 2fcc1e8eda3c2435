"""A DAG whose one task works for as long as a file is there, and one that has a second task after it."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path

from airflow.sdk import dag, task

BEGIN = datetime(2025, 1, 1, tzinfo=timezone.utc)


@task
def write() -> None:
    busy = Path(os.environ["WRITES_BUSY"])
    while busy.exists():
        time.sleep(0.05)


@dag(dag_id="writes", schedule=None, start_date=BEGIN, catchup=False)
def writes() -> None:
    write()


@dag(dag_id="writes_in_two", schedule=None, start_date=BEGIN, catchup=False, max_active_runs=1)
def writes_in_two() -> None:
    @task
    def load() -> None:
        pass

    write() >> load()


writes()
writes_in_two()

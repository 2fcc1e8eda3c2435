"""A DAG whose one task works for as long as a file is there."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path

from airflow.sdk import dag, task


@dag(dag_id="writes", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=timezone.utc), catchup=False)
def writes() -> None:
    @task
    def write() -> None:
        busy = Path(os.environ["WRITES_BUSY"])
        while busy.exists():
            time.sleep(0.05)

    write()


writes()

"""Imports what tasks need, once, in the process that they are forked from.

Airflow forks each task from a worker that has loaded the plugins. Without this file every task of a switchover would
import numpy, SQLAlchemy and psycopg anew, which costs more than most steps take (``make bench-ttr``).
"""

from __future__ import annotations

import wordllama  # noqa: F401
from airflow.plugins_manager import AirflowPlugin

import switchover_airflow.operators.gates
import switchover_airflow.operators.recovery
import switchover_airflow.operators.steps
import switchover_airflow.sensors.hold  # noqa: F401


class PreloadPlugin(AirflowPlugin):
    """Registers nothing."""

    name = "switchover_preload"

"""Loads what tasks need once, in the process that they are forked from.

Airflow's scheduler, with a LocalExecutor, forks each task from a worker that it has forked itself. Without this file
every task of a switchover would import numpy, SQLAlchemy and psycopg anew, and verify and warm would read the judge
encoder's weights, which costs more than most steps take (``make bench-ttr``). The triggerer and the DAG processor
gain as well; the api-server, other commands and other executors load nothing here.
"""

from __future__ import annotations

import importlib
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

MODULES = ("operators.approve", "operators.gates", "operators.recovery", "operators.steps", "sensors.hold")


class Preload:
    """Hears that a scheduler, a triggerer or a DAG processor begins."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Load what its forks will need."""
        for name in MODULES:
            importlib.import_module(f"switchover_airflow.{name}")
        importlib.import_module("switchover.edge.http_connection").trusted()
        importlib.import_module("switchover.encoders.wordllama").load_weights()


class PreloadPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "switchover_preload"
    listeners: list[Any] = [Preload()]  # noqa: RUF012

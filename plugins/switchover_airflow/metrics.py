"""A run's figures, sent through Airflow's own metrics (StatsD or OpenTelemetry), and a mark on its own span."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

from airflow.sdk import conf
from airflow.sdk.observability import stats
from opentelemetry import trace

from switchover.ledger import Ledger
from switchover.report.metrics import figures

log = logging.getLogger("switchover")
Gauge = Callable[..., None]


def send(ledger: Ledger, id: str, *, gauge: Gauge = stats.gauge) -> None:
    """Send every figure of a run, where Airflow sends metrics at all. Nothing here reaches the run.

    ``gauge`` is Airflow's own function; the triggerer has another than the tasks.
    """
    try:
        if _switched_on():
            for figure in figures(ledger, id):
                gauge(figure.name, figure.value, tags=dict(figure.tags))
    except Exception as error:  # noqa: BLE001  (a run does not fail for want of a metric)
        log.warning("%s: metrics not sent: %s", id, type(error).__name__)


def mark_span(id: str) -> None:
    """Name the switchover on the span that Airflow keeps of this task; costs nothing where it keeps none."""
    trace.get_current_span().set_attribute("switchover.id", id)


@cache
def _switched_on() -> bool:
    return any(conf.getboolean("metrics", name) for name in ("statsd_on", "otel_on", "statsd_datadog_enabled"))

"""A run's figures over OpenTelemetry: Airflow's own client, set up as Airflow sets it up in a task, to a real receiver.

The receiver is a socket that reads OTLP over HTTP; it is no collector.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from sandbox.processes.postgres import Postgres
from switchover.ledger import Ledger
from switchover.report.metrics import figures
from tests.airflow.conftest import ROOT
from tests.inner.recorded import record
from tests.inner.test_notify import Receiver

RUN = "docs:1"
SEND = """
import sys
import sqlalchemy as sa
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from switchover.ledger import Ledger
from switchover_airflow import metrics

stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
metrics.send(Ledger(engine=sa.create_engine(sys.argv[1])), sys.argv[2])
"""


@pytest.fixture
def url(pg_server: Postgres) -> Iterator[str]:
    pg_server.create_database("otlp")
    yield pg_server.sqlalchemy_url("otlp")
    pg_server.drop_database("otlp")


def test_every_figure_arrives_with_its_tags(url: str) -> None:
    engine = sa.create_engine(url)
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    record(ledger, RUN)
    receiver = Receiver()
    environ = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'plugins'}",
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    done = subprocess.run(
        [sys.executable, "-c", SEND, url, RUN], env=environ, capture_output=True, text=True, timeout=120
    )
    receiver.close()
    assert done.returncode == 0, done.stderr
    assert {path for path, _, _ in receiver.got} == {"/v1/metrics"}
    sent = {(f"airflow.{each.name}", tuple(sorted(each.tags.items()))): each.value for each in figures(ledger, RUN)}
    engine.dispose()
    found = dict(point for _, _, body in receiver.got for point in points(body))
    clocks = {"airflow.switchover.hold.elapsed_seconds"}
    assert {key: value for key, value in found.items() if key[0] not in clocks} == {
        key: pytest.approx(value) for key, value in sent.items() if key[0] not in clocks
    }
    assert clocks <= {name for name, _ in found}


def points(body: bytes) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], float]]:
    """((name, tags), value) of every gauge in a request."""
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.gauge.data_points:
                    tags = tuple(sorted((tag.key, tag.value.string_value) for tag in point.attributes))
                    yield (metric.name, tags), float(getattr(point, point.WhichOneof("value")))

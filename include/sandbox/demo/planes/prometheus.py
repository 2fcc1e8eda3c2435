"""``SIGNALS=prometheus``: the live figures come from a real Prometheus, which scrapes the service."""

from __future__ import annotations

from functools import partial

from sandbox.demo.planes.pgvector import PgvectorPlane
from sandbox.processes import ports
from sandbox.servers import start_prometheus


class PrometheusPlane(PgvectorPlane):
    """The pointer is that of ``POINTER=pgvector``."""

    file = "docs_prometheus.yaml"
    connections = ("docs_metrics",)
    made = ("prometheus",)

    def start_servers(self) -> None:
        """See :class:`DataPlane`."""
        start = partial(start_prometheus, targets=[f"{ports.HOST}:{self.stack.service_port}"], scrape_s=2)
        self._start_server("Prometheus", start, "docs_metrics")

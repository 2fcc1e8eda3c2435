"""The service's own metrics, as Prometheus scrapes them from ``GET /metrics``. Probes are counted apart."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest

EDGES_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """One process's counters. A request that failed before its arm was known has the empty arm."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("arm", "kind")
        self._requests = Counter("docs_requests", "Requests.", (*labels, "code"), registry=self._registry)
        self._loops = Counter("docs_tool_loops", "Requests with a tool loop.", labels, registry=self._registry)
        self._seconds = Histogram(
            "docs_request_seconds", "Time by stage.", (*labels, "stage"), buckets=EDGES_S, registry=self._registry
        )

    def served(self, *, arm: str | None, probe: bool, status: int, stages_ms: Mapping[str, float]) -> None:
        """Count one request, whatever became of it."""
        labels = {"arm": arm or "", "kind": "probe" if probe else "live"}
        self._requests.labels(**labels, code=str(status)).inc()
        self._loops.labels(**labels)  # a series from the first request on, at 0: so that its absence is a fault
        for stage, ms in stages_ms.items():
            self._seconds.labels(**labels, stage=stage).observe(ms / 1000)

    def add_to(self, app: FastAPI) -> None:
        """``GET /metrics``."""

        async def metrics() -> Response:
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

        app.add_api_route("/metrics", metrics, methods=["GET"])

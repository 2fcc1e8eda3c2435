"""What a watchdog tells the world: ``/healthz`` for a supervisor, ``/metrics`` for Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from switchover.errors import BadInput

MISSED_LOOKS = 5
SLACK_S = 2.0


class Metrics:
    """The watchdog's figures, and whether it is well."""

    def __init__(self, *, interval_s: float) -> None:
        self._interval_s = interval_s
        self._well_at = time.monotonic()
        self._problem = ""
        self._sees = "nothing yet"
        self._results: dict[str, str] = {}
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        name = "switchover_watchdog"
        self._looks = Counter(f"{name}_looks", "Looks at the ledger.", registry=self.registry)
        self._reachable = Gauge(
            f"{name}_ledger_reachable", "Whether the last look could read and write the ledger.", registry=self.registry
        )
        self._last = Gauge(f"{name}_last_look_timestamp_seconds", "When a look last succeeded.", registry=self.registry)
        self._open = Gauge("switchover_open_runs", "Switchovers that have not ended.", registry=self.registry)
        self._undriven = Gauge(
            "switchover_undriven_runs", "Runs after their flip began whose lease nobody holds.", registry=self.registry
        )
        self._broken = Gauge(
            f"{name}_unreadable_runs",
            "Runs that nobody drives and whose record is not readable.",
            registry=self.registry,
        )
        self._waiting = Gauge(
            f"{name}_unsettled_runs",
            "Runs that could not be settled so far: pointer not read (blind), a person must look (stuck), failed.",
            ["result"],
            registry=self.registry,
        )
        self._taken_over = Counter(
            f"{name}_attended", "Attempts to settle a run, by result.", ["result"], registry=self.registry
        )

    def looked(self, *, open: int, undriven: int, broken: int, problem: str, sees: str) -> None:
        """After each look."""
        self._looks.inc()
        self._reachable.set(0 if problem else 1)
        with self._lock:
            self._problem = problem
            if problem:
                return
            self._well_at, self._sees = time.monotonic(), sees
            if not undriven:
                self._results.clear()
                self._count()
        self._last.set_to_current_time()
        self._broken.set(broken)
        self._open.set(open)
        self._undriven.set(undriven)

    def taken_over(self, run: str, result: str) -> None:
        """After each attempt to settle a run."""
        self._taken_over.labels(result=result).inc()
        with self._lock:
            self._results[run] = result
            self._count()

    def health(self) -> tuple[bool, dict[str, object]]:
        """Whether the ledger was reachable within the last looks, and what to show."""
        with self._lock:
            age = time.monotonic() - self._well_at
            well = age <= MISSED_LOOKS * self._interval_s + SLACK_S
            return well, {"ok": well, "last_look_s": round(age, 1), "sees": self._sees, "problem": self._problem}

    def _count(self) -> None:
        results = list(self._results.values())
        for result in ("blind", "stuck", "failed"):
            self._waiting.labels(result=result).set(results.count(result))


@contextmanager
def served(metrics: Metrics, *, host: str, port: int) -> Iterator[int]:
    """Answer ``/healthz`` and ``/metrics`` for the block; gives the port (0 takes any free one)."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds: a client that says nothing holds its thread no longer

        def do_GET(self) -> None:
            if self.path == "/healthz":
                well, shown = metrics.health()
                self._answer(200 if well else 503, "application/json", json.dumps(shown).encode())
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry))
            else:
                self._answer(404, "text/plain", b"allowed: /healthz, /metrics\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise BadInput(f"--listen {host}:{port}: {error.strerror}; allowed: a free HOST:PORT, or `off`") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

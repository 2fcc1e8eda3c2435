"""A real Prometheus that scrapes counters of ours: restarts, new processes and lost scrapes as they really look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox.servers import Server
from sandbox.servers.prometheus import scrape_to
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.judge.traffic import Dead, SignalSample
from switchover.signals import Signals, signals_of
from tests.contract.signals.base import spec_of

PATIENCE_S = 40.0
NAMED = {
    "requests": 'r_total{arm="{arm}"}',
    "errors_5xx": 'r_total{arm="{arm}", code=~"5.."}',
    "failures": 'r_total{arm="{arm}", code!~"2.."}',
}


class Process:
    """A process that is scraped: its counters by arm and code."""

    def __init__(self) -> None:
        self.served: dict[tuple[str, str], int] = {}
        self.buckets: dict[str, int] = {}
        self.up, self.name = True, "r"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = outer.text().encode()
                self.send_response(200 if outer.up else 500)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def text(self) -> str:
        lines = [f"# TYPE {self.name}_total counter"]
        lines += [f'{self.name}_total{{arm="{arm}",code="{code}"}} {n}' for (arm, code), n in self.served.items()]
        lines += ["# TYPE s histogram"]
        lines += [f's_bucket{{arm="green",le="{edge}"}} {n}' for edge, n in self.buckets.items()]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def processes(prometheus: Server) -> Iterator[list[Process]]:
    found = [Process(), Process()]
    yield found
    scrape_to(prometheus.data, [])
    for each in found:
        each.close()


def asked(server: Server, **part: Any) -> Signals:
    edge = Edge(
        connections=lambda _: Connection(
            id="store", conn_type="http", host="127.0.0.1", port=server.port, schema="http"
        )
    )
    given = {"figures": NAMED, "scrape_s": 0.5, "late_s": 0.5, "stale_s": 6, **part}
    return signals_of(spec_of({"kind": "prometheus", "connection": "store", **given}), edge, arms=["blue", "green"])


def now() -> datetime:
    return datetime.now(timezone.utc)


def until(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What is wanted, once the scrapes have brought it."""
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(found := ask()):
        assert time.monotonic() < deadline, f"not there after {PATIENCE_S:g} s; the last was {found}"
        time.sleep(0.2)
    return found


def test_what_a_real_one_scrapes_is_counted_exactly(prometheus: Server, processes: list[Process]) -> None:
    first, second = processes
    first.served = {("green", "200"): 1_000, ("blue", "200"): 5_000}
    scrape_to(prometheus.data, [first.address])
    signals = asked(prometheus, p95_ms={"total": {"buckets": 's_bucket{arm="{arm}"}'}})
    until(lambda: signals.survey(arms=["green"])[0].value, lambda value: value is not None)
    time.sleep(1.5)  # two scrapes: the flip lies behind the first of them
    flip = now()

    def look() -> SignalSample | Dead:
        return signals.query(arm="green", since=flip, until=now())

    def counted(requests: int, errors: int) -> SignalSample:
        found = until(look, lambda s: isinstance(s, SignalSample) and s.requests >= requests)
        assert (found.requests, found.errors_5xx, found.failures) == (requests, errors, errors)
        return found  # type: ignore[no-any-return]

    counted(0, 0)
    first.served = {("green", "200"): 1_060, ("green", "503"): 3, ("blue", "200"): 5_000}
    found = counted(63, 3)
    assert found.elsewhere == 0
    at = signals.first_error(arm="green", since=flip)
    assert at is not None
    assert flip < at <= now()

    first.served = {("green", "200"): 10, ("green", "503"): 1, ("blue", "200"): 40}  # it began again
    found = counted(74, 4)
    assert found.elsewhere == 40

    second.served = {("green", "200"): 7}
    first.buckets = {"0.1": 10, "0.25": 19, "0.5": 20, "+Inf": 20}
    scrape_to(prometheus.data, [first.address, second.address])
    counted(81, 4)
    first.buckets = {"0.1": 100, "0.25": 190, "0.5": 200, "+Inf": 200}
    sample = until(look, lambda s: isinstance(s, SignalSample) and "total" in s.p95_ms)
    assert tuple(sample.p95_between["total"]) == (100.0, 250.0)
    assert 100 <= sample.p95_ms["total"] <= 250

    first.up = second.up = False
    dead = until(look, lambda s: isinstance(s, Dead))
    assert "requests of green: stale: the newest sample is" in dead.why
    assert 'query: r_total{arm="green"}[' in dead.why


def test_preflight_finds_a_metric_and_a_label_that_do_not_exist(prometheus: Server, processes: list[Process]) -> None:
    processes[0].name = "p"  # a metric of this test alone
    named = {figure: selector.replace("r_total", "p_total") for figure, selector in NAMED.items()}
    processes[0].served = {("green", "200"): 10, ("blue", "200"): 10}
    scrape_to(prometheus.data, [processes[0].address])
    good = asked(prometheus, figures=named)
    until(lambda: good.survey(arms=["green"])[0].value, lambda value: value is not None)
    found = {each.figure: each for each in good.survey(arms=["green"])}
    assert (found["errors_5xx"].value, found["errors_5xx"].why) == (0.0, "none seen yet")
    wrong = asked(
        prometheus,
        figures={
            **named,
            "errors_5xx": 'p_total{arm="{arm}", status=~"5.."}',
            "tool_loops": 'loops_total{arm="{arm}"}',
        },
    )
    told = {each.figure: each for each in wrong.survey(arms=["blue", "green"])}
    assert (told["errors_5xx"].value, told["errors_5xx"].why) == (None, "p_total has no label status in the last hour")
    assert (told["tool_loops"].value, told["tool_loops"].why) == (
        None,
        "stale: no sample of loops_total in the last 6 s",
    )


def test_its_own_words_stand_in_the_line(prometheus: Server, processes: list[Process]) -> None:
    processes[0].served = {("green", "200"): 10}
    scrape_to(prometheus.data, [processes[0].address])
    signals = asked(prometheus, extra=[{"name": "odd", "query": "sum(r_total", "accept": 1}])
    found = until(
        lambda: signals.query(arm="green", since=now() - timedelta(seconds=5), until=now()),
        lambda s: isinstance(s, SignalSample),
    )
    assert "400: the store does not understand the query: invalid parameter" in found.lacks["extra_odd"]
    assert "unclosed left parenthesis" in found.lacks["extra_odd"]
    assert found.lacks["extra_odd"].endswith("query: sum(r_total")

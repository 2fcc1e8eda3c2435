"""Silence is no pass: what a request log must show of users on Green, on a real PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.judge.traffic import Dead, SignalSample
from switchover.signals import Signals, signals_of
from switchover.signals.sql import SqlSignalsSpec

ROW = """INSERT INTO request_log
    SELECT clock_timestamp() - make_interval(secs => :ago), :arm, :kind, :status, 1, 1, 1, 10, false
    FROM generate_series(1, :count)"""
Fill = Callable[..., None]


@pytest.fixture
def engine(fresh_db: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(fresh_db)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE request_log (at timestamptz, arm text, kind text, status int, ms_retrieve real,"
            " ms_rerank real, ms_reason real, ms_total real, tool_loop boolean)"
        )
    yield engine
    engine.dispose()


@pytest.fixture
def fill(engine: sa.Engine) -> Fill:
    def fill(count: int, *, arm: str | None = "green", kind: str = "live", status: int | None = 200, ago: float = 5):
        with engine.begin() as connection:
            given = {"count": count, "arm": arm, "kind": kind, "status": status, "ago": ago}
            connection.execute(sa.text(ROW), given)

    return fill


@pytest.fixture
def signals(engine: sa.Engine) -> Signals:
    edge = Edge(connections=lambda _: Connection(id="log", conn_type="postgres"))
    edge.database = lambda _: engine  # type: ignore[method-assign]
    return signals_of(SqlSignalsSpec(kind="sql", connection="log"), edge, arms=["blue", "green"])


def asked(signals: Signals) -> SignalSample:
    now = datetime.now(timezone.utc)
    sample = signals.query(arm="green", since=now - timedelta(minutes=20), until=now)
    assert isinstance(sample, SignalSample)
    return sample


def test_only_live_rows_that_are_not_of_the_future_keep_a_log_fresh(fill: Fill, signals: Signals) -> None:
    assert "no values found" in str(signals.is_online())
    fill(100, ago=600)
    fill(10, kind="probe", ago=1)
    assert "no live request in the last 30 s" in str(signals.is_online()), "probes are no traffic"
    fill(1, ago=-300)
    assert "no live request in the last 30 s" in str(signals.is_online()), "a row of the future is none"
    fill(1, arm="blue", ago=1)
    assert signals.is_online() is None
    assert "requests of green: no live request in the last 30 s; is there any traffic?" in str(
        signals.is_online(arm="green")
    )
    fill(1, ago=1)
    assert signals.is_online(arm="green") is None


def test_a_log_with_rows_of_the_future_only_is_dead(fill: Fill, signals: Signals) -> None:
    fill(100, ago=600)
    fill(1, ago=-300)
    now = datetime.now(timezone.utc)
    found = signals.query(arm="green", since=now - timedelta(minutes=20), until=now)
    assert isinstance(found, Dead)
    assert re.search(r"newest row is 600 s old; its newest row is dated (299|300) s ahead; is there", found.why)
    assert "query: SELECT max(request_log.at)" in found.why


def test_a_request_without_a_status_has_failed(fill: Fill, signals: Signals) -> None:
    fill(90)
    fill(10, status=None)
    assert (asked(signals).requests, asked(signals).failures, asked(signals).errors_5xx) == (100, 10, 0)


def test_what_failed_before_it_knew_its_arm_failed_on_the_live_one(fill: Fill, signals: Signals) -> None:
    fill(50)
    fill(437, arm=None, status=503)
    fill(3, arm="", status=None)
    fill(20, arm=None, status=200)  # an answer of nobody speaks for nobody
    found = asked(signals)
    assert (found.requests, found.errors_5xx, found.failures) == (490, 437, 440)
    first = signals.first_error(arm="green", since=datetime.now(timezone.utc) - timedelta(minutes=1))
    assert first is not None


def test_what_another_arm_answered_is_counted_and_strangers_are_not(fill: Fill, signals: Signals) -> None:
    fill(50)
    fill(950, arm="blue")
    fill(7, arm="another_service")
    assert (asked(signals).requests, asked(signals).elsewhere) == (50, 950)


def test_probes_are_no_traffic(fill: Fill, signals: Signals) -> None:
    fill(50, kind="probe")
    fill(50, kind="probe", arm=None, status=503)
    assert (asked(signals).requests, asked(signals).errors_5xx, asked(signals).elsewhere) == (0, 0, 0)

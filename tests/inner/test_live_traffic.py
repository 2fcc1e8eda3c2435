"""Silence is no pass: what a request log must show of users on Green, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from switchover.judge.traffic import SignalSample
from switchover.signals.sql import SqlSignals

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
def signals(engine: sa.Engine) -> SqlSignals:
    return SqlSignals(engine=engine, table="request_log", stale_s=30, arms=["blue", "green"])


def asked(signals: SqlSignals) -> SignalSample:
    now = datetime.now(timezone.utc)
    sample = signals.query(arm="green", since=now - timedelta(minutes=20), until=now)
    assert sample is not None
    return sample


def test_only_live_rows_that_are_not_of_the_future_keep_a_log_fresh(fill: Fill, signals: SqlSignals) -> None:
    assert "no values found" in str(signals.is_online())
    fill(100, ago=600)
    fill(10, kind="probe", ago=1)
    assert "newest live row is 600 s old" in str(signals.is_online())
    fill(1, ago=-300)
    assert "300 s ahead" in str(signals.is_online()) or "299 s ahead" in str(signals.is_online())
    fill(1, arm="blue", ago=1)
    assert signals.is_online() is None
    assert "live row of 'green'" in str(signals.is_online(arm="green"))
    fill(1, ago=1)
    assert signals.is_online(arm="green") is None


def test_a_log_with_rows_of_the_future_only_is_dead(fill: Fill, signals: SqlSignals) -> None:
    fill(100, ago=600)
    fill(1, ago=-300)
    now = datetime.now(timezone.utc)
    assert signals.query(arm="green", since=now - timedelta(minutes=20), until=now) is None


def test_a_request_without_a_status_has_failed(fill: Fill, signals: SqlSignals) -> None:
    fill(90)
    fill(10, status=None)
    assert (asked(signals).requests, asked(signals).failures, asked(signals).errors_5xx) == (100, 10, 0)


def test_what_failed_before_it_knew_its_arm_failed_on_the_live_one(fill: Fill, signals: SqlSignals) -> None:
    fill(50)
    fill(437, arm=None, status=503)
    fill(3, arm="", status=None)
    fill(20, arm=None, status=200)  # an answer of nobody speaks for nobody
    found = asked(signals)
    assert (found.requests, found.errors_5xx, found.failures) == (490, 437, 440)
    first = signals.first_error(arm="green", since=datetime.now(timezone.utc) - timedelta(minutes=1))
    assert first is not None


def test_what_another_arm_answered_is_counted_and_strangers_are_not(fill: Fill, signals: SqlSignals) -> None:
    fill(50)
    fill(950, arm="blue")
    fill(7, arm="another_service")
    assert (asked(signals).requests, asked(signals).elsewhere) == (50, 950)


def test_probes_are_no_traffic(fill: Fill, signals: SqlSignals) -> None:
    fill(50, kind="probe")
    fill(50, kind="probe", arm=None, status=503)
    assert (asked(signals).requests, asked(signals).errors_5xx, asked(signals).elsewhere) == (0, 0, 0)

"""The notifier for callbacks of any DAG, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.sdk import BaseNotifier

from switchover.ledger import Ledger
from switchover.planfile.load import load_plan
from switchover_airflow.notifier import SwitchoverNotifier
from tests.airflow.conftest import ROOT
from tests.inner.test_notify import Receiver

CHANNEL = {"kind": "slack", "connection": "chat", "events": ["stuck"]}


@pytest.fixture
def receiver(fresh_db_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver, and a ledger with one run, under the connections that the notifier is given."""
    engine = sa.create_engine(fresh_db_url.replace("postgresql:", "postgresql+psycopg:", 1))
    url = engine.url
    place: dict[str, Any] = {"host": url.query["host"], "login": url.username, "schema": url.database}
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", json.dumps({"conn_type": "postgres", **place}))
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    plan = load_plan(Path(ROOT) / "include" / "plans" / "docs.yaml")
    ledger.runs.open(id="docs:1", plan=plan, pointer="p", blue="docs_v1", green="docs_v2", hold_minutes=20)
    server = Receiver()
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": server.port}))
    yield server
    server.close()
    engine.dispose()


def notifier(**more: Any) -> SwitchoverNotifier:
    return SwitchoverNotifier(ledger_conn_id="ledger", switchover_id="docs:{{ number }}", event="stuck", **more)


def test_airflow_takes_it_for_a_notifier() -> None:
    assert isinstance(notifier(), BaseNotifier)


def test_it_tells_channels_of_its_own(receiver: Receiver) -> None:
    notifier(channels=[CHANNEL], detail="asked by {{ who }}")({"number": 1, "who": "a <test>"})
    ((_, _, body),) = receiver.got
    text = json.loads(body)["text"]
    assert text.startswith("*Switchover docs: not ended: which arm serves users could not be read*"), (
        "what is so, not what was"
    )
    assert "asked by a &lt;test&gt;" in text


def test_without_channels_it_asks_the_plan_of_the_run_which_has_none(receiver: Receiver) -> None:
    SwitchoverNotifier(ledger_conn_id="ledger", switchover_id="docs:1", event="stuck").notify({})
    assert receiver.got == []


def test_a_run_that_is_not_there_fails_no_callback(receiver: Receiver) -> None:
    notifier(channels=[CHANNEL])({"number": 2})
    assert receiver.got == []

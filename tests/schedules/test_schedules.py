"""Schedules of crashes, repeats, lost answers, zombies and accidents; see ``machine``.

``make test-schedules`` runs 10,000 of them, new ones each time; here the same two hundred each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from switchover.arms.spec import Reader
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from tests.schedules.arms import SEARCH, ask_reader
from tests.schedules.hours import Beat
from tests.schedules.machine import Schedules
from tests.schedules.world import IndexPart, ModelSwitch, PointerPart, WriterPart

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
LONG = "SCHEDULES" in os.environ
SCHEDULES = int(os.environ.get("SCHEDULES", "100"))


@pytest.fixture
def engine(fresh_db: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(fresh_db)
    Ledger(engine=engine).create_tables()
    yield engine
    engine.dispose()


def modelled() -> Plan:
    """The sandbox's plan, with the model for everything outside the ledger; nothing ever waits."""
    plan = load_plan(PLAN)
    fence = next(writer for writer in plan.writers if writer.kind == "sql_fence")
    return plan.model_copy(
        update={
            "pointer": PointerPart.model_construct(**dict(plan.pointer)),
            "index": IndexPart.model_construct(**dict(plan.index)),
            "writers": [WriterPart.model_construct(**{**dict(fence), "drain_s": 0.0})],
            "readers": [Reader(name=SEARCH, connection="search_http", path="/version")],
            "notify": [],
            "converge_s": 0.0,
            "lease_s": 3600.0,
            "handover_s": 3600.0,
        }
    )


def test_every_schedule_comes_to_a_right_end(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchover.steps.act.time.sleep", lambda seconds: None)
    monkeypatch.setattr("switchover.steps.controls._arm_answers", lambda *_: "no services")
    monkeypatch.setattr("switchover.steps.controls._judge", lambda *_: "nothing is encoded")
    monkeypatch.setattr("switchover.steps.controls.survey", lambda *_, **__: "no store of metrics")
    monkeypatch.setattr("switchover.steps.readers._ask", ask_reader)
    monkeypatch.setattr("switchover.steps.doctor.World", ModelSwitch)
    for module in ("leadership", "hold_lease"):
        monkeypatch.setattr(f"switchover.steps.{module}.Heartbeat", Beat)
    Schedules.engine, Schedules.plan = engine, modelled()
    run_state_machine_as_test(
        Schedules,
        settings=settings(
            max_examples=SCHEDULES,
            stateful_step_count=30,
            deadline=None,
            derandomize=not LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            print_blob=True,
        ),
    )

"""What the doctor advises: for every state and observation one safe next step, and nothing to do when all is well."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from switchover.ledger import Lease, Ledger, RunRow
from switchover.planfile.load import load_plan
from switchover.protocol import Decision, Observation, State, decide
from switchover.steps.doctor import advise

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def row(pg_server: Any) -> RunRow:
    """A run as a ledger gives it."""
    pg_server.create_database("doctor")
    engine = sa.create_engine(pg_server.url("doctor").replace("postgresql:", "postgresql+psycopg:", 1))
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    opened = ledger.runs.open(id="docs:1", plan=load_plan(PLAN), pointer="p", blue="v1", green="v2", hold_minutes=20)
    engine.dispose()
    return opened


def lease(holder: str, *, alive: bool) -> Lease:
    return Lease(pointer="p", epoch=3, holder=holder, taken_at=NOW, expires_at=NOW + timedelta(seconds=9), alive=alive)


def advice(row: RunRow, state: State, target: str | None, **more: Any) -> list[str]:
    changed = RunRow(**{**vars(row), "state": state, "intended": True, "decision": more.pop("decision", None)})
    held = more.pop("lease", lease("docs:1", alive=True))
    seen = Observation(target=target, lease_alive=held.alive and held.holder == "docs:1")
    action = decide(changed.record, seen, NOW)
    return advise(action, changed, seen, held, frozen=more.pop("frozen", []), watched=more.pop("watched", False))


def test_every_combination_has_advice(row: RunRow) -> None:
    for state, target, alive, decision, watched in itertools.product(
        State, ["v1", "v2", "other", None], [True, False], [None, *Decision], [True, False]
    ):
        assert advice(row, state, target, lease=lease("docs:1", alive=alive), decision=decision, watched=watched)


def test_a_hold_that_is_driven_needs_nothing_and_says_how_to_go_back(row: RunRow) -> None:
    told = advice(row, State.HOLDING, "v2")
    assert told == ["nothing to do: the run drives it", "to go back now: switchover rollback --service docs"]


def test_a_decided_promotion_offers_no_way_back(row: RunRow) -> None:
    assert advice(row, State.HOLDING, "v2", decision=Decision.PROMOTE) == ["nothing to do: the run drives it"]


def test_who_acts_in_its_stead_is_named(row: RunRow) -> None:
    told = advice(row, State.ROLLING_BACK, "v2", lease=lease("watchdog:a:1", alive=True), decision=Decision.ROLL_BACK)
    assert told[0] == "nothing to do: watchdog:a:1 drives it"


@pytest.mark.parametrize("watched", [True, False])
def test_a_hold_that_nobody_drives(row: RunRow, watched: bool) -> None:
    (told,) = advice(row, State.HOLDING, "v2", lease=lease("docs:1", alive=False), watched=watched)
    assert told.endswith("switchover restore docs:1")
    assert ("nothing to do" in told) is watched


def test_a_foreign_move_is_for_a_person(row: RunRow) -> None:
    told = advice(row, State.STUCK, "other")
    assert told[0].startswith("somebody else moved the pointer") and told[1] == "then: switchover restore docs:1"


def test_a_pointer_that_cannot_be_read(row: RunRow) -> None:
    assert advice(row, State.HOLDING, None)[0].startswith("mend the way to the pointer's store")


def test_writers_that_an_ended_run_left_frozen(row: RunRow) -> None:
    (told,) = advice(row, State.ROLLED_BACK, "v1", frozen=["ingest"])
    assert told == "writers are still frozen (ingest): switchover restore docs:1"
    assert advice(row, State.ROLLED_BACK, "v1") == ["nothing to do: it has ended"]
    assert "'v2' is live since" in advice(row, State.ROLLED_BACK, "v2")[0]

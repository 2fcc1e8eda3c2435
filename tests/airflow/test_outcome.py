"""What the outcome task says of writers, on a real ledger."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from switchover.ledger import Ledger
from switchover.protocol import State
from switchover_airflow.operators.steps import OutcomeOperator
from tests.airflow.conftest import RUN

WHY = "writer 'ingest process' stays frozen: EMBED_SCHEMA is a, the live arm 'docs_v2' has b"


def ended(ledger: Ledger, *path: State) -> None:
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    for state in path:
        ledger.runs.move(RUN, state, lease=lease)


def outcome() -> str:
    task = OutcomeOperator(
        task_id="outcome", ledger_conn_id="switchover_ledger", switchover_id=RUN, preflight_task_id="preflight"
    )
    pulled: Any = SimpleNamespace(xcom_pull=lambda **_: {"route": "go", "lines": []})
    return task.execute(cast(Context, {"ti": pulled}))


PROMOTED = (State.FROZEN, State.VERIFIED, State.WARMED, State.FLIPPING, State.HOLDING, State.PROMOTED)


def test_a_promotion_with_a_writer_that_is_held_stays_green_and_names_it_with_the_next_command(ledger: Ledger) -> None:
    ended(ledger, *PROMOTED)
    ledger.journal.resumed(RUN, "ingest DAG", on="docs_v2")
    ledger.journal.held(RUN, "ingest process", why=WHY)
    first, second = outcome().splitlines()
    assert first.startswith("promoted: Green 'docs_v2' is live")
    assert second == f"{WHY}; next: switchover writers resume {RUN} 'ingest process'"


def test_a_writer_that_is_frozen_for_no_known_reason_makes_the_run_red(ledger: Ledger) -> None:
    ended(ledger, *PROMOTED)
    ledger.journal.resumed(RUN, "ingest DAG", on="docs_v2")
    with pytest.raises(AirflowFailException, match="promoted.*; writers still frozen: ingest process"):
        outcome()


def test_a_run_that_was_not_promoted_names_the_writer_that_is_held_too(ledger: Ledger) -> None:
    ended(ledger, State.ABORTED)
    ledger.journal.resumed(RUN, "ingest DAG", on="docs_v1")
    ledger.journal.held(RUN, "ingest process", why=WHY)
    with pytest.raises(AirflowFailException, match="aborted: Blue(.|\n)*stays frozen(.|\n)*switchover writers resume"):
        outcome()

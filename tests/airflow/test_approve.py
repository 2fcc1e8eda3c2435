"""How the task that asks people ends, on a real ledger. Airflow's own part is in tests/demo and tests/browser."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from switchover.approval import Gate
from switchover.ledger import Ledger
from switchover.planfile.load import load_plan
from switchover_airflow.operators.approve import ApproveOperator
from tests.airflow.conftest import ROOT

RUN = "docs:asks"


def told(ledger: Ledger, end: str) -> str:
    plan = load_plan(ROOT / "docs" / "examples" / "docs_approved.yaml")
    ledger.runs.open(id=RUN, plan=plan, pointer="asks", blue="docs_v1", green="docs_v2", hold_minutes=20)
    until = ledger.now() + timedelta(minutes=1)
    ledger.approvals.ask(RUN, Gate.BEFORE_UNFREEZE, person_number=1, subject="s", until=until)
    task = ApproveOperator(
        task_id="approve_unfreeze", ledger_conn_id="switchover_ledger", switchover_id=RUN, approval_digest="p"
    )
    return task.execute_complete(cast(Context, {}), {"end": end, "line": "flip_rate FAIL"}, gate="before_unfreeze")


def test_a_stop_ends_the_asking_without_a_failure(ledger: Ledger) -> None:
    assert told(ledger, "stopped").startswith("flip_rate FAIL; ")
    (asked,) = ledger.approvals.of(RUN)
    assert asked["answer"] == "no answer", "a stop approves nothing"


@pytest.mark.parametrize("end", ["unanswered", "lease_lost", "error"])
def test_any_other_end_without_an_answer_fails(ledger: Ledger, end: str) -> None:
    with pytest.raises(AirflowFailException, match="no answer"):
        told(ledger, end)

"""What the outcome task says of writers, on a real ledger."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from switchover.ledger import Ledger
from switchover.protocol import State
from switchover_airflow.operators.steps import MEND, OutcomeOperator
from tests.airflow.conftest import RUN

WHY = "writer 'ingest process' stays frozen: EMBED_SCHEMA is a, the live arm 'docs_v2' has b"


def ended(ledger: Ledger, *path: State) -> None:
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    for state in path:
        ledger.runs.move(RUN, state, lease=lease)


def outcome(pulled_route: dict[str, Any] | None = {"route": "go", "lines": []}) -> str:  # noqa: B006
    task = OutcomeOperator(
        task_id="outcome", ledger_conn_id="switchover_ledger", switchover_id=RUN, preflight_task_id="preflight"
    )
    pulled: Any = SimpleNamespace(xcom_pull=lambda **_: pulled_route)
    return task.execute(cast(Context, {"ti": pulled}))


PROMOTED = (State.FROZEN, State.VERIFIED, State.WARMED, State.FLIPPING, State.HOLDING, State.PROMOTED)


def test_a_promotion_with_a_writer_that_is_held_stays_green_and_names_it_with_the_next_command(ledger: Ledger) -> None:
    ended(ledger, *PROMOTED)
    ledger.journal.resumed(RUN, "ingest DAG", on="docs_v2")
    ledger.journal.held(RUN, "ingest process", why=WHY)
    first, second = outcome().splitlines()
    assert first.startswith("promoted: ended with Green 'docs_v2' live")
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
    told = "aborted before the flip: (.|\n)*stays frozen(.|\n)*switchover writers resume"
    with pytest.raises(AirflowFailException, match=told):
        outcome()


def test_a_run_that_the_ledger_has_is_told_whatever_became_of_preflight(ledger: Ledger) -> None:
    ended(ledger, *PROMOTED)
    for name in ("ingest DAG", "ingest process"):
        ledger.journal.resumed(RUN, name, on="docs_v2")
    assert outcome(None).startswith("promoted: ")


def test_only_a_run_that_was_never_opened_changed_nothing(ledger: Ledger) -> None:
    with ledger.database.transaction() as connection:
        connection.execute(sa.text("TRUNCATE switchover_run CASCADE"))
    with pytest.raises(AirflowFailException, match="before it opened a switchover; nothing was changed"):
        outcome(None)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EDQUOT, "Make room"),
        (errno.EROFS, "Let Airflow's user write there"),
        (errno.EACCES, "Let Airflow's user write there"),
        (errno.EPERM, "Let Airflow's user write there"),
    ],
)
def test_what_mends_a_folder_goes_by_what_is_wrong_with_it(code: int, advice: str) -> None:
    assert MEND[code].startswith(advice)

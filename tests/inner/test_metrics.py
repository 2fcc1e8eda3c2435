"""The figures of a run, from a real ledger: every metric that is promised, with its tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from switchover.approval import Person
from switchover.ledger import Ledger
from switchover.protocol import Decision, State
from switchover.report.metrics import METRICS, Figure, figures

ROOT = Path(__file__).parents[2]
RUN = "docs:1"


def told(ledger: Ledger) -> dict[tuple[str, ...], float]:
    """(name, tag values besides the service) -> value."""
    found = figures(ledger, RUN)
    assert all(figure.tags["service"] == "docs" for figure in found)
    return {key(figure): figure.value for figure in found}


def key(figure: Figure) -> tuple[str, ...]:
    return (figure.name, *(figure.tags[tag] for tag in METRICS[figure.name][0]))


def test_a_run_that_has_only_begun_says_its_state_and_that_blue_is_live(ledger: Ledger) -> None:
    found = told(ledger)
    assert found["switchover.state", "planned"] == 1
    assert sum(value for (name, *_), value in found.items() if name == "switchover.state") == 1
    assert (found["switchover.live_arm", "docs_v1"], found["switchover.live_arm", "docs_v2"]) == (1, 0)
    assert not {name for name, *_ in found} & {
        "switchover.hold.tick",
        "switchover.ttr.seconds",
        "switchover.rule.value",
    }


def test_a_run_that_was_rolled_back_has_every_metric(ledger: Ledger) -> None:
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    for state in (State.FROZEN, State.VERIFIED, State.WARMED, State.FLIPPING):
        ledger.runs.move(RUN, state, lease=lease)
    where = {"service": "docs", "pointer": "p", "blue": "docs_v1", "green": "docs_v2"}
    ledger.rehearsals.add(**where, seconds=0.25, budget_s=120, note="", actor="t")
    assert told(ledger)["switchover.live_arm", "docs_v2"] == 0, "it is not known while it moves"
    now = ledger.now()
    ledger.runs.move(RUN, State.HOLDING, lease=lease, flipped_at=now, hold_until=now)
    assert told(ledger)["switchover.live_arm", "docs_v2"] == 1
    body = {"rule": "coverage", "outcome": "FAIL", "value": 0.5, "bound": 0.6, "margin": -0.1}
    ledger.journal.judged(RUN, gate="stop", tick=3, verdicts=[body])
    assert ledger.approvals.ask(RUN, "before_flip", person_number=1, subject="s", until=now)
    assert not ledger.approvals.ask(RUN, "before_flip", person_number=1, subject="other", until=now)
    assert told(ledger)["switchover.approval.waiting", "before_flip"] == 1
    ledger.approvals.answer(RUN, "before_flip", person_number=1, answer="approved", by=Person(id="anna", name="anna"))
    ledger.approvals.answer(RUN, "before_flip", person_number=1, answer="rejected", by=Person(id="bert", name="bert"))
    assert [(row["answer"], row["answered_by"]) for row in ledger.approvals.of(RUN)] == [("approved", "anna")]
    ledger.journal.step_started(RUN, "rollback", actor="t")
    ledger.journal.step_ended(RUN, "rollback", ok=True, note="")
    ledger.runs.decide(RUN, Decision.ROLL_BACK, lease=lease, reason="stop rule")
    ledger.runs.stamp(RUN, "first_bad_at", "judged_at", "rollback_started_at", "rollback_applied_at", "converged_at")
    ledger.runs.move(RUN, State.ROLLING_BACK, lease=lease)
    ledger.runs.move(RUN, State.ROLLED_BACK, lease=lease)
    found = told(ledger)
    assert {name for name, *_ in found} == set(METRICS)
    assert found["switchover.rule.margin", "stop", "coverage"] == pytest.approx(-0.1)
    assert found["switchover.rule.outcome", "stop", "coverage"] == 3
    assert found["switchover.ttr.rehearsed_seconds",] == 0.25
    assert found["switchover.ttr.budget_seconds",] == 120
    assert found["switchover.ttr.seconds", "total"] >= 0
    assert found["switchover.approval.waiting", "before_flip"] == 0

"""What a summary works out of times and verdicts: no time is negative, and what decides is what is shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.inner.recorded import record

from switchover.ledger import Ledger, RunRow
from switchover.ledger.ttr import ttr
from switchover.page import render_run
from switchover.protocol import State
from switchover.report.review import review
from switchover.report.summary import deciding

AT = datetime(2026, 11, 30, tzinfo=timezone.utc)
SECONDS = st.none() | st.floats(-100, 100)
MAYBE = ("first_bad_at", "judged_at", "decided_at", "rollback_applied_at")


@given(times=st.fixed_dictionaries(dict.fromkeys(MAYBE, SECONDS)), started=st.floats(-100, 100), took=st.floats(0, 50))
def test_no_part_of_the_time_to_restore_is_negative_and_they_add_up(
    times: dict[str, float | None], started: float, took: float
) -> None:
    at = {name: None if s is None else AT + timedelta(seconds=s) for name, s in times.items()}
    began = AT + timedelta(seconds=started)
    known: Any = SimpleNamespace(
        **at, back_of=None, rollback_started_at=began, converged_at=began + timedelta(seconds=took)
    )
    parts = ttr(cast(RunRow, known))
    assert parts is not None
    assert all(value is None or value >= 0 for value in parts.values())
    if times["rollback_applied_at"] is None or started <= times["rollback_applied_at"] <= started + took:
        summed = sum(value or 0.0 for name, value in parts.items() if name not in ("detect", "total"))
        assert parts["total"] == pytest.approx(summed, abs=0.01)


def look(gate: str, outcome: str = "PASS") -> dict[str, Any]:
    return {"gate": gate, "rule": "coverage", "outcome": outcome}


ASKED = [{"gate": "before_unfreeze"}]
FLIP_ASKED = [{"gate": "before_flip", "answered_at": "2026-11-30T00:00:00+00:00"}]


@pytest.mark.parametrize(
    ("verdicts", "decided", "asked", "gate"),
    [
        ([], False, [], None),
        ([look("acceptance")], False, FLIP_ASKED, "acceptance"),
        ([look("acceptance", "FAIL")], True, FLIP_ASKED, "acceptance"),
        ([look("acceptance"), look("stop")], False, FLIP_ASKED, "stop"),
        ([look("acceptance"), look("stop")], False, [{"gate": "before_flip", "answered_at": None}], "acceptance"),
        ([look("acceptance"), look("hold", "FAIL"), look("stop")], False, ASKED, "hold"),
        ([look("acceptance"), look("hold", "FAIL"), look("stop")], True, [], "hold"),
        ([look("acceptance"), look("hold"), look("stop", "FAIL")], False, ASKED, "stop"),
        ([look("acceptance"), look("hold"), look("stop", "FAIL")], True, ASKED, "stop"),
        ([look("acceptance"), look("hold", "INCONCLUSIVE"), look("stop")], False, [], "stop"),
    ],
)
def test_what_decides(verdicts: list[Any], decided: bool, asked: list[Any], gate: str | None) -> None:
    assert {each["gate"] for each in deciding(verdicts, decided=decided, asked=asked)} == ({gate} if gate else set())


@pytest.mark.parametrize("gate", ["before_unfreeze", "on_unaccepted"])
def test_a_page_that_asks_shows_what_is_approved_and_not_the_looks_that_follow(ledger: Ledger, gate: str) -> None:
    record(ledger, "docs:2")
    judge = {"coverage": "PASS" if gate == "before_unfreeze" else "FAIL", "error_rate": "PASS"}
    ledger.journal.judged(
        "docs:2", gate="hold", tick=9, verdicts=[{"rule": r, "outcome": o, "detail": ""} for r, o in judge.items()]
    )
    ledger.approvals.ask("docs:2", gate, person_number=1, subject="b" * 64, until=ledger.now() + timedelta(minutes=30))
    looks = [{"rule": rule, "outcome": "PASS", "detail": ""} for rule in ("coverage", "http_5xx")]
    ledger.journal.judged("docs:2", gate="stop", tick=10, verdicts=looks)
    found = review(ledger, "docs:2")
    assert {(v["gate"], v["rule"], v["outcome"]) for v in found.facts.gate} == {
        ("hold", rule, outcome) for rule, outcome in judge.items()
    }
    html = render_run(found, base="/switchover")
    assert "acceptance rules, after the hold" in html
    assert "all 2 stop rules pass" not in html
    assert ("coverage FAIL" in found.facts.status) == (gate == "on_unaccepted")


def test_a_page_that_asks_whether_to_flip_shows_acceptance(ledger: Ledger) -> None:
    record(ledger, "docs:2", state=State.WARMED)
    ledger.approvals.ask(
        "docs:2", "before_flip", person_number=2, subject="b" * 64, until=ledger.now() + timedelta(minutes=30)
    )
    found = review(ledger, "docs:2")
    assert {verdict["gate"] for verdict in found.facts.gate} == {"acceptance"}
    assert "acceptance rules, before the flip" in render_run(found, base="/switchover")


def test_after_a_rejection_the_page_still_shows_what_was_rejected(ledger: Ledger) -> None:
    record(ledger, "docs:2", state=State.ROLLED_BACK)
    ledger.journal.judged(
        "docs:2", gate="hold", tick=9, verdicts=[{"rule": "coverage", "outcome": "FAIL", "detail": "0.41"}]
    )
    ledger.journal.judged("docs:2", gate="stop", tick=10, verdicts=[{"rule": "coverage", "outcome": "PASS"}])
    found = review(ledger, "docs:2")
    assert [each["rule"] for each in found.facts.playbook] == ["coverage"], "what to look at first"
    assert "acceptance rules, after the hold" in render_run(found, base=None)

"""What answers come to, and what a person reads: no approval without as many different persons as the plan says."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

import pytest

from switchover.approval import Answer, Gate, Person, person_id, standing
from switchover.report.approval_text import body_text
from switchover.report.summary import Summary

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def row(
    seat: int, answer: Answer | None = None, by: str | None = None, subject: str = "s", **more: str
) -> dict[str, Any]:
    answered_at = AT if answer else None
    return {**more, "seat": seat, "answer": answer, "answered_by": by, "answered_at": answered_at, "subject": subject}


OK = Answer.APPROVED


@pytest.mark.parametrize(
    ("rows", "approvers", "approved", "person_number", "why"),
    [
        ([], 1, False, 1, "before_flip: nobody was asked"),
        ([row(1)], 1, False, 1, "before_flip: waits for 1 more"),
        ([row(1, OK, "anna")], 1, True, None, "before_flip: approved by anna"),
        ([row(1, Answer.REJECTED, "bert")], 1, False, None, "before_flip: rejected by bert"),
        ([row(1, Answer.NONE)], 1, False, None, "before_flip: no answer in time"),
        ([row(1, Answer.VOID, "anna")], 1, False, None, "before_flip: void by anna: plan, manifests or gold set"),
        ([row(1, OK, "anna")], 2, False, 2, "before_flip: waits for 1 more, so far by anna"),
        ([row(1, OK, "anna"), row(2)], 2, False, 2, "waits for 1 more"),
        ([row(1, OK, "anna"), row(2, OK, "anna")], 2, False, 2, "waits for 1 more"),
        ([row(1, OK, "anna"), row(2, OK, "bert")], 2, True, None, "approved by anna, bert"),
        ([row(1, OK, "anna"), row(2, Answer.REJECTED, "bert")], 2, False, None, "rejected by bert"),
        ([row(1, OK, "anna"), row(2, OK, "bert", subject="t")], 2, False, None, "not of one subject"),
        ([row(1, OK, "anna (7)"), row(2, OK, "Anna B. (7)", answered_by_id="7")], 2, False, 2, "waits for 1 more"),
        ([row(1, OK, "anna", answered_by_id="7"), row(2, OK, "anna", answered_by_id="8")], 2, True, None, "anna, anna"),
        ([row(1, OK, "anna (8)", answered_by_id="7"), row(2, OK, "bert", answered_by_id="8")], 2, True, None, "bert"),
        ([row(1, OK, None)], 1, False, 1, "waits for 1 more"),
    ],
)
def test_what_answers_come_to(
    rows: list[dict[str, Any]], approvers: int, approved: bool, person_number: int | None, why: str
) -> None:
    found = standing(rows, gate=Gate.BEFORE_FLIP, approvers=approvers)
    assert (found.approved, found.person_number) == (approved, person_number)
    assert why in found.why


@pytest.mark.parametrize(
    ("shown", "id"), [("anna", "anna"), ("Anna B. (7)", "7"), ("Anna (B) (7)", "7"), ("", ""), (None, "")]
)
def test_rows_of_earlier_versions_have_the_login_in_the_name(shown: str | None, id: str) -> None:
    assert person_id(row(1, OK, shown)) == id
    assert str(Person(id="7", name="Anna (B)")) == "Anna (B) (7)"


def a_summary(**given: Any) -> Summary:
    """A run of which nothing is known but what is given."""
    empty: dict[str, Any] = {field.name: () if "Sequence" in str(field.type) else None for field in fields(Summary)}
    return Summary(**{**empty, **given})


def test_the_body_shows_what_is_approved_and_escapes_it() -> None:
    evil = "<img src=x onerror=alert(1)> | [x](javascript:1)"
    verdict = {"gate": "acceptance", "rule": "coverage", "outcome": "PASS", "detail": evil}
    other = {"gate": "hold", "rule": "not_this", "outcome": "PASS", "detail": ""}
    summary = a_summary(blue="v1", green=evil, pointer="p", verdicts=[verdict, other])
    arms = {"blue": {"pins": {"GIT_SHA": "a", "MODEL_VER": "m"}}, "green": {"pins": {"GIT_SHA": "b", "MODEL_VER": "m"}}}
    text = body_text(
        summary,
        arms,
        gate=Gate.BEFORE_FLIP,
        until=AT,
        approvers=2,
        bound="0123456789abcdef",
        rehearsed=0.25,
        url="https://a/b",
    )
    assert "<img" not in text
    assert "&lt;img" in text and r"\[x\](javascript" in text, "escaped"
    assert "| GIT\\_SHA | a | b |" in text and "MODEL" not in text
    assert "coverage" in text and "not_this" not in text and "not\\_this" not in text
    assert "Until 2026-01-02 03:04:05 UTC; without an answer the run is aborted" in text
    assert "Two different persons" in text
    assert "rehearsed in 0.250 s" in text
    assert "0123456789ab" in text
    assert text.endswith("[Everything about this run](https://a/b)")

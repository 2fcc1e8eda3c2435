"""What people are asked, and what their answers come to. Pure: rows of the ledger in, a standing out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Gate(str, Enum):
    """Where a run may wait for people."""

    BEFORE_FLIP = "before_flip"  # every rule passes; without an answer the run is aborted
    BEFORE_UNFREEZE = "before_unfreeze"  # Green has held; without an answer it is rolled back
    ON_UNACCEPTED = "on_unaccepted"  # Green neither held nor stopped; without an answer it is rolled back

    def __str__(self) -> str:
        return self.value

    @property
    def step(self) -> str:
        """The step, and the DAG's task, in which it is asked."""
        return "approve_flip" if self is Gate.BEFORE_FLIP else "approve_unfreeze"


class Answer(str, Enum):
    """How a question ended."""

    APPROVED = "approved"
    REJECTED = "rejected"
    VOID = "void"  # plan, manifests or gold set changed while somebody thought
    NONE = "no answer"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who answers. ``id`` is that of the login, which stays; ``name`` is what is shown, and may change."""

    id: str
    name: str

    def __str__(self) -> str:
        return self.name if self.name == self.id else f"{self.name} ({self.id})"


def person_id(row: Mapping[str, Any]) -> str:
    """Which login answered a question; empty when nobody did. Rows of earlier versions have it in the shown name."""
    if row.get("answered_by_id"):
        return str(row["answered_by_id"])
    shown = str(row["answered_by"] or "")
    found = OLD_ID.fullmatch(shown)
    return found[1] if found else shown


OLD_ID = re.compile(r".* \(([^()]+)\)")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a gate's question is. ``person_number``: whom it waits for, from 1; ``None`` when decided."""

    approved: bool
    person_number: int | None
    why: str


def standing(rows: Sequence[Mapping[str, Any]], *, gate: Gate, approvers: int) -> Standing:
    """Approved only by as many different persons as the plan asks for, of one and the same subject.

    ``rows`` are the gate's questions in the ledger. Anything but an approval decides against.
    """
    for row in rows:
        if row["answered_at"] is not None and row["answer"] != Answer.APPROVED.value:
            by = f" by {row['answered_by']}" if row["answered_by"] else ""
            return Standing(
                approved=False, person_number=None, why=f"{gate}: {row['answer']}{by}{WHY.get(row['answer'], '')}"
            )
    if len({row["subject"] for row in rows}) > 1:
        return Standing(approved=False, person_number=None, why=f"{gate}: void: the questions are not of one subject")
    people = sorted({person_id(row): str(row["answered_by"]) for row in rows if row["answered_by"]}.values())
    if len(people) >= approvers:
        return Standing(approved=True, person_number=None, why=f"{gate}: approved by {', '.join(people)}")
    if not rows:
        return Standing(approved=False, person_number=1, why=f"{gate}: nobody was asked")
    by = f", so far by {', '.join(people)}" if people else ""
    return Standing(
        approved=False, person_number=len(people) + 1, why=f"{gate}: waits for {approvers - len(people)} more{by}"
    )


def open_question(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The question that waits for an answer, of all that a run has asked."""
    return next((row for row in rows if row["answered_at"] is None), None)


WHY = {
    Answer.VOID.value: ": plan, manifests or gold set have changed since it was asked",
    Answer.NONE.value: " in time",
}

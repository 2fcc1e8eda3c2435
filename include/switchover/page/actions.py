"""What a person may decide on the page: each a question that is asked once more, and one request to Airflow's own API.

The page's script sends it as the user who is logged in, and with that user's rights; nothing here acts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from switchover.approval import Gate, open_question
from switchover.page.words import at
from switchover.protocol import State
from switchover.report.approval_text import otherwise, subject_text
from switchover.report.review import Review

UNDECIDED = (State.FLIPPING, State.HOLDING, State.STUCK)
NOTE = "Roll back now, from the review page"
BACK_NOTE = "Take a promotion back, from the review page"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One button: ``ask`` and ``told`` stand in the dialog that it opens, ``yes`` on the button that sends."""

    label: str
    ask: str
    told: str
    yes: str
    method: str
    url: str
    body: str  # JSON
    done: str  # what is told when Airflow has taken it
    follows: bool = False  # the request starts a DAG run, whose state is told
    bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something to decide. ``key`` names it as long as it is the same question."""

    key: str
    title: str
    told: str
    choices: tuple[Choice, ...]


def actions(review: Review, base: str | None) -> list[Action]:
    """What may be decided now; nothing in a file, which is no place to act from."""
    if base is None:
        return []
    api = f"{base.rpartition('/')[0]}/api/v2/dags"
    if review.row.state is State.PROMOTED:
        return _take_back(review, api)
    if review.row.decision is not None:
        return []
    asked = open_question(review.facts.approvals)
    found = [_answer(review, asked, api)] if asked is not None else []
    return [*found, _roll_back(review, api)] if review.row.state in UNDECIDED else found


def _roll_back(review: Review, api: str) -> Action:
    row = review.row
    dag = f"rollback__{row.service}"
    choice = Choice(
        label="Roll back now",
        ask=f"Roll {row.service} back to {row.blue}?",
        told=f"Blue {row.blue} goes live at once, whatever the rules say, and the writers go on with it."
        " This switchover ends as rolled back.",
        yes="Yes, roll back",
        method="POST",
        url=f"{api}/{quote(dag)}/dagRuns",
        body=json.dumps({"logical_date": None, "conf": {}, "note": NOTE}),
        done=dag,
        follows=True,
        bad=True,
    )
    return Action(key="roll back", title="", told="", choices=(choice,))


def _take_back(review: Review, api: str) -> list[Action]:
    """As long as this run knows of a way back; whether another was promoted since, the task finds out, and refuses."""
    row = review.row
    try:
        plan = row.read_plan()
    except ValueError:
        return []
    if row.back_of or row.ended_at is None or review.now > row.ended_at + timedelta(hours=plan.retire.after_h):
        return []
    dag = f"rollback__{row.service}"
    lines = [] if row.blue in plan.sharing(row.green) else [spec.replay_line(row.blue) for spec in plan.writers]
    lacks = "; ".join(lines) or "nothing that the plan knows of"
    choice = Choice(
        label="Take this promotion back",
        ask=f"Bring {row.service} back to {row.blue}?",
        told=f"The writers stand still, {row.blue} and every reader are proven, and {row.blue} goes live instead of"
        f" {row.green}. What {row.blue} lacks since the promotion: {lacks}.",
        yes="Yes, take it back",
        method="POST",
        url=f"{api}/{quote(dag)}/dagRuns",
        body=json.dumps({"logical_date": None, "conf": {"after_promotion": True}, "note": BACK_NOTE}),
        done=dag,
        follows=True,
        bad=True,
    )
    return [Action(key="take back", title="", told="", choices=(choice,))]


def _answer(review: Review, asked: Mapping[str, Any], api: str) -> Action:
    row, gate = review.row, Gate(asked["gate"])
    run = quote(row.id.partition(":")[2], safe="")
    url = f"{api}/switchover__{quote(row.service)}/dagRuns/{run}/taskInstances/{gate.step}/-1/hitlDetails"
    subject = subject_text(row, gate)

    def choice(label: str, told: str, *, bad: bool = False) -> Choice:
        return Choice(
            label=label,
            ask=f"{label}: {subject}",
            told=told,
            yes=f"Yes, {label.lower()}",
            method="PATCH",
            url=url,
            body=json.dumps({"chosen_options": [label], "params_input": {}}),
            done="Answered; the run goes on in a moment.",
            bad=bad,
        )

    return Action(
        key=f"{gate} {asked['seat']}",
        title=subject,
        told=f"{_who(review, asked)} decides until {at(asked['until'])} UTC; without an answer {otherwise(gate)}."
        f" It is about {asked['subject'][:12]}: plan, both manifests and gold set as they are now; a change voids it.",
        choices=(
            choice("Approve", "You have looked at the rules, the questions that moved most and the pins below."),
            choice("Reject", f"It is as without an answer: {otherwise(gate)}.", bad=True),
        ),
    )


def _who(review: Review, asked: Mapping[str, Any]) -> str:
    before = [each["answered_by"] for each in review.facts.approvals if each["gate"] == asked["gate"]]
    others = ", ".join(filter(None, before))
    return f"A second person, another one than {others}," if others else "A person"

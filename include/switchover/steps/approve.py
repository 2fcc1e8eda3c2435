"""Asking people: what is asked and bound to what, the watch that goes on while they think, and what they answered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from switchover.approval import Answer, Gate, Person, Standing, person_id, standing
from switchover.errors import GoldError, LeaseLost, StateConflict
from switchover.gold.goldset import read_items
from switchover.judge.gates import Outcome
from switchover.ledger.heartbeat import Heartbeat
from switchover.pins import digest
from switchover.plan import Plan
from switchover.protocol import Kind, State, decide
from switchover.report.approval_text import body_text, subject_text
from switchover.report.summary import summarise
from switchover.steps.act import stuck
from switchover.steps.flip import accepted
from switchover.steps.hold import End, Tick, watch
from switchover.steps.hold_lease import beating
from switchover.steps.observe import observe
from switchover.steps.switch import Switch

PAUSE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person is shown. ``fresh`` is false when it was asked before; ``seconds`` are left for an answer."""

    gate: Gate
    person_number: int
    subject: str
    body: str
    seconds: float
    fresh: bool


def wanted(switch: Switch) -> Gate | None:
    """Which gate the run is at and the plan has people decide; ``None`` when there is nothing to ask."""
    row, plan = switch.read(), switch.plan
    if row.decision is not None:
        return None
    if row.state is State.WARMED:
        return Gate.BEFORE_FLIP if plan.asks(Gate.BEFORE_FLIP) and accepted(switch, "acceptance")[0] else None
    verdicts = switch.ledger.journal.verdicts(switch.id, latest=True)
    held = [row["outcome"] for row in verdicts if row["gate"] == "hold"]
    stopped = any(row["gate"] == "stop" and row["outcome"] == Outcome.FAIL.value for row in verdicts)
    if row.state is not State.HOLDING or not held or stopped:
        return None
    gate = (
        Gate.BEFORE_UNFREEZE
        if all(each in (Outcome.PASS.value, Outcome.OFF.value) for each in held)
        else Gate.ON_UNACCEPTED
    )
    return gate if plan.asks(gate) else None


def approval_digest(plan: Plan) -> str:
    """Digest of a plan as an approval binds it, the same on every host: files count by their names."""
    values = plan.model_dump(mode="json")
    values["gold"]["path"] = Path(plan.gold.path).name
    for channel in values["notify"]:
        channel["template"] = channel["template"] and Path(channel["template"]).name
    return digest(values)


def subject(switch: Switch, *, now_planned: str) -> str:
    """Digest of what is approved: the plan, both manifests, the gold set, each as it is now.

    ``now_planned`` is the digest of the plan as its file says it now; the run's own copy is in the ledger.
    """
    row, plan = switch.read(), switch.plan
    try:
        gold = read_items(Path(plan.gold.path))[1]
    except GoldError as error:
        gold = f"unreadable: {error}"
    return digest(
        {
            "plan": [approval_digest(plan), now_planned],
            "approved": [row.approved_hash, row.blue_hash, row.gold_digest],
            "stored": [switch.index.health(target).stored_hash for target in (row.green, row.blue)],
            "gold": gold,
        }
    )


def ask(switch: Switch, gate: Gate, *, now_planned: str) -> Question:
    """Write the question down, bound to its subject, and keep the hold going until its time is over."""
    plan, approvals = switch.plan, switch.ledger.approvals
    asked = approvals.of(switch.id, gate=gate)
    found = standing(asked, gate=gate, approvers=plan.approvers)
    if found.person_number is None:
        raise StateConflict(f"switchover {switch.id!r}: {found.why}; there is nothing left to ask")
    if not asked:
        switch.ledger.journal.step_started(switch.id, gate.step, actor=switch.actor)
    now = switch.ledger.now()
    until = asked[0]["until"] if asked else now + timedelta(minutes=plan.approve_minutes)
    bound = subject(switch, now_planned=now_planned)
    fresh = approvals.ask(switch.id, gate, person_number=found.person_number, subject=bound, until=until)
    if gate is not Gate.BEFORE_FLIP:
        switch.leadership.join()
        switch.ledger.runs.stamp(switch.id, hold_until=until)
    if fresh:
        switch.say(f"{gate}: asked person {found.person_number} of {plan.approvers} until {until:%H:%M:%S} UTC")
    row = switch.read()
    return Question(
        gate=gate,
        person_number=found.person_number,
        subject=subject_text(row, gate),
        body=body_text(
            summarise(switch.ledger, switch.id),
            switch.ledger.subjects.arms(switch.id),
            gate=gate,
            until=until,
            approvers=plan.approvers,
            bound=bound,
            rehearsed=switch.ledger.rehearsals.counted_seconds(row, plan),
            url=switch.edge.page(switch.id),
        ),
        seconds=(until - now).total_seconds(),
        fresh=fresh,
    )


async def waiting(switch: Switch, gate: Gate) -> AsyncGenerator[Tick, None]:
    """Keep watching until the time for an answer is over; the last tick has ``end``.

    After the flip this is the hold itself: it asks both arms, and stops at once on a stop rule. Before it, the
    pointer is looked at. In both the lease is renewed beside the looks, so that a slow one does not lose it.
    """
    if gate is not Gate.BEFORE_FLIP:
        async with contextlib.aclosing(watch(switch)) as ticks:
            async for tick in ticks:
                yield tick
        return
    number, latest = 0, time.monotonic() + await asyncio.to_thread(_longest_s, switch)
    async with beating(switch, until=latest) as beat:
        while True:
            tick = await asyncio.to_thread(_look_before_flip, switch, number, beat)
            yield tick
            if tick.end is not None:
                return
            number += 1
            await asyncio.sleep(PAUSE_S)


def _longest_s(switch: Switch) -> float:
    """Seconds until nobody is waited for any more, with the hand-over to the gate."""
    until: datetime = max(question["until"] for question in switch.questions(Gate.BEFORE_FLIP))
    return (until - switch.ledger.now()).total_seconds() + switch.plan.handover_s


def _look_before_flip(switch: Switch, number: int, beat: Heartbeat) -> Tick:
    if beat.lost:
        return Tick(number=number, outcome=Outcome.ERROR, line=beat.lost, end=End.LEASE_LOST)
    row, now = switch.read(), switch.ledger.now()
    action = decide(row.record, observe(switch), now)
    if action.kind is Kind.STOP:
        stuck(switch, action)
    if row.decision is not None or action.kind not in (Kind.PROCEED, Kind.RETRY):
        return Tick(number=number, outcome=Outcome.ERROR, line=action.why, end=End.OVERTAKEN)
    if all(now >= question["until"] for question in switch.questions(Gate.BEFORE_FLIP)):
        return Tick(number=number, outcome=Outcome.INCONCLUSIVE, line="nobody answered in time", end=End.UNANSWERED)
    return Tick(number=number, outcome=Outcome.PASS, line=f"waits for a person: {action.why}")


def answer(
    switch: Switch, gate: Gate, *, approved: bool, by: Person | None, now_planned: str, at: datetime | None = None
) -> Standing:
    """Write a person's answer down; returns where the gate stands now.

    The subject is computed again: an approval of what has changed since is void. A person who has approved
    already does not count twice, and the question stays open. ``at`` is when they answered, now by default.
    """
    asked = switch.questions(gate)
    open_questions = [row for row in asked if row["answered_at"] is None]
    if not open_questions:
        return standing(asked, gate=gate, approvers=switch.plan.approvers)
    question = open_questions[0]
    if approved and by is not None and by.id in [person_id(row) for row in asked]:
        switch.say(f"{gate}: {by} has approved already; a second person must")
        return standing(asked, gate=gate, approvers=switch.plan.approvers)
    at = at or switch.ledger.now()
    given = _answer(switch, question, approved=approved, by=by, now_planned=now_planned, at=at)
    switch.ledger.approvals.answer(switch.id, gate, person_number=question["seat"], answer=given, by=by)
    switch.say(f"{gate}: {given}" + (f" by {by}" if by else ""))
    return standing(switch.questions(gate), gate=gate, approvers=switch.plan.approvers)


def _answer(
    switch: Switch, question: Mapping[str, Any], *, approved: bool, by: Person | None, now_planned: str, at: datetime
) -> Answer:
    if by is None or at > question["until"]:
        return Answer.NONE
    if not approved:
        return Answer.REJECTED
    same = subject(switch, now_planned=now_planned) == question["subject"]
    return Answer.APPROVED if same else Answer.VOID


def closed(switch: Switch, gate: Gate, *, why: str) -> Standing:
    """Nobody answered, or the watch ended first: whatever is still open is no answer."""
    for row in switch.questions(gate):
        if row["answered_at"] is None:
            switch.ledger.approvals.answer(switch.id, gate, person_number=row["seat"], answer=Answer.NONE, by=None)
            switch.say(f"{gate}: no answer: {why}")
    return standing(switch.questions(gate), gate=gate, approvers=switch.plan.approvers)


def hand_over(switch: Switch) -> None:
    """Leave the lease to whoever comes next. One that has run out is for the gate and the watchdog to see."""
    with contextlib.suppress(LeaseLost):
        switch.leadership.join()
        switch.leadership.hand_over()


def ended(switch: Switch, found: Standing, gate: Gate, *, why: str = "") -> None:
    """Record the end of the asking."""
    note = "; ".join(filter(None, (why, found.why)))
    switch.ledger.journal.step_ended(switch.id, gate.step, ok=found.approved, note=note)

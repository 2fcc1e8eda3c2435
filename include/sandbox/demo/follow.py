"""Follows one run from outside: prints each step and each look of the hold as the ledger gets them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sandbox.demo.stack import Stack
from switchover.approval import Gate, open_question
from switchover.ledger import Ledger, RunRow
from switchover.page.words import at
from switchover.protocol import State
from switchover.report.approval_text import subject_text
from switchover.report.summary import summarise

POLL_S = 0.5
DONE = ("success", "failed")


class Follower:
    """Watches one DAG run and its switchover. ``say`` prints a line; ``now`` is the seconds since the start."""

    def __init__(self, *, stack: Stack, ledger: Ledger, service: str, dag_run: str, say: Callable[[str], None]) -> None:
        self._stack = stack
        self._ledger = ledger
        self._run = f"dags/switchover__{service}/dagRuns/{dag_run}"
        self._say = say
        self._told_steps: set[str] = set()
        self._told_tick = -1
        self._told_question: tuple[str, int] | None = None
        self.id = f"{service}:{dag_run}"

    def until_done(self, *, timeout: float, on_hold: Callable[[float], None]) -> str:
        """Follow to the end of the DAG run; returns its state. ``on_hold`` gets the seconds since the flip."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            state = str(self._stack.api.get(self._run)["state"])
            self._tell(on_hold)
            if state in DONE:
                return state
            time.sleep(POLL_S)
        return "still running"

    def _tell(self, on_hold: Callable[[float], None]) -> None:
        row = self._ledger.runs.find(self.id)
        if row is None:
            return
        for step in self._ledger.journal.steps(self.id):
            if step["ended_at"] is not None and step["name"] not in self._told_steps:
                self._told_steps.add(step["name"])
                seconds = (step["ended_at"] - step["started_at"]).total_seconds()
                mark = "ok  " if step["ok"] else "FAIL"
                self._say(f"{mark} {step['name']:<9} {seconds:6.1f} s  {step['note']}")
        self._tell_question(row)
        if row.state is State.HOLDING and row.flipped_at is not None and row.hold_until is not None:
            since = (self._ledger.now() - row.flipped_at).total_seconds()
            self._tell_look(since, (row.hold_until - row.flipped_at).total_seconds())
            on_hold(since)

    def _tell_question(self, row: RunRow) -> None:
        asked = open_question(self._ledger.approvals.of(self.id))
        question = (asked["gate"], asked["seat"]) if asked is not None else None
        if asked is not None and question != self._told_question:
            subject = subject_text(row, Gate(asked["gate"]))
            self._say(f"     asks {subject} Answer on the review page until {at(asked['until'])} UTC")
        self._told_question = question

    def _tell_look(self, since: float, whole: float) -> None:
        looks = self._ledger.journal.verdicts(self.id, gate="stop", latest=True)
        if not looks or looks[0]["tick"] == self._told_tick:
            return
        self._told_tick = looks[0]["tick"]
        figures = "  ".join(_figure(look["body"]) for look in looks)
        self._say(f"     hold {since:4.0f}/{whole:.0f} s  {figures}")

    def summary(self) -> dict[str, Any] | None:
        """The run as the ledger has it; ``None`` when preflight opened none."""
        return summarise(self._ledger, self.id).to_json() if self._ledger.runs.find(self.id) is not None else None


def _figure(body: dict[str, Any]) -> str:
    value = "-" if body["value"] is None else f"{body['value']:.3g}"
    flag = "" if body["outcome"] == "PASS" else f" {body['outcome']}"
    return f"{body['rule']} {value}{flag}"

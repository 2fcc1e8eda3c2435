"""What a run tells a metrics store: names, tags and meaning, and the figures of one run. Reads the ledger only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from switchover.judge.outcome import ORDER, Outcome
from switchover.ledger import Ledger, RunRow
from switchover.ledger.ttr import ttr
from switchover.protocol import State

#: name -> (tags besides ``service``, meaning). All are gauges; docs/metrics.md has a row for each.
METRICS: dict[str, tuple[tuple[str, ...], str]] = {
    "switchover.state": (("state",), "1 for the state that the newest run is in, 0 for every other state"),
    "switchover.live_arm": (("arm",), "1 for the arm that is live, 0 for the other; both 0 while it moves"),
    "switchover.hold.elapsed_seconds": ((), "seconds since the flip, at the newest look"),
    "switchover.hold.length_seconds": ((), "seconds from the flip to the end of the hold, with every extension"),
    "switchover.hold.tick": ((), "number of the newest look; it stands still when the hold does not watch"),
    "switchover.rule.value": (("gate", "rule"), "the figure that the rule judged"),
    "switchover.rule.bound": (("gate", "rule"), "what it was held against"),
    "switchover.rule.margin": (("gate", "rule"), "room to the bound; negative when the value is beyond it"),
    "switchover.rule.outcome": (("gate", "rule"), "0 PASS, 1 INCONCLUSIVE, 2 ERROR, 3 FAIL"),
    "switchover.approval.waiting": (("gate",), "1 while a person is asked, 0 once that gate has its answer"),
    "switchover.step.seconds": (("step",), "how long the step took"),
    "switchover.ttr.seconds": (("part",), "time to restore of the newest rollback and its parts"),
    "switchover.ttr.budget_seconds": ((), "the plan's budget for the time to restore"),
    "switchover.ttr.rehearsed_seconds": ((), "the store's share of it, as verify rehearsed it"),
}
MOVING = frozenset({State.FLIPPING, State.ROLLING_BACK, State.STUCK})


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One gauge."""

    name: str
    value: float
    tags: Mapping[str, str] = field(default_factory=dict)


def figures(ledger: Ledger, id: str) -> list[Figure]:
    """Every figure that is known of one run now; what is not known is left out."""
    row = ledger.runs.get(id)
    journal = ledger.journal
    found = [
        *_where(row),
        *_hold(row, ledger.now(), ledger.evidence.last_tick(id, phase="hold")),
        *_rules(journal.verdicts(id, latest=True)),
        *_approvals(ledger.approvals.of(id)),
        *_steps(journal.steps(id)),
        *_ttr(row, ledger.rehearsals.counted_seconds(row, row.read_plan())),
    ]
    return [Figure(name=f.name, value=f.value, tags={"service": row.service, **f.tags}) for f in found]


def _where(row: RunRow) -> Iterator[Figure]:
    for state in State:
        yield Figure(name="switchover.state", value=float(state is row.state), tags={"state": state.value})
    on_green = row.state in (State.HOLDING, State.PROMOTED)
    for arm, live in ((row.blue, not on_green), (row.green, on_green)):
        yield Figure(name="switchover.live_arm", value=float(live and row.state not in MOVING), tags={"arm": arm})


def _hold(row: RunRow, now: datetime, tick: int) -> Iterator[Figure]:
    if row.flipped_at is None or row.hold_until is None:
        return
    until = now if row.state is State.HOLDING else row.decided_at or now
    yield Figure(name="switchover.hold.elapsed_seconds", value=(until - row.flipped_at).total_seconds())
    yield Figure(name="switchover.hold.length_seconds", value=(row.hold_until - row.flipped_at).total_seconds())
    yield Figure(name="switchover.hold.tick", value=float(tick))


def _rules(verdicts: list[Mapping[str, Any]]) -> Iterator[Figure]:
    for row in verdicts:
        tags = {"gate": row["gate"], "rule": row["rule"]}
        for name in ("value", "bound", "margin"):
            if (value := row["body"].get(name)) is not None:
                yield Figure(name=f"switchover.rule.{name}", value=float(value), tags=tags)
        if row["outcome"] != Outcome.OFF.value:
            yield Figure(name="switchover.rule.outcome", value=float(ORDER.index(Outcome(row["outcome"]))), tags=tags)


def _approvals(questions: list[Mapping[str, Any]]) -> Iterator[Figure]:
    for gate in {row["gate"] for row in questions}:
        waiting = any(row["gate"] == gate and row["answered_at"] is None for row in questions)
        yield Figure(name="switchover.approval.waiting", value=float(waiting), tags={"gate": gate})


def _steps(steps: list[Mapping[str, Any]]) -> Iterator[Figure]:
    for step in steps:
        if step["ended_at"] is not None:
            seconds = (step["ended_at"] - step["started_at"]).total_seconds()
            yield Figure(name="switchover.step.seconds", value=seconds, tags={"step": step["name"]})


def _ttr(row: RunRow, rehearsed: float | None) -> Iterator[Figure]:
    yield Figure(name="switchover.ttr.budget_seconds", value=row.read_plan().rollback.ttr_s)
    if rehearsed is not None:
        yield Figure(name="switchover.ttr.rehearsed_seconds", value=rehearsed)
    for part, seconds in (ttr(row) or {}).items():
        if seconds is not None:
            yield Figure(name="switchover.ttr.seconds", value=seconds, tags={"part": part})

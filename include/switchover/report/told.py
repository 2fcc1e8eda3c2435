"""What is true when a message is sent: the run, the pointer read just now, what a person should do next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from switchover.edge.edge import Edge
from switchover.errors import SwitchoverError
from switchover.ledger import Ledger, RunRow
from switchover.notify.parts import Event
from switchover.protocol import Decision, State
from switchover.report.summary import clock

T = TypeVar("T")
READ_S = 2.0  # for the pointer, and as long again for the advice: who waits for a message waits for them too


@dataclass(frozen=True, kw_only=True)
class Now:
    """The run at ``at``. ``target`` is where the pointer is, ``None`` when it could not be read.

    ``by``: who acts, in words, empty for the run itself. ``next``: what a person should do, the best first.
    """

    row: RunRow
    at: datetime
    target: str | None
    by: str = ""
    next: list[str] = field(default_factory=list)

    @property
    def serves(self) -> str:
        """Who serves users, by the pointer."""
        if self.target is None:
            return "which arm serves users could not be read"
        if self.target in (self.row.blue, self.row.green):
            return f"{self.target} serves users"
        return f"the pointer is on {self.target}, which is neither {self.row.blue} nor {self.row.green}"

    @property
    def elsewhere(self) -> bool:
        """The pointer was read, and is not where the run may leave it."""
        row = self.row
        allowed = [row.blue, row.green]
        if row.state is State.PROMOTED:
            allowed = [row.green]
        elif row.state.ended or row.state.before_flip:
            allowed = [row.blue]
        return self.target is not None and self.target not in allowed


Advice = Callable[[Edge, Ledger, RunRow], Sequence[str]]


def look(edge: Edge, ledger: Ledger, id: str, *, by: str | None = None, advice: Advice) -> Now:
    """Read the run and its pointer, and ask ``advice`` where a person is needed. Takes a few seconds at most.

    ``by``: under which name who acts holds leases. ``advice`` gives the next safe steps of a run, the best first.
    """
    row = ledger.runs.get(id)
    target = _within(READ_S, lambda: row.read_plan().pointer.build(edge).read().target or "nothing")
    now = Now(row=row, at=ledger.now(), target=target, by=actor_words(row.id, by))
    if row.state is State.STUCK or now.elsewhere or target is None:
        now.next.extend(_within(READ_S, lambda: advice(edge, ledger, row)) or [f"switchover doctor {row.id}"])
    return now


def _within(seconds: float, read: Callable[[], T]) -> T | None:
    """What ``read`` gives in that time; ``None`` when it is not there by then, or cannot be read."""
    found: list[T] = []

    def run() -> None:
        try:
            found.append(read())
        except (SwitchoverError, ValueError):
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def actor_words(run: str, holder: str | None) -> str:
    """``watchdog:HOST:PID`` and ``person:USER`` for people; nothing for the run itself."""
    kind, _, name = (holder or run).partition(":")
    if holder == run or holder is None:
        return ""
    if kind == "watchdog":
        return f"by the watchdog on {name.partition(':')[0]}"
    return f"by {name}" if kind == "person" and name else f"by {holder}"


def title_of(event: Event, now: Now) -> str | None:
    """One line: what is so. ``None`` when the event is over and somebody else tells what came of it."""
    row = now.row
    if row.state.ended:
        return _ended(now) if event in ENDS else None
    if row.state is State.STUCK:  # told once, as that; whatever led to it is in its reason
        return f"STUCK, a person must look: {now.serves}" if event in (Event.STUCK, *ENDS) else None
    if now.elsewhere:
        return f"a person must look: {now.serves}"
    if event in ENDS or event is Event.STUCK:
        return f"not ended: {now.serves}"
    if event is Event.WRITER_THAWED:
        return f"a writer runs that should stand still; {now.serves}"
    if event is Event.APPROVAL_WANTED:
        return f"a person must decide; {now.serves}" if row.decision is None else None
    return _flipped(now) if event is Event.FLIP else _stopped(now)


ENDS = (Event.ROLLBACK, Event.PROMOTION, Event.ABORT)


def _ended(now: Now) -> str:
    row = now.row
    word = {State.PROMOTED: "promoted", State.ROLLED_BACK: "rolled back", State.ABORTED: "aborted"}[row.state]
    if row.back_of is not None:
        word = {State.PROMOTED: "brought back after its promotion"}.get(row.state, "not brought back")
    word = " ".join(filter(None, (word, now.by)))
    return f"{word}, but a person must look: {now.serves}" if now.elsewhere else f"{word}; {now.serves}"


def _flipped(now: Now) -> str | None:
    row = now.row
    if row.state is not State.HOLDING or row.decision is not None:
        return None
    if now.target == row.blue:
        return f"{row.blue} serves users again; this run did not move it"
    until = f" until {row.hold_until:%H:%M} UTC" if row.hold_until else ""
    if now.target is None:
        return f"{row.green} is watched{until}; {now.serves}"
    return f"{now.serves}, watched{until}"


def _stopped(now: Now) -> str | None:
    row = now.row
    if row.decision is Decision.PROMOTE or row.state.before_flip:
        return None
    if now.target == row.green:
        return f"{row.green} did not hold and still serves users; going back to {row.blue}"
    return f"{row.green} did not hold; {now.serves}"


def line_of(now: Now) -> str:
    """One line below the title: the state, since when and why, and when the pointer was read."""
    row = now.row
    since = clock((now.at - (row.ended_at or row.updated_at)).total_seconds())
    words = {
        State.PROMOTED: f"{'Brought back' if row.back_of else 'Promoted'} {since} ago",
        State.ROLLED_BACK: f"Rolled back {since} ago",
        State.ABORTED: f"Aborted {since} ago",
        State.STUCK: f"Stuck for {since}",
        State.ROLLING_BACK: f"Going back to {row.blue} for {since}",
        State.FLIPPING: f"Moving to {row.green} for {since}",
    }
    state = words.get(row.state, f"Before the flip, {row.state.value} for {since}")
    if row.state is State.HOLDING:
        live = clock((now.at - (row.flipped_at or row.updated_at)).total_seconds())
        decided = {None: "undecided", Decision.PROMOTE: "accepted", Decision.ROLL_BACK: "not accepted"}[row.decision]
        state = f"Watched for {live}, {decided}"
    why = f": {row.reason}" if row.reason else ""
    read = f". At {now.at:%H:%M:%S} UTC {now.serves}." if now.target is not None else ". The pointer did not answer."
    return f"{state}{why}{read}"

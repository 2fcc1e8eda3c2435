"""The state machine of a switchover: one pure function decides the next safe action.

The operators, the watchdog, the break-glass DAG and the doctor command all ask :func:`decide`. It sees
what the ledger says (a :class:`Record`) and what the pointer says now (an :class:`Observation`), and
after a crash it believes the pointer, never memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class State(str, Enum):
    """Where a switchover is."""

    PLANNED = "planned"
    FROZEN = "frozen"
    VERIFIED = "verified"
    WARMED = "warmed"
    FLIPPING = "flipping"
    HOLDING = "holding"
    ROLLING_BACK = "rolling_back"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    STUCK = "stuck"

    @property
    def ended(self) -> bool:
        """No step changes anything any more."""
        return self in ENDED

    @property
    def before_flip(self) -> bool:
        """The pointer has not been touched by this run."""
        return self in BEFORE_FLIP


ENDED = frozenset({State.PROMOTED, State.ROLLED_BACK, State.ABORTED})
BEFORE_FLIP = frozenset({State.PLANNED, State.FROZEN, State.VERIFIED, State.WARMED})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.FROZEN, State.ABORTED, State.STUCK}),
    State.FROZEN: frozenset({State.VERIFIED, State.ABORTED, State.STUCK}),
    State.VERIFIED: frozenset({State.WARMED, State.ABORTED, State.STUCK}),
    State.WARMED: frozenset({State.FLIPPING, State.ABORTED, State.STUCK}),
    State.FLIPPING: frozenset({State.HOLDING, State.ROLLING_BACK, State.ABORTED, State.STUCK}),
    State.HOLDING: frozenset({State.PROMOTED, State.ROLLING_BACK, State.ROLLED_BACK, State.STUCK}),
    State.ROLLING_BACK: frozenset({State.ROLLED_BACK, State.ABORTED, State.STUCK}),
    # A person, or a pointer that can be read again, brings a stuck run to an end.
    State.STUCK: frozenset({State.ROLLING_BACK, State.ROLLED_BACK, State.ABORTED, State.PROMOTED}),
    State.PROMOTED: frozenset(),
    State.ROLLED_BACK: frozenset(),
    State.ABORTED: frozenset(),
}


class Decision(str, Enum):
    """What was decided about Green; once made it never changes."""

    PROMOTE = "promote"
    ROLL_BACK = "rollback"


class Kind(str, Enum):
    """What to do next."""

    NOTHING = "nothing"  # the run has ended
    PROCEED = "proceed"  # the next step of the checklist may start
    FLIP = "flip"  # move the pointer Blue -> Green
    CONFIRM_FLIP = "confirm_flip"  # Green is live: prove every reader, then hold
    WATCH = "watch"  # the hold goes on
    PROMOTE = "promote"  # record that Green stays
    ROLL_BACK = "roll_back"  # move the pointer Green -> Blue
    CONFIRM_ROLLBACK = "confirm_rollback"  # Blue is live again: prove every reader, then end
    ABORT = "abort"  # nothing was flipped: end without a move
    RETRY = "retry"  # the pointer cannot be read now; change nothing
    STOP = "stop"  # a person must look: the pointer is on neither arm


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the ledger says about one switchover. Times are aware UTC.

    ``intended``: the run has written down that it is about to flip, so that Green may be live by its doing.
    ``version``: the pointer's version when the run last proved where it is; ``None`` where the store counts none.
    """

    id: str
    service: str
    state: State
    blue: str
    green: str
    decision: Decision | None = None
    intended: bool = True
    version: int | None = None
    hold_until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the world says now.

    ``target`` is where the pointer is, ``None`` when it could not be read, and then ``unread`` says why;
    ``version`` is the store's own count of its moves, if it counts them.
    ``lease_alive`` is whether the run's own lease on the pointer still runs, whoever observes; ``run_ended``
    whether the run that should decide is over.
    """

    target: str | None
    version: int | None = None
    unread: str = ""
    lease_alive: bool = True
    run_ended: bool = False


@dataclass(frozen=True, kw_only=True)
class Action:
    """The next safe thing to do, and why."""

    kind: Kind
    why: str


def decide(record: Record, seen: Observation, now: datetime) -> Action:
    """The next safe action. Pure and total: every record and observation has exactly one answer."""
    if record.state.ended:
        return Action(kind=Kind.NOTHING, why=f"the switchover has ended: {record.state.value}")
    if seen.target is None:
        return Action(kind=Kind.RETRY, why=f"the pointer cannot be read; nothing is changed: {seen.unread}")
    if seen.target not in (record.blue, record.green):
        return Action(
            kind=Kind.STOP,
            why=f"the pointer is on {seen.target!r}, which is neither Blue {record.blue!r} nor Green {record.green!r}",
        )
    on_green = seen.target == record.green
    if record.state.before_flip:
        return _before_flip(record, seen, on_green=on_green)
    if record.state is State.FLIPPING:
        return _flipping(record, seen, on_green=on_green)
    if record.decision is Decision.PROMOTE:
        return _promoting(record, on_green=on_green)
    if record.state is State.HOLDING:
        return _holding(record, seen, now, on_green=on_green)
    return _going_back(record, on_green=on_green)


def _before_flip(record: Record, seen: Observation, *, on_green: bool) -> Action:
    if on_green:
        return _foreign_green(record)
    if record.decision is Decision.ROLL_BACK or seen.run_ended:
        return Action(kind=Kind.ABORT, why="the run ends before its flip; it moved no pointer")
    if not seen.lease_alive:
        return Action(kind=Kind.ABORT, why="the lease on the pointer ran out before the flip")
    if moved := _moved(record, seen):
        return Action(kind=Kind.ABORT, why=f"Blue {record.blue!r} is live, but {moved}")
    return Action(kind=Kind.PROCEED, why=f"Blue {record.blue!r} is live")


def _flipping(record: Record, seen: Observation, *, on_green: bool) -> Action:
    if on_green and not record.intended:
        return _foreign_green(record)
    going_back = record.decision is Decision.ROLL_BACK or seen.run_ended or not seen.lease_alive
    if on_green and going_back:
        return Action(kind=Kind.ROLL_BACK, why="Green is live but the flip was not confirmed")
    if on_green:
        return Action(kind=Kind.CONFIRM_FLIP, why="the pointer reads Green")
    if going_back:
        return Action(kind=Kind.ABORT, why="the flip did not happen; Blue is still live")
    if moved := _moved(record, seen):
        return Action(kind=Kind.ABORT, why=f"Blue {record.blue!r} is live, but {moved}")
    return Action(kind=Kind.FLIP, why="the flip is intended and Blue is still live")


def _promoting(record: Record, *, on_green: bool) -> Action:
    if on_green:
        return Action(kind=Kind.PROMOTE, why="Green was accepted")
    return Action(kind=Kind.STOP, why=f"Green was accepted, but {record.blue!r} is live: moved by someone else")


def _holding(record: Record, seen: Observation, now: datetime, *, on_green: bool) -> Action:
    if not on_green:
        return Action(kind=Kind.CONFIRM_ROLLBACK, why="Blue is live again, though not by this run's rollback")
    if record.decision is Decision.ROLL_BACK:
        return Action(kind=Kind.ROLL_BACK, why=record.reason or "decided to roll back")
    if seen.run_ended:
        return Action(kind=Kind.ROLL_BACK, why="the run ended undecided; no answer is a rollback")
    if not seen.lease_alive:
        return Action(kind=Kind.ROLL_BACK, why="nobody renewed the lease; no answer is a rollback")
    if record.hold_until is not None and now >= record.hold_until:
        return Action(kind=Kind.ROLL_BACK, why="the hold is over and nobody decided; no answer is a rollback")
    if moved := _moved(record, seen):
        return Action(kind=Kind.ROLL_BACK, why=f"Green {record.green!r} is live, but {moved}")
    return Action(kind=Kind.WATCH, why="Green is live and undecided")


def _going_back(record: Record, *, on_green: bool) -> Action:
    if record.intended and on_green:
        return Action(kind=Kind.ROLL_BACK, why=record.reason or "rolling back")
    if record.intended:
        return Action(kind=Kind.CONFIRM_ROLLBACK, why="the pointer reads Blue")
    if on_green:
        return _foreign_green(record)
    return Action(kind=Kind.ABORT, why="the run never flipped, and Blue is live")


def _foreign_green(record: Record) -> Action:
    why = f"Green {record.green!r} is live already, but not by this run, which never moved it from {record.blue!r}"
    return Action(kind=Kind.STOP, why=why)


def _moved(record: Record, seen: Observation) -> str:
    """In words, that somebody moved the pointer away and back; empty when nobody did, or the store does not count."""
    if record.version is None or seen.version is None or record.version == seen.version:
        return ""
    return f"somebody else moved the pointer away and back: its version was {record.version} and is {seen.version} now"

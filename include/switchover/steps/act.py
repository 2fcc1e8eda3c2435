"""The one actor: carries out what :func:`switchover.protocol.decide` says, one action at a time.

An actor has taken the pointer's lease (:meth:`Leadership.take`). Everything from the first read to the last record
happens under that one epoch. Intent, act, read back, record. After any failure the next call decides again from
what the pointer says.
"""

from __future__ import annotations

import time
from datetime import timedelta

from switchover.errors import (
    NotConverged,
    PointerConflict,
    StateConflict,
    TargetRefused,
    Unreachable,
)
from switchover.ledger import RunRow
from switchover.ledger.ttr import ttr
from switchover.pointers import Change
from switchover.protocol import Action, Kind, State, decide
from switchover.steps.observe import observe
from switchover.steps.readers import prove_pointer, prove_readers
from switchover.steps.switch import Switch

RETRIES = 6


def advance(switch: Switch, *, run_ended: bool = False) -> Action:
    """Decide and carry out one action; returns it. Errors leave the ledger at the last proven state.

    ``LeaseLost``, and nothing is done, when the lease that this process leads under has ended.
    """
    switch.leadership.renew()
    row = switch.read()
    action = decide(row.record, observe(switch, run_ended=run_ended), switch.ledger.now())
    carry_out = {
        Kind.FLIP: _flip,
        Kind.CONFIRM_FLIP: _confirm_flip,
        Kind.PROMOTE: _promote,
        Kind.ROLL_BACK: _roll_back,
        Kind.CONFIRM_ROLLBACK: _confirm_rollback,
        Kind.ABORT: _abort,
        Kind.STOP: _stop,
    }.get(action.kind)
    if carry_out is not None:
        carry_out(switch, row, action)
    return action


def drive(switch: Switch, *, run_ended: bool = False) -> Action:
    """Advance until the run has ended, or nothing more can be done now. A store that does not answer is asked again."""
    pause = 0.2
    for attempt in range(RETRIES):
        try:
            action = advance(switch, run_ended=run_ended)
        except Unreachable as error:
            if attempt == RETRIES - 1:
                raise
            switch.say(f"no answer, whether it acted is not known; reading back: {error}")
            time.sleep(pause)
            pause *= 2
            continue
        if action.kind in (Kind.NOTHING, Kind.WATCH, Kind.PROCEED) or switch.read().state.ended:
            return action
        if action.kind is Kind.RETRY:
            switch.say(action.why)
            time.sleep(pause)
            pause *= 2
    raise Unreachable(
        f"switchover {switch.id!r}: not settled after {RETRIES} tries; `switchover status` shows where it is"
    )


def proceed(switch: Switch) -> None:
    """Before a step of the checklist does anything, and before it writes a state: ask :func:`decide`, under the lease.

    ``PointerConflict``, and the run is stuck, when somebody else moved the pointer; ``StateConflict`` when the run has
    ended, which it does here when there is nothing to go on for.
    """
    action = drive(switch)
    if action.kind is not Kind.PROCEED:
        raise StateConflict(f"switchover {switch.id!r}: does not go on: {action.why}")


def prove_live(switch: Switch, target: str, *, index_hash: str) -> dict[str, str]:
    """Prove that ``target`` is what the pointer and every reader serve, in the build that was approved.

    Returns reader -> INDEX_HASH. Raises ``NotConverged`` naming the readers that do not follow.
    """
    prove_pointer(switch, target, seconds=switch.plan.converge_s)
    return prove_readers(switch, target, index_hash=index_hash, seconds=switch.plan.converge_s)


def check_target(switch: Switch, target: str, *, index_hash: str) -> None:
    """A pointer never points at nothing: the target exists, is not empty and is the approved build."""
    health = switch.index.health(target)
    if not health.exists:
        raise TargetRefused(f"index {target!r}: does not exist; the pointer was not moved")
    if health.empty:
        raise TargetRefused(f"index {target!r}: is empty; the pointer was not moved")
    if health.stored_hash != index_hash:
        raise TargetRefused(
            f"index {target!r}: carries INDEX_HASH {health.stored_hash or 'none'}, approved is {index_hash};"
            " the pointer was not moved"
        )


def _flip(switch: Switch, row: RunRow, action: Action) -> None:
    back = row.back_of is not None
    if back:
        switch.ledger.runs.stamp(switch.id, "rollback_started_at")
    _move_pointer(switch, row.blue, row.green, approved=row.approved_hash, back=back)
    if back:
        switch.ledger.runs.stamp(switch.id, "rollback_applied_at")


def _roll_back(switch: Switch, row: RunRow, action: Action) -> None:
    switch.move(State.ROLLING_BACK, reason=row.reason or action.why)
    switch.ledger.runs.stamp(switch.id, "rollback_started_at")
    switch.leadership.refuse_older()
    _move_pointer(switch, row.green, row.blue, approved=row.blue_hash, back=True)
    switch.ledger.runs.stamp(switch.id, "rollback_applied_at")


def _move_pointer(switch: Switch, before: str, after: str, *, approved: str | None, back: bool) -> None:
    if approved is None:
        raise TargetRefused(f"index {after!r}: verify has approved no build of it; the pointer was not moved")
    check_target(switch, after, index_hash=approved)
    epoch = switch.leadership.lease.epoch
    change = Change(before=before, after=after, epoch=epoch, actor=switch.actor, approved_hash=approved, back=back)
    intent = switch.ledger.journal.intend_flip(
        switch.id, pointer=switch.pointer.key, before=before, after=after, epoch=epoch, actor=switch.actor
    )
    switch.leadership.renew()  # the last thing before the write: a store without epochs has nothing but this
    applied = switch.pointer.apply(change)
    switch.ledger.journal.applied_flip(intent, changed=applied.changed, version=applied.version)
    if not applied.changed:
        switch.say(f"the pointer was on {after!r} already (version {applied.version}); this call moved nothing")
        return
    switch.say(f"pointer moved from {before!r} to {after!r} (epoch {epoch}, version {applied.version})")


def _read_back(switch: Switch, target: str, *, index_hash: str | None) -> None:
    began = time.monotonic()
    readers = prove_live(switch, target, index_hash=index_hash or switch.index.health(target).stored_hash or "")
    moves = [row for row in switch.ledger.journal.flips(switch.id) if row["after"] == target]
    if moves:
        seconds = time.monotonic() - began
        switch.ledger.journal.read_back(moves[-1]["id"], readers=readers, seconds=seconds)


def _confirm_flip(switch: Switch, row: RunRow, action: Action) -> None:
    _read_back(switch, row.green, index_hash=row.approved_hash)
    if row.back_of is not None:
        switch.ledger.runs.stamp(switch.id, "converged_at")
    now = switch.ledger.now()
    hold_until = now + timedelta(minutes=row.hold_minutes)
    switch.move(State.HOLDING, flipped_at=now, hold_until=hold_until, version=switch.pointer.read().version)
    then = "" if row.back_of else f"; holding until {hold_until:%H:%M:%S} UTC"
    switch.say(f"every reader serves {'' if row.back_of else 'Green '}{row.green!r}{then}")


def _promote(switch: Switch, row: RunRow, action: Action) -> None:
    switch.move(State.PROMOTED)
    switch.say(f"{'brought back' if row.back_of else 'promoted'}: {row.green!r} stays live")


def _confirm_rollback(switch: Switch, row: RunRow, action: Action) -> None:
    switch.leadership.refuse_older()
    try:
        _read_back(switch, row.blue, index_hash=row.blue_hash)
    except NotConverged as error:
        _unproven(switch, row, error)
        raise
    switch.ledger.runs.stamp(switch.id, "converged_at")
    ended = switch.move(State.ROLLED_BACK, reason=row.reason or action.why)
    switch.say(f"rolled back: every reader serves Blue {row.blue!r}")
    say_ttr(switch, ended)


def say_ttr(switch: Switch, row: RunRow) -> None:
    """Write the measured time to restore down beside its budget."""
    total, budget = (ttr(row) or {}).get("total"), switch.plan.rollback.ttr_s
    if total is not None:
        over = "ALARM: over the" if total > budget else "within the"
        switch.say(f"time to restore {total:g} s, {over} budget of {budget:g} s")


def _abort(switch: Switch, row: RunRow, action: Action) -> None:
    if row.state is State.FLIPPING:
        # An older process may be about to flip: shut it out, and look again before saying that it did not.
        switch.leadership.refuse_older()
        if switch.pointer.read().target != row.blue:
            return
    switch.move(State.ABORTED, reason=row.reason or action.why)
    moved = any(flip["applied_at"] is not None for flip in switch.ledger.journal.flips(switch.id))
    switch.say(f"aborted: {row.reason or action.why}" + ("" if moved else "; this run moved no pointer"))


def _stop(switch: Switch, row: RunRow, action: Action) -> None:
    stuck(switch, action)
    raise PointerConflict(f"{switch.pointer.key}: {action.why}; the pointer was not moved. A person must look")


def stuck(switch: Switch, action: Action) -> RunRow:
    """Somebody else moved the pointer: write that down and tell it at once. Nothing is moved."""
    row = switch.read()
    if row.state is not State.STUCK:
        row = switch.move(State.STUCK, reason=action.why)
        switch.say(f"STUCK: {action.why}; the pointer was not moved")
    return row


def _unproven(switch: Switch, row: RunRow, error: NotConverged) -> None:
    """The pointer is back on Blue, but not every reader is proven: told once; the next look tries again."""
    if row.state is State.STUCK:
        return
    why = "; ".join(filter(None, (row.reason, f"Blue {row.blue!r} is back, but not proven: {error}")))
    switch.move(State.STUCK, reason=why)
    switch.say(f"STUCK: {error}")

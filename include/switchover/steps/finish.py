"""Step 6 and the other ends: the hold's gate, unfreeze, rollback, abort, and the teardown's restore."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from switchover.approval import Gate
from switchover.errors import NotConverged, StateConflict, SwitchoverError
from switchover.judge.gates import Outcome
from switchover.plan import Plan
from switchover.protocol import Decision, Kind, State, decide
from switchover.steps.act import drive, stuck
from switchover.steps.flip import accepted, permitted
from switchover.steps.frozen import held_lines, unresumed
from switchover.steps.mend import leave_out, mend_readers
from switchover.steps.observe import observe
from switchover.steps.promoted import refusal
from switchover.steps.resume import resume_writers
from switchover.steps.switch import Switch


def promote_or_roll_back(switch: Switch) -> Decision | None:
    """The hold's gate. Believes only verdicts in the ledger; anything missing is a rollback.

    ``None`` when the pointer was never moved: there is nothing to promote and nothing to roll back.
    """
    row = switch.read()
    if row.state.before_flip or row.state is State.ABORTED:
        return None
    if row.decision is not None:
        return row.decision
    switch.leadership.take(wait=True)
    row = switch.read()
    action = decide(replace(row.record, hold_until=None), observe(switch), switch.ledger.now())
    if action.kind is Kind.STOP:
        row = stuck(switch, action)
    passed, why = may_stay(switch)
    if action.kind not in (Kind.WATCH, Kind.RETRY):
        passed, why = False, action.why
    if row.state is State.HOLDING and passed:
        row = switch.decide(Decision.PROMOTE, reason=why)
        switch.leadership.hand_over()
    else:
        row = switch.decide(Decision.ROLL_BACK, reason=_why_back(switch, why))
        switch.ledger.runs.stamp(switch.id, "judged_at")
    switch.say(f"gate: {row.decision.value if row.decision else 'undecided'}: {row.reason}")
    return row.decision


def may_stay(switch: Switch) -> tuple[bool, str]:
    """Whether Green may stay, and why: by the rules, by a person, or by both, as the plan says.

    A stop rule that fired, also while people were thinking, lets nobody promote.
    """
    if _stop_fired(switch):
        return False, "a stop rule fired"
    held, why = accepted(switch, "hold")
    if held:
        allowed, by_whom = permitted(switch, Gate.BEFORE_UNFREEZE)
        return allowed, "; ".join(filter(None, ("every rule passes", by_whom))) if allowed else by_whom
    if switch.plan.asks(Gate.ON_UNACCEPTED):
        allowed, by_whom = permitted(switch, Gate.ON_UNACCEPTED)
        return allowed, f"{by_whom}; {why}"
    return False, why


def _stop_fired(switch: Switch) -> bool:
    stops = switch.ledger.journal.verdicts(switch.id, gate="stop", latest=True)
    return any(row["outcome"] == Outcome.FAIL.value for row in stops)


def _why_back(switch: Switch, unaccepted: str) -> str:
    if _stop_fired(switch):
        return f"stop rule: {accepted(switch, 'stop')[1]}"
    hold = next((step for step in switch.ledger.journal.steps(switch.id) if step["name"] == "hold"), None)
    if hold is not None and hold["ok"] is False:
        return f"hold: {hold['note']}"
    return f"hold: {unaccepted}"


def unfreeze(switch: Switch) -> list[str]:
    """Promote, then resume the writers on Green. Returns their names."""
    with switch.step("unfreeze") as note:
        row = switch.read()
        if row.decision is not Decision.PROMOTE:
            raise StateConflict(f"switchover {switch.id!r}: nobody decided to promote; writers stay frozen")
        drive(switch)
        row = switch.read()
        if row.state is not State.PROMOTED:
            raise StateConflict(f"switchover {switch.id!r}: is {row.state.value}; writers stay frozen")
        names = resume_writers(switch, row.green, index_hash=row.approved_hash)
        note.text = "; ".join([f"{len(names)} writers resumed on {row.green!r}", *held_lines(switch)])
        return names


def rollback(switch: Switch) -> list[str]:
    """Bring the pointer back to Blue, prove every reader, then resume the writers on Blue."""
    with switch.step("rollback", wait=True) as note:
        row = switch.decide(Decision.ROLL_BACK, reason="asked to roll back")
        if row.decision is Decision.PROMOTE or row.state is State.PROMOTED:
            raise refusal(row, switch.ledger)
        drive(switch)
        row = switch.read()
        if row.state not in (State.ROLLED_BACK, State.ABORTED):
            raise StateConflict(f"switchover {switch.id!r}: is {row.state.value}; `switchover status` shows why")
        names = resume_writers(switch, row.blue, index_hash=row.blue_hash)
        resumed = f"{row.blue!r} is live, read back by every reader; {len(names)} writers resumed"
        note.text = "; ".join([resumed, *held_lines(switch)])
        return names


def abort(switch: Switch) -> list[str]:
    """End before the flip; writers resume on Blue."""
    with switch.step("abort", wait=True) as note:
        row = switch.decide(Decision.ROLL_BACK, reason="aborted before the flip")
        drive(switch)
        row = switch.read()
        if row.state not in (State.ABORTED, State.ROLLED_BACK):
            raise StateConflict(
                f"switchover {switch.id!r}: is {row.state.value}; only a run before its flip is aborted"
            )
        names = resume_writers(switch, row.blue, index_hash=row.blue_hash)
        note.text = "; ".join([f"{row.blue!r} is live; {len(names)} writers resumed", *held_lines(switch)])
        return names


def restore(switch: Switch, *, person: str = "", without: Sequence[str] = (), plan: Plan | None = None) -> str:
    """The teardown: whatever happened to the run, leave the pointer decided, the writers right, the lease free.

    Safe to repeat; does nothing to a run that has ended well. Writers are resumed only onto an arm that
    is proven live. The run's own teardown waits for whoever is bringing the run to its end; anybody else gets
    ``LeaseLost`` while the run is driven. A ``person`` may leave readers out that cannot be read (``without``), or
    have the readers of a mended ``plan`` taken; ``BadInput`` for any other.
    """
    row = switch.ledger.runs.find(switch.id)
    if row is None:
        return "this run opened no switchover"
    names: list[str] = []
    if not row.state.ended or unresumed(switch):
        with _let_go_at_the_end(switch), switch.leadership.leading(wait=switch.holder == switch.id):
            if without or plan is not None:
                _back_first(switch)
                if plan is not None:
                    mend_readers(switch, plan, person=person)
                leave_out(switch, without, person=person)
            names = bring_to_an_end(switch, reason="the run ended undecided", who=person or "teardown")
    elif switch.run_lease_alive():
        switch.leadership.join()
    switch.leadership.release()
    row, seen = switch.read(), observe(switch)
    if decided_badly := _not_where_it_should_be(row.state, seen.target, row.should_be_live[0]):
        raise StateConflict(decided_badly)
    return f"{row.state.value}; pointer on {seen.target!r}; {len(names)} writers resumed here; lease released"


@contextlib.contextmanager
def _let_go_at_the_end(switch: Switch) -> Iterator[None]:
    """Whoever acts in a run's stead keeps no lease, also after an error: it would keep the next one waiting."""
    try:
        yield
    finally:
        if switch.holder != switch.id:
            with contextlib.suppress(SwitchoverError):
                switch.leadership.release()


def _back_first(switch: Switch) -> None:
    """Decide, and bring the pointer back, as far as that goes without the readers that a person speaks of."""
    if switch.read().state.ended:
        return
    switch.decide(Decision.ROLL_BACK, reason="the run ended undecided")
    with contextlib.suppress(NotConverged):
        drive(switch, run_ended=True)


def bring_to_an_end(switch: Switch, *, reason: str, who: str) -> list[str]:
    """For who leads in the stead of a run that is over: undecided is a rollback for ``reason``; then the writers.

    Returns the writers that were resumed, onto the arm that is proven live.
    """
    row = switch.read()
    if not row.state.ended:
        if row.decision is None:
            fired = _why_back(switch, "") if _stop_fired(switch) else ""
            switch.decide(Decision.ROLL_BACK, reason="; ".join(filter(None, (fired, reason))))
            switch.ledger.runs.stamp(switch.id, "judged_at")
        action = drive(switch, run_ended=True)
        switch.say(f"{who}: {action.kind.value}: {action.why}")
        row = switch.read()
    live, index_hash = row.should_be_live
    return resume_writers(switch, live, index_hash=index_hash)


def _not_where_it_should_be(state: State, target: str | None, live: str) -> str | None:
    if state.ended and target is not None and target != live:
        return f"the run is {state.value} but the pointer is on {target!r}, not {live!r}: moved by someone else"
    return None

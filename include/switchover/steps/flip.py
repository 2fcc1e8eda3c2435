"""Step 4: flip the one pointer, compare-and-set, and read back until every reader follows."""

from __future__ import annotations

from switchover.approval import Gate, standing
from switchover.errors import InvariantBroken, StateConflict
from switchover.judge.gates import Outcome, decisive
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan
from switchover.protocol import Action, Decision, Kind, State, decide
from switchover.steps.act import drive, proceed, stuck
from switchover.steps.observe import observe
from switchover.steps.rehearse import no_way_back
from switchover.steps.switch import Switch


def accepted(switch: Switch, gate: str) -> tuple[bool, str]:
    """Whether the newest verdicts of a gate all pass, and which rules decided against. No verdict at all is no pass."""
    verdicts = switch.ledger.journal.verdicts(switch.id, gate=gate, latest=True)
    if all(row["outcome"] == Outcome.OFF.value for row in verdicts):
        return False, f"no verdict at the {gate} gate"
    bad = decisive(verdicts, lambda row: str(row["outcome"]))
    return not bad, "; ".join(f"{row['rule']} {row['outcome']}: {row['body']['detail']}" for row in bad)


def permitted(switch: Switch, gate: Gate) -> tuple[bool, str]:
    """Whether people allow what follows a gate, and who; a gate that asks nobody allows it."""
    if not switch.plan.asks(gate):
        return True, ""
    found = standing(switch.questions(gate), gate=gate, approvers=switch.plan.approvers)
    return found.approved, found.why


def flip_or_abort(switch: Switch) -> bool:
    """The acceptance gate: true when the flip may go ahead. Fails closed; a refusal is written down."""
    row = switch.read()
    if row.state in (State.FLIPPING, State.HOLDING):
        return True
    if row.decision is not None:
        return False
    with switch.leadership.leading():
        row = switch.read()
        action = decide(row.record, observe(switch), switch.ledger.now())
        if action.kind is Kind.STOP:
            row = stuck(switch, action)
        reason, by_whom = _why_not(switch, row, action)
        if reason:
            switch.decide(Decision.ROLL_BACK, reason=reason)
    switch.say(f"not flipped: {reason}" if reason else f"acceptance gate: every rule passes{by_whom}")
    return not reason


def _why_not(switch: Switch, row: RunRow, action: Action) -> tuple[str, str]:
    """Why nothing is flipped, empty when it may be; and who allowed it."""
    if action.kind not in (Kind.PROCEED, Kind.RETRY):
        return action.why, ""
    passed, why = accepted(switch, "acceptance")
    allowed, by_whom = permitted(switch, Gate.BEFORE_FLIP)
    missing = no_way_back(switch, row)
    if row.state is State.WARMED and passed and allowed and missing is None:
        return "", f"; {by_whom}" if by_whom else ""
    broken = next((step for step in switch.ledger.journal.steps(switch.id) if step["ok"] is False), None)
    if broken:
        return f"{broken['name']}: {broken['note']}", ""
    why = (missing if passed and missing else why) or by_whom or f"the run is {row.state.value}, not warmed"
    return f"acceptance gate: {why}", ""


def require_watchdog(plan: Plan, ledger: Ledger) -> None:
    """Refuse when the plan asks for a living watchdog and there is none."""
    if plan.watchdog == "required" and ledger.watchdogs.living() is None:
        raise InvariantBroken(
            f"plan {plan.service!r} asks for a watchdog: {ledger.watchdogs.line()}; start `switchover watchdog`."
            " Nothing was changed"
        )


def flip(switch: Switch) -> str:
    """Move the pointer to Green and prove every reader. A repeat after a crash goes on from what the pointer says."""
    with switch.step("flip") as note:
        row = switch.read()
        if row.state is State.WARMED:
            proceed(switch)
            if not (accepted(switch, "acceptance")[0] and permitted(switch, Gate.BEFORE_FLIP)[0]):
                raise StateConflict(f"switchover {switch.id!r}: the acceptance gate has not passed; not flipped")
            if missing := no_way_back(switch, row):
                raise InvariantBroken(f"switchover {switch.id!r}: {missing}; not flipped")
            require_watchdog(switch.plan, switch.ledger)
            switch.move(State.FLIPPING)
        elif row.state not in (State.FLIPPING, State.HOLDING):
            raise StateConflict(f"switchover {switch.id!r}: is {row.state.value}; flip needs warmed")
        action = drive(switch)
        if action.kind is not Kind.WATCH:
            raise StateConflict(f"switchover {switch.id!r}: not flipped: {action.why}")
        note.text = f"{row.green!r} is live, read back by {len(switch.plan.readers)} readers"
        return note.text

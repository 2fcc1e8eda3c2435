"""What a person may change of a run so that it comes to its end: readers that are gone, or wrong in its plan.

Only for what cannot be read at all: a reader that answers and serves the other arm is real, and is never left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from switchover.errors import BadInput
from switchover.ledger import RunRow
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.report.advice import POINTER
from switchover.steps.readers import unproven
from switchover.steps.switch import Switch


def leave_out(switch: Switch, names: Sequence[str], *, person: str) -> None:
    """From now on these readers need not be read. Each must be unreadable now; the audit trail names the person."""
    if not names:
        return
    row = switch.read()
    _require_over(row)
    known = [reader.name for reader in switch.plan.readers]
    for name in names:
        if name not in (*known, POINTER):
            raise BadInput(f"--without {name!r}: allowed: {', '.join(known)}, {POINTER}")
    target, index_hash = row.should_be_live
    if (found := switch.pointer.read().target) != target:
        raise BadInput(
            f"--without: the pointer is on {found or 'nothing'!r}, not on {target!r}; nothing is left out before it is"
        )
    now = unproven(switch, target, index_hash=index_hash or switch.index.health(target).stored_hash or "")
    for name in [name for name in names if name not in (row.left_out or {})]:
        if name not in now.unread:
            raise BadInput(
                f"--without {name!r}: it can be read ({now.behind.get(name, f'it serves {target!r}')});"
                " only what cannot be read at all is left out"
            )
    said = {name: f"left out by {person}: {now.unread[name]}" for name in names if name in now.unread}
    switch.ledger.runs.leave_out(switch.id, said, lease=switch.leadership.lease)
    for name, line in said.items():
        switch.say(f"reader {name!r} {line}")


def mend_readers(switch: Switch, plan: Plan, *, person: str) -> None:
    """Take the readers of a mended plan for those that the run began with; the audit trail names the person."""
    row = switch.read()
    if plan.service != row.service:
        raise BadInput(f"switchover {switch.id!r}: is of service {row.service!r}, not of plan {plan.service!r}")
    if plan.readers == switch.plan.readers:
        return
    _require_over(row)
    switch.ledger.runs.mend_readers(
        switch.id, [reader.model_dump(mode="json") for reader in plan.readers], lease=switch.leadership.lease
    )
    switch.read_plan_again()
    names = ", ".join(f"{reader.name} ({reader.connection}{reader.path})" for reader in plan.readers)
    switch.say(f"readers taken from the mended plan by {person}: {names}")


def _require_over(row: RunRow) -> None:
    if not row.state.ended and row.decision is not Decision.ROLL_BACK and row.state is not State.STUCK:
        raise BadInput(
            f"switchover {row.id!r}: is {row.state.value} and undecided; readers are changed on the way to an end"
        )

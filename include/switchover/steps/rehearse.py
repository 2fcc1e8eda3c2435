"""The way back, walked before it is needed: there and back on a shadow pointer of the same backend.

No reader follows the shadow, so what is measured is the store's share of the time to restore.
"""

from __future__ import annotations

import contextlib
import functools
import time
import uuid
from collections.abc import Iterator, Mapping

from switchover.edge.edge import Edge
from switchover.errors import BadInput, LeaseLost, SwitchoverError
from switchover.ledger import Ledger, Rehearsal, RunRow
from switchover.plan import Plan
from switchover.pointers import Change, Pointer
from switchover.steps.move import wait_until
from switchover.steps.switch import Switch

PAUSE_S = 0.2


def rehearse(switch: Switch) -> Rehearsal:
    """Rehearse inside a run, with the builds that it approved. Raises as :func:`rehearse_service`."""
    row = switch.read()
    switch.leadership.renew()
    found = _walk(
        plan=switch.plan,
        ledger=switch.ledger,
        pointer=switch.pointer,
        approved={row.blue: row.blue_hash or "", row.green: row.approved_hash or ""},
        blue=row.blue,
        green=row.green,
        actor=switch.actor,
    )
    switch.say(found.note)
    return found


def rehearse_service(*, plan: Plan, edge: Edge, actor: str) -> Rehearsal:
    """Rehearse outside any run: from the live arm to the other and back, in the builds that are there now.

    The result is in the ledger, good or bad. Raises what kept the shadow from moving; one that moved too slowly is
    returned, with ``ok`` false.
    """
    pointer = plan.pointer.build(edge)
    blue = pointer.read().target
    if blue not in plan.arms:
        raise BadInput(f"{pointer.key}: is on {blue or 'nothing'!r}, none of the plan's arms ({', '.join(plan.arms)})")
    green = plan.green if plan.green != blue else next(arm for arm in plan.arms if arm != blue)
    index = plan.indexes(edge)
    return _walk(
        plan=plan,
        ledger=Ledger(engine=edge.sql(plan.ledger)),
        pointer=pointer,
        approved={arm: index.health(arm).stored_hash or "" for arm in (blue, green)},
        blue=blue,
        green=green,
        actor=actor,
    )


def _walk(
    *, plan: Plan, ledger: Ledger, pointer: Pointer, approved: Mapping[str, str], blue: str, green: str, actor: str
) -> Rehearsal:
    def record(seconds: float | None, note: str) -> Rehearsal:
        return ledger.rehearsals.add(
            service=plan.service,
            pointer=pointer.key,
            blue=blue,
            green=green,
            seconds=seconds,
            budget_s=plan.rollback.ttr_s,
            note=note,
            actor=actor,
        )

    try:
        with _alone(ledger, pointer, plan, actor) as epoch, pointer.shadow(blue) as shadow:
            to = functools.partial(Change, epoch=epoch, actor=actor)
            _move(shadow, plan, to(before=blue, after=green, approved_hash=approved[green]))
            seconds = _move(shadow, plan, to(before=green, after=blue, approved_hash=approved[blue]))
    except SwitchoverError as error:
        record(None, str(error))
        raise
    return record(seconds, f"way back rehearsed on {shadow.key} in {seconds:.3f} s, budget {plan.rollback.ttr_s:g} s")


@contextlib.contextmanager
def _alone(ledger: Ledger, pointer: Pointer, plan: Plan, actor: str) -> Iterator[int]:
    """One rehearsal of a pointer at a time, since all use one shadow; gives the epoch to move it under."""
    name, life = f"{pointer.key} (rehearsal)", 2 * plan.converge_s + 60
    holder = f"{actor}, rehearsal {uuid.uuid4().hex[:8]}"
    deadline = time.monotonic() + plan.converge_s
    while True:
        try:
            lease = ledger.leases.take(name, holder=holder, seconds=life)
            break
        except LeaseLost:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)
    try:
        yield max(lease.epoch, pointer.read().epoch or 0)
    finally:
        ledger.leases.release(lease)


def _move(shadow: Pointer, plan: Plan, change: Change) -> float:
    began = time.monotonic()
    shadow.apply(change)
    wait_until(shadow, change.after, seconds=plan.converge_s)
    return time.monotonic() - began


def no_way_back(switch: Switch, row: RunRow) -> str | None:
    """Why the run may not flip; ``None`` when a rehearsal that counts met its budget."""
    plan, found = switch.plan, switch.ledger.rehearsals.counting(row, switch.plan)
    if found is None:
        return (
            f"the way back was not rehearsed in the last {plan.rehearsal.max_age_h:g} h;"
            f" trigger rehearse__{plan.service} or run `switchover rehearse`"
        )
    if not found.ok:
        return f"the newest rehearsal of the way back ({found.at:%Y-%m-%d %H:%M} UTC) did not meet it: {found.note}"
    return None

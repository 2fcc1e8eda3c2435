"""The way back, walked before it is needed: there and back on a shadow pointer of the same backend."""

from __future__ import annotations

import time

from switchover.ledger import Ledger, RunRow
from switchover.pointers import Change, Pointer
from switchover.pointers.move import wait_until
from switchover.steps.switch import Switch


def rehearse(switch: Switch) -> float:
    """Flip a shadow pointer to Green and back; returns the seconds that the way back took.

    No reader follows the shadow, so this is the store's share of the time to restore.
    """
    row = switch.row
    lease = switch.renew_lease()
    with switch.pointer.shadow(row.blue) as shadow:
        _move(switch, shadow, row.blue, row.green, approved=row.approved_hash or "", epoch=lease.epoch)
        seconds = _move(switch, shadow, row.green, row.blue, approved=row.blue_hash or "", epoch=lease.epoch)
    switch.say(f"rollback rehearsed on {shadow.key} in {seconds:.3f} s")
    return seconds


def _move(switch: Switch, shadow: Pointer, before: str, after: str, *, approved: str, epoch: int) -> float:
    intent = switch.ledger.journal.intend_flip(
        switch.id, pointer=shadow.key, before=before, after=after, epoch=epoch, actor=switch.actor, rehearsal=True
    )
    began = time.monotonic()
    applied = shadow.apply(Change(before=before, after=after, epoch=epoch, actor=switch.actor, approved_hash=approved))
    wait_until(shadow, after, seconds=switch.plan.converge_s)
    seconds = time.monotonic() - began
    switch.ledger.journal.applied_flip(intent, changed=applied.changed, version=applied.version)
    switch.ledger.journal.read_back(intent, readers={}, seconds=seconds)
    return seconds


def rehearsed_seconds(ledger: Ledger, row: RunRow) -> float | None:
    """Seconds of a run's last rehearsed way back; ``None`` when there was none."""
    backs = [flip for flip in ledger.journal.flips(row.id) if flip["rehearsal"] and flip["after"] == row.blue]
    return backs[-1]["seconds"] if backs else None

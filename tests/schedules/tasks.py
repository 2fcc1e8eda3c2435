"""What the actors of a schedule do: the tasks of a run in their order, and a person's break-glass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from switchover.errors import SwitchoverError
from switchover.ledger import RunRow
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.hold import longest_idle_s
from switchover.steps.hold_lease import heartbeat, rejoin
from switchover.steps.switch import Switch
from tests.schedules.arms import HASH


def prepare(switch: Switch) -> None:
    """Verify and warm: they only read, so their records are all there is to them."""
    with switch.leadership.leading():
        row = switch.read()
        switch.ledger.runs.stamp(switch.id, approved_hash=HASH[row.green], blue_hash=HASH[row.blue])
        switch.move(State.VERIFIED)
        verdict(switch, "acceptance", passes=True)
        switch.move(State.WARMED)


def verdict(switch: Switch, gate: str, *, passes: bool) -> None:
    """What the judge would write."""
    body = {"rule": "coverage", "outcome": "PASS" if passes else "FAIL", "detail": ""}
    switch.ledger.journal.judged(switch.id, gate=gate, tick=0, verdicts=[body])


def watch(switch: Switch) -> None:
    """The hold keeps the lease while its looks come on; or a new one goes on after an outage."""
    rejoin(switch)
    with heartbeat(switch, going_on=lambda: True, idle_s=longest_idle_s(switch)) as beat:
        switch.leadership.renew()
        beat.stamp()
        switch.ledger.journal.events(switch.id)  # a look, in which it may stand still


TASKS: dict[str, Callable[[Switch], object]] = {
    "freeze": freeze,
    "prepare": prepare,
    "acceptance_gate": flip_or_abort,
    "flip": flip,
    "watch": watch,
    "gate": finish.promote_or_roll_back,
    "unfreeze": finish.unfreeze,
    "rollback": finish.rollback,
    "abort": finish.abort,
    "restore": finish.restore,
}


def next_of(row: RunRow) -> str:
    """The task that the DAG would start next for a run as it is."""
    if row.state in (State.PLANNED, State.FROZEN):
        return {State.PLANNED: "freeze", State.FROZEN: "prepare"}[row.state]
    if row.state.ended:
        return "restore"
    if row.state in (State.WARMED, State.VERIFIED):
        return "abort" if row.decision else "flip"
    if row.decision is None:
        return "flip" if row.state is State.FLIPPING else "gate"
    return "unfreeze" if row.decision is Decision.PROMOTE else "rollback"


def break_glass(switch: Switch) -> Any:
    """What a person does who wants Blue back at once."""
    try:
        with switch.leadership.leading(seize=True):
            return finish.bring_to_an_end(switch, reason="person:ada: asked for it", who="person:ada")
    finally:
        with contextlib.suppress(SwitchoverError):
            switch.leadership.release()

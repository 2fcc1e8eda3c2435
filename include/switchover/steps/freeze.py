"""Step 1: freeze the writers and prove the drain."""

from __future__ import annotations

import time

from switchover.errors import DrainTimeout, StateConflict
from switchover.protocol import State
from switchover.steps.act import proceed
from switchover.steps.switch import Switch
from switchover.writers import Writer

POLL_S = 0.5


def freeze(switch: Switch) -> dict[str, str]:
    """Freeze every writer, remember how it was found, and wait until nothing is in flight.

    Returns writer -> proof. ``DrainTimeout`` when one does not drain in its time; what was frozen stays
    so until abort resumes it. ``StateConflict`` for a run that has gone on, or ended: nobody would resume them.
    """
    with switch.step("freeze") as note:
        row = switch.read()
        if row.state not in (State.PLANNED, State.FROZEN) or row.decision is not None:
            raise StateConflict(
                f"switchover {switch.id!r}: is {row.state.value}; writers are frozen at a run's beginning"
            )
        proceed(switch)
        for writer in switch.writers:
            lease = switch.leadership.renew()
            switch.ledger.journal.found_writer(switch.id, writer.name, writer.find())
            writer.freeze(epoch=lease.epoch)
        proofs = {writer.name: _drain(switch, writer) for writer in switch.writers}
        proceed(switch)
        switch.move(State.FROZEN)
        note.text = f"{len(proofs)} writers frozen and drained" if proofs else "the plan names no writers"
        switch.say(note.text)
        return proofs


def _drain(switch: Switch, writer: Writer) -> str:
    deadline = time.monotonic() + writer.drain_s
    while True:
        drain = writer.drained()
        if drain.done:
            switch.ledger.journal.drained(switch.id, writer.name, proof=drain.proof)
            switch.say(f"writer {writer.name!r} drained: {drain.proof}")
            return drain.proof
        if time.monotonic() >= deadline:
            raise DrainTimeout(f"writer {writer.name!r}: not drained after {writer.drain_s:g} s: {drain.proof}")
        time.sleep(POLL_S)

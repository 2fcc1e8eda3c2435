"""Bring a run that nobody drives to its end, in its stead: what a watchdog does with each one it finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from switchover.errors import LeaseLost, PointerConflict, SwitchoverError
from switchover.protocol import Kind, State, decide
from switchover.steps.finish import bring_to_an_end
from switchover.steps.observe import observe
from switchover.steps.switch import Switch

UNSETTLED = ("blind", "stuck", "failed")


@dataclass(frozen=True, kw_only=True)
class TakeOver:
    """How one attempt went. ``result``: ``settled``, ``overtaken``, ``blind``, ``stuck`` or ``failed``."""

    run: str
    result: str
    line: str


def take_over(switch: Switch, *, since: datetime, last_holder: str) -> TakeOver:
    """Take the lease that ran out at ``since``, end the run, resume its writers, let the lease go.

    Never raises for what a run, its stores or its ledger do.
    """
    try:
        return _untouched(switch) or _lead_to_the_end(switch, since, last_holder)
    except LeaseLost as error:
        return TakeOver(run=switch.id, result="overtaken", line=f"somebody else drives: {error}")
    except PointerConflict as error:
        return TakeOver(run=switch.id, result="stuck", line=str(error))
    except SwitchoverError as error:
        return TakeOver(run=switch.id, result="failed", line=f"not settled yet, trying again: {error}")


def _lead_to_the_end(switch: Switch, since: datetime, last_holder: str) -> TakeOver:
    why = f"nobody renewed the lease since {since:%H:%M:%S} UTC, last held by {last_holder!r}"
    try:
        with switch.leadership.leading() as lease:
            switch.say(f"{switch.holder} takes over, epoch {lease.epoch}: {why}")
            row = switch.read()
            if not row.state.before_flip and row.judged_at is None and row.decision is None:
                switch.ledger.runs.stamp(switch.id, "judged_at", first_bad_at=since)
            names = bring_to_an_end(switch, reason=f"{switch.holder}: {why}", who=switch.holder)
    finally:
        switch.leadership.release()
    row = switch.read()
    line = f"{row.state.value}: {row.reason}; {len(names)} writers resumed here"
    return TakeOver(run=switch.id, result="settled", line=line)


def _untouched(switch: Switch) -> TakeOver | None:
    """Look without the lease first: what cannot be read, or needs a person and says so already, is left alone."""
    row = switch.read()
    if row.state.ended:
        return None
    action = decide(row.record, observe(switch, run_ended=True), switch.ledger.now())
    if action.kind is Kind.RETRY:
        return TakeOver(run=row.id, result="blind", line=action.why)
    if action.kind is Kind.STOP and row.state is State.STUCK:
        return TakeOver(run=row.id, result="stuck", line=action.why)
    return None

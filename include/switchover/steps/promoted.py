"""What becomes of a run that was promoted: it is not rolled back, and for a time it has a way back of its own."""

from __future__ import annotations

import shlex
from datetime import timedelta

from switchover.errors import StateConflict
from switchover.ledger import Ledger, RunRow
from switchover.part import LEDGER
from switchover.protocol import State


def promoted_run(*, service: str, ledger: Ledger) -> RunRow:
    """The run that a way back of this service takes back; ``StateConflict`` when there is none, or not any more."""
    row = ledger.runs.newest(service, State.PROMOTED)
    if row is None:
        raise StateConflict(f"service {service!r}: nothing was promoted, so there is nothing to go back from")
    if why := no_way_back(row, ledger):
        raise StateConflict(f"switchover {row.id!r}: {why}; nothing was changed")
    return row


def no_way_back(row: RunRow, ledger: Ledger) -> str:
    """Why there is no way back from a promoted run, with what there is instead; empty when there is one."""
    instead = f"trigger switchover__{row.service} with Green {row.blue!r}: it goes if that is no worse by the rules"
    newest = ledger.runs.newest(row.service, State.PROMOTED)
    if newest is not None and newest.id != row.id:
        return f"{newest.id!r} was promoted since, and only the newest promotion has a way back; instead {instead}"
    if row.back_of is not None:
        return f"is a way back itself, and {row.blue!r} was given up; instead {instead}"
    hours = row.read_plan().retire.after_h
    if row.ended_at is None or ledger.now() > row.ended_at + timedelta(hours=hours):
        return f"the way back was open for {hours:g} h after the promotion (retire.after_h); instead {instead}"
    return ""


def back_command(row: RunRow, ledger: str = LEDGER) -> str:
    """The command that takes a promotion back."""
    where = [] if ledger == LEDGER else ["--ledger", ledger]
    return shlex.join(["switchover", "back", "--service", row.service, *where])


def refusal(row: RunRow, ledger: Ledger) -> StateConflict:
    """Why a promoted run is not rolled back, and what there is instead, that will not be refused."""
    told = f"switchover {row.id!r}: was promoted, and the writers go on with {row.green!r}; nothing was changed"
    if row.state is not State.PROMOTED:
        return StateConflict(f"{told}. When it has ended: `{back_command(row)}`")
    if why := no_way_back(row, ledger):
        return StateConflict(f"{told}. No way back: {why}")
    return StateConflict(
        f"{told}. To bring {row.blue!r} back: `{back_command(row)}`, or trigger rollback__{row.service} with"
        " after_promotion"
    )

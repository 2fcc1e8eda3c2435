"""The alarm of a time budget: one line in the audit trail and in the log of whoever kept the time."""

from __future__ import annotations

import logging

from switchover.ledger import Ledger
from switchover.protocol import Decision
from switchover.report.summary import status_line

log = logging.getLogger("switchover")


def over_budget(*, ledger: Ledger, service: str, what: str, budget_s: float, id: str | None = None) -> str:
    """Say that ``what`` has taken longer than its budget, where the run is, and the next safe move; returns the line.

    ``id``: the run; without it the service's newest.
    """
    row = ledger.runs.find(id) if id is not None else next(iter(ledger.runs.latest(service=service, limit=1)), None)
    where = status_line(row, ledger.now()) if row is not None else "no switchover is in the ledger"
    line = f"ALARM: the {what} of {service!r} is over its budget of {budget_s:g} s: {where}"
    if row is not None and not row.state.ended and row.decision is not Decision.PROMOTE:
        line += f"; to go back to Blue now: trigger rollback__{service} or run `switchover rollback`"
    log.error(line)
    if row is not None:
        ledger.journal.say(row.id, line, actor="budget alarm")
    return line

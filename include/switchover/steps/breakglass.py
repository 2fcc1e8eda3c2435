"""Break-glass: a person brings a service back to Blue now, whatever drives the run and whether it is alive.

The DAG that was driving the run finds its lease gone and the decision made, and ends red with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from switchover.edge.edge import Edge
from switchover.errors import BadInput, StateConflict
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.report.summary import status_line
from switchover.steps import finish
from switchover.steps.mend import mend_readers
from switchover.steps.promoted import refusal
from switchover.steps.switch import Switch


@dataclass(frozen=True, kw_only=True)
class Back:
    """The run as it ended, and the writers that were resumed."""

    row: RunRow
    writers: list[str]


def run_to_roll_back(*, service: str, ledger: Ledger, run: str | None = None) -> RunRow:
    """The service's open switchover, or the one that is named.

    ``StateConflict`` when nothing is open, several are, or it was decided to promote; says what to do instead.
    """
    rows = [ledger.runs.get(run)] if run is not None else ledger.runs.open_of(service)
    if rows and rows[0].service != service:
        raise BadInput(f"switchover {run!r}: is of service {rows[0].service!r}, not {service!r}")
    if not rows:
        newest = ledger.runs.latest(service=service, limit=1)
        if newest:
            raise _refusal(newest[0], ledger)
        raise StateConflict(f"service {service!r}: has had no switchover; there is nothing to roll back")
    if len(rows) > 1:
        names = ", ".join(repr(row.id) for row in rows)
        raise StateConflict(f"service {service!r}: {len(rows)} switchovers are open ({names}); name one of them")
    if rows[0].state.ended or rows[0].decision is Decision.PROMOTE:
        raise _refusal(rows[0], ledger)
    return rows[0]


def _refusal(row: RunRow, ledger: Ledger) -> StateConflict:
    if row.state is State.PROMOTED or row.decision is Decision.PROMOTE:
        return refusal(row, ledger)
    return StateConflict(
        f"switchover {row.id!r}: {status_line(row, ledger.now())}; nothing is open, nothing was changed."
        f" Writers still frozen? `switchover restore '{row.id}'`"
    )


def break_glass(*, plan: Plan, edge: Edge, actor: str, person: str, run: str | None = None) -> Back:
    """Decide, take the lease from whoever has it, go back to Blue, prove every reader, resume the writers on Blue.

    The readers are those of ``plan``, so that a mended plan is enough when the run's own could not be read.
    Safe to repeat: a second call goes on where the first one was stopped. Raises as :func:`run_to_roll_back` and
    :func:`switchover.steps.finish.rollback`.
    """
    ledger = Ledger(engine=edge.sql(plan.ledger))
    id = run_to_roll_back(service=plan.service, ledger=ledger, run=run).id
    switch = Switch.open(edge=edge, ledger=plan.ledger, id=id, actor=actor, holder=f"person:{person}")
    switch.leadership.take(seize=True)
    try:
        why = f"break-glass by {person}"
        if switch.decide(Decision.ROLL_BACK, reason=why, person=person).decision is Decision.PROMOTE:
            raise _refusal(switch.read(), ledger)
        mend_readers(switch, plan, person=person)
        writers = finish.rollback(switch)
    finally:
        switch.leadership.release()
    return Back(row=switch.read(), writers=writers)

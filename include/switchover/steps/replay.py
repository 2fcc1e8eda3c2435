"""What Blue lacks of what was written since a promotion: counted where a queue keeps it, and put back there."""

from __future__ import annotations

from switchover.edge import sql
from switchover.edge.edge import Edge
from switchover.errors import SwitchoverError
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan
from switchover.steps.switch import Switch
from switchover.text import counted, first_line
from switchover.writers import QueuedWrites, WriterSpec, queue


def lacking(*, plan: Plan, edge: Edge, ledger: Ledger, promoted: RunRow) -> list[str]:
    """One line a writer, for people: how many writes Blue lacks and gets, or that nobody knows. Changes nothing."""
    if promoted.blue in plan.sharing(promoted.green):
        return [f"{promoted.blue!r} and {promoted.green!r} stand over one index: no write is missing"]
    return [_line(spec, edge, _seconds_since(ledger, promoted), promoted.blue) for spec in plan.writers]


def put_back(switch: Switch, spec: WriterSpec, target: str) -> None:
    """Have the writer apply once more, on ``target``, what it has written since the promotion that is taken back.

    Only while it stands still. Safe to repeat: what was put back before is applied once all the same.
    """
    row = switch.read()
    if (
        row.back_of is None
        or row.blue in switch.plan.sharing(row.green)
        or target != row.green
        or spec.queue is None
        or not spec.queue.replay
    ):
        return
    seconds = _seconds_since(switch.ledger, switch.ledger.runs.get(row.back_of))
    with sql.transaction(switch.edge.sql(spec.queue.connection), f"writer {spec.name!r}: its queue") as connection:
        count = connection.exec_driver_sql(queue.PUT_BACK, (row.id, spec.queue.stream, seconds)).rowcount
    switch.say(f"writer {spec.name!r}: {counted(count, 'write')} since the promotion put back in its queue")


def _seconds_since(ledger: Ledger, promoted: RunRow) -> float:
    """Since its flip, when the writers stood still: nothing was written then, on either side of that instant."""
    return (ledger.now() - (promoted.flipped_at or promoted.opened_at)).total_seconds()


def _line(spec: WriterSpec, edge: Edge, seconds: float, blue: str) -> str:
    if spec.queue is None or not spec.queue.replay:
        return spec.replay_line(blue)
    try:
        count = _count(spec.queue, edge, seconds, f"writer {spec.name!r}: its queue")
    except SwitchoverError as error:
        return f"{spec.replay_line(blue)}; not counted: {first_line(error)}"
    return f"{spec.replay_line(blue)}: {count}"


def _count(of: QueuedWrites, edge: Edge, seconds: float, what: str) -> int:
    with sql.transaction(edge.sql(of.connection), what) as connection:
        return int(connection.exec_driver_sql(queue.WRITTEN_SINCE, (of.stream, seconds)).scalar_one())

"""What Blue would lack if the run rolled back now: the writes that wait while their writers are frozen.

A frozen writer writes to neither arm, so a rollback loses nothing; what waits is applied to the arm that wins. A
writer that is not frozen any more has written to Green alone, and nobody knows how much: that is said first, and
people are told once. It does not end the hold: that would be a rollback, which is what loses those writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from switchover.edge import sql
from switchover.errors import SwitchoverError
from switchover.ledger.journal import Row
from switchover.notify import Event
from switchover.steps.switch import Switch
from switchover.text import counted
from switchover.writers import Writer, WriterSpec, queue


@dataclass(frozen=True, kw_only=True)
class Staleness:
    """The gauge at one look. ``oldest_s``: age of the oldest queued write. ``doubts``: why it may be more.

    ``thawed``: the writers that are not frozen any more.
    """

    waiting: int
    oldest_s: float
    doubts: list[str]
    thawed: list[str]

    @property
    def line(self) -> str:
        """For people."""
        if self.thawed:
            return f"after a rollback Blue would lack what was written since: {'; '.join(self.doubts)}"
        if self.doubts:
            return f"whether writes wait is not known: {'; '.join(self.doubts)}"
        if not self.waiting:
            return "writers frozen, no write waits"
        oldest = f", the oldest for {self.oldest_s:.0f} s" if self.oldest_s else ""
        return f"writers frozen, {counted(self.waiting, 'write')} waiting{oldest}"

    def to_json(self) -> Mapping[str, Any]:
        """For the ledger."""
        return asdict(self)


def look(switch: Switch, tick: int) -> Staleness:
    """Read the gauge and keep it in the ledger. Never raises for what a writer does: that is a doubt."""
    frozen = {row["name"]: row for row in switch.ledger.journal.writers(switch.id) if row["resumed_at"] is None}
    waiting, ages, doubts, names = 0, [0.0], [], []
    for spec, writer in zip(switch.plan.writers, switch.writers, strict=True):
        if writer.name not in frozen:
            continue
        try:
            count, age = _waiting(switch, spec, writer)
            thawed = _thawed(writer, frozen[writer.name])
        except SwitchoverError as error:
            doubts.append(str(error))
            continue
        waiting, ages = waiting + count, [*ages, age]
        if thawed:
            doubts.append(thawed)
            names.append(writer.name)
    found = Staleness(waiting=waiting, oldest_s=max(ages), doubts=doubts, thawed=names)
    known = {name for row in switch.ledger.journal.staleness(switch.id) for name in row["body"].get("thawed", ())}
    switch.ledger.journal.gauged(switch.id, tick, found.to_json())
    if not known.issuperset(names):
        switch.tell(Event.WRITER_THAWED, found.line)
    return found


def _thawed(writer: Writer, row: Row) -> str:
    thawed = writer.thawed(row["found"])
    return f"writer {writer.name!r} is NOT frozen any more: {thawed}" if thawed else ""


def _waiting(switch: Switch, spec: WriterSpec, writer: Writer) -> tuple[int, float]:
    count, age = writer.waiting(), 0.0
    if spec.queue is not None:
        with sql.transaction(switch.edge.sql(spec.queue.connection), f"writer {spec.name!r}: its queue") as connection:
            row = connection.exec_driver_sql(queue.WAITING, (spec.queue.stream,)).one()
        count, age = count + int(row[0]), float(row[1] or 0.0)
    return count, age

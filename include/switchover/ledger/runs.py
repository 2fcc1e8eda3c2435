"""One row a switchover: opened once, moved only along the protocol's transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from switchover.errors import BadInput, StateConflict
from switchover.ledger import tables
from switchover.ledger.audit import append, append_end
from switchover.ledger.database import Database
from switchover.ledger.leases import FROZEN, LIVES, Held, Lease, nobody, require, require_held
from switchover.ledger.run_row import RunRow, Undriven
from switchover.ledger.tables import NOW
from switchover.ledger.tables import run as table
from switchover.plan import Plan
from switchover.protocol import ENDED, TRANSITIONS, Decision, State
from switchover.text import first_line

_FLIP = tables.flip.c
# An intent whose apply found Green there already was not this run's move.
_INTENDED = (
    sa.exists()
    .where(_FLIP.run == table.c.id, _FLIP.after == table.c.green, _FLIP.changed.is_not(False))
    .label("intended")
)
_ROW = (*table.c, _INTENDED)
_BY_ID = sa.select(*_ROW).where(table.c.id == sa.bindparam("id"))  # once: it is asked for at every step
_ENDED = [state.value for state in ENDED]
_JUDGED = [State.PROMOTED.value, State.ROLLED_BACK.value]
_AFTER_FLIP = [state.value for state in State if not state.ended and not state.before_flip]


class Runs:
    """The switchovers of a ledger."""

    def __init__(self, *, database: Database, held: Held = nobody) -> None:
        self._db = database
        self._held = held

    def open(
        self,
        *,
        id: str,
        plan: Plan,
        pointer: str,
        blue: str,
        green: str,
        hold_minutes: float,
        version: int | None = None,
        retry_build: str = "",
        back_of: str | None = None,
    ) -> RunRow:
        """Open a switchover, or return it as it is when it is open already. ``version`` is the pointer's.

        ``retry_build``: the beginning of the INDEX_HASH that a person asks for again after it was taken back.
        ``back_of``: the promoted run that this one takes back.
        """
        values = {
            "id": id,
            "service": plan.service,
            "state": State.PLANNED.value,
            "blue": blue,
            "green": green,
            "pointer": pointer,
            "version": version,
            "plan": plan.model_dump(mode="json"),
            "plan_digest": plan.digest,
            "hold_minutes": hold_minutes,
            "retry_build": retry_build,
            "back_of": back_of,
        }
        with self._db.transaction() as connection:
            connection.execute(postgresql.insert(table).values(values).on_conflict_do_nothing())
        return self.get(id)

    def get(self, id: str) -> RunRow:
        """One switchover; ``BadInput`` when there is none of this id."""
        found = self.find(id)
        if found is None:
            raise BadInput(f"switchover {id!r}: not in the ledger; `switchover status` lists what is")
        return found

    def find(self, id: str) -> RunRow | None:
        """One switchover or ``None``."""
        with self._db.transaction() as connection:
            row = connection.execute(_BY_ID, {"id": id}).mappings().one_or_none()
        return _run_row(row) if row is not None else None

    def latest(self, *, service: str | None = None, limit: int = 20) -> list[RunRow]:
        """The newest switchovers first."""
        query = sa.select(*_ROW).order_by(table.c.opened_at.desc()).limit(limit)
        if service is not None:
            query = query.where(table.c.service == service)
        with self._db.transaction() as connection:
            return [_run_row(row) for row in connection.execute(query).mappings()]

    def newest(self, service: str, state: State) -> RunRow | None:
        """The switchover of a service that ended last in this state."""
        query = sa.select(*_ROW).where(table.c.service == service, table.c.state == state.value)
        with self._db.transaction() as connection:
            row = connection.execute(query.order_by(table.c.ended_at.desc()).limit(1)).mappings().one_or_none()
        return _run_row(row) if row is not None else None

    def brought_back(self, service: str, *, limit: int = 10) -> list[RunRow]:
        """The service's newest switchovers that a rollback brought back, to the last reader."""
        query = sa.select(*_ROW).where(table.c.service == service, table.c.converged_at.is_not(None))
        query = query.where(table.c.rollback_started_at.is_not(None), table.c.back_of.is_(None))
        query = query.order_by(table.c.converged_at.desc()).limit(limit)
        with self._db.transaction() as connection:
            return [_run_row(row) for row in connection.execute(query).mappings()]

    def took_back(self, pointer: str, build: str) -> RunRow | None:
        """The switchover that took this build (its INDEX_HASH) back; ``None`` when the newest one promoted it.

        That is one that rolled it back, or a way back after its promotion.
        """
        promoted = table.c.state == State.PROMOTED.value
        left = sa.and_(table.c.blue_hash == build, table.c.back_of.is_not(None), promoted)
        judged = sa.and_(table.c.approved_hash == build, table.c.state.in_(_JUDGED))
        query = sa.select(*_ROW).where(table.c.pointer == pointer, sa.or_(judged, left))
        with self._db.transaction() as connection:
            row = connection.execute(query.order_by(table.c.ended_at.desc()).limit(1)).mappings().one_or_none()
        stays = row is not None and row["state"] == State.PROMOTED.value and row["approved_hash"] == build
        return None if row is None or stays else _run_row(row)

    def open_of(self, service: str) -> list[RunRow]:
        """Switchovers of one service that have not ended, the newest first."""
        return self._open(table.c.service == service)

    def open_on(self, pointer: str) -> list[RunRow]:
        """Switchovers of one pointer that have not ended."""
        return self._open(table.c.pointer == pointer)

    def left_frozen_on(self, pointer: str) -> list[RunRow]:
        """Switchovers of one pointer that have ended but left writers frozen that nothing holds."""
        query = sa.select(*_ROW).where(table.c.pointer == pointer, table.c.state.in_(_ENDED), FROZEN)
        with self._db.transaction() as connection:
            return [_run_row(row) for row in connection.execute(query).mappings()]

    def _open(self, where: sa.ColumnElement[bool]) -> list[RunRow]:
        query = sa.select(*_ROW).where(where, table.c.state.not_in(_ENDED)).order_by(table.c.opened_at.desc())
        with self._db.transaction() as connection:
            return [_run_row(row) for row in connection.execute(query).mappings()]

    def undriven(self) -> tuple[list[Undriven], dict[str, str]]:
        """Every run with something at stake, a flip begun or writers frozen, while nobody's lease lives.

        That is for a watchdog: oldest first, and beside them the runs whose record cannot be read: id -> why. One
        such row keeps no other from being found. Writers that an ended run left frozen wait for an open run of its
        pointer.
        """
        other = table.alias()
        others = sa.exists().where(other.c.pointer == table.c.pointer, other.c.state.not_in(_ENDED))
        frozen = sa.and_(FROZEN, sa.or_(table.c.state.not_in(_ENDED), ~others))
        at_stake = sa.or_(
            table.c.state.in_(_AFTER_FLIP), table.c.state.not_in([state.value for state in State]), frozen
        )
        lease = tables.lease
        held_by = sa.func.coalesce(lease.c.holder, "nobody")
        over = sa.func.coalesce(lease.c.released_at, lease.c.expires_at, table.c.updated_at)
        query = (
            sa.select(*_ROW, held_by.label("held_by"), over.label("over"))
            .outerjoin(lease, lease.c.pointer == table.c.pointer)
            .where(at_stake, sa.func.coalesce(sa.not_(LIVES), sa.true()))
            .order_by(table.c.opened_at)
        )
        with self._db.transaction() as connection:
            rows = connection.execute(query).mappings().all()
        found: list[Undriven] = []
        broken: dict[str, str] = {}
        for row in rows:
            try:
                found.append(Undriven(row=_run_row(row), last_holder=row["held_by"], since=row["over"]))
            except ValueError as error:
                broken[str(row["id"])] = f"its record cannot be read: {first_line(error)}"
        return found, broken

    def count_open(self) -> int:
        """How many switchovers have not ended."""
        query = sa.select(sa.func.count()).where(table.c.state.not_in(_ENDED))
        with self._db.transaction() as connection:
            return int(self._db.scalar(connection, query))

    def move(self, id: str, to: State, *, lease: Lease, **changes: Any) -> RunRow:
        """Move to a state that the protocol allows from where the run is; moving to the same state is a no-op.

        One conditional update: of two movers, one wins and the other gets ``StateConflict``. ``LeaseLost``, and
        nothing is written, when the mover's lease on the run's pointer has ended.
        """
        allowed = [state.value for state, targets in TRANSITIONS.items() if to in targets]
        condition = sa.and_(_this(id, lease), table.c.state.in_(allowed))
        values = {"state": to.value, "updated_at": NOW, **changes}
        if to is State.FLIPPING:
            values["flipping_at"] = NOW
        if to in ENDED:
            values["ended_at"] = NOW
        with self._db.transaction() as connection:
            require(connection, lease)
            moved = connection.execute(sa.update(table).where(condition).values(values)).rowcount
            if moved and to in ENDED:
                append_end(connection, id, actor=lease.holder)
        row = self.get(id)
        if not moved and row.state is not to:
            raise StateConflict(_too_late(row, to))
        return row

    def decide(
        self, id: str, decision: Decision, *, lease: Lease, reason: str, person: str | None = None, **changes: Any
    ) -> RunRow:
        """Write the decision down once; the first one stands, and so does why a stuck run is stuck.

        ``LeaseLost`` as for ``move``. ``person`` broke the glass, which is an audit record also when another stands.
        """
        condition = sa.and_(_this(id, lease), table.c.decision.is_(None))
        values = {
            "decision": decision.value,
            "reason": sa.case(
                (table.c.state == State.STUCK.value, table.c.reason), else_=sa.literal(reason, table.c.reason.type)
            ),
            "decided_at": NOW,
            "updated_at": NOW,
            **changes,
        }
        with self._db.transaction() as connection:
            require(connection, lease)
            decided = connection.execute(sa.update(table).where(condition).values(values)).rowcount
            if person is not None:
                facts = {"asked": decision.value, "first": bool(decided), "reason": reason}
                append(connection, id, "break_glass", actor=person, facts=facts)
        return self.get(id)

    def leave_out(self, id: str, names: Mapping[str, str], *, lease: Lease) -> None:
        """Readers that need not be read any more: name -> who said so, and why."""
        added = sa.func.coalesce(table.c.left_out, sa.literal({}, JSONB)).op("||")(sa.literal(dict(names), JSONB))
        self._change(id, lease, left_out=added)

    def mend_readers(self, id: str, readers: Sequence[Mapping[str, Any]], *, lease: Lease) -> None:
        """Other readers than the run began with."""
        self._change(id, lease, plan=table.c.plan.op("||")(sa.literal({"readers": list(readers)}, JSONB)))

    def _change(self, id: str, lease: Lease, **values: Any) -> None:
        with self._db.transaction() as connection:
            require(connection, lease)
            connection.execute(sa.update(table).where(_this(id, lease)).values(**values, updated_at=NOW))

    def stamp(self, id: str, *names: str, **changes: Any) -> RunRow:
        """Write times of the database's clock, each only the first time, and other facts."""
        values: dict[str, Any] = {name: sa.func.coalesce(table.c[name], NOW) for name in names}
        with self._db.transaction() as connection:
            require_held(connection, self._held)
            connection.execute(
                sa.update(table).where(table.c.id == id).values({**values, **changes, "updated_at": NOW})
            )
        return self.get(id)


def _too_late(row: RunRow, to: State) -> str:
    """What a step is told that comes when the run is somewhere else."""
    state, why = row.state.value.replace("_", " "), f" ({row.reason})" if row.reason else ""
    if row.state.ended:
        at = f" at {row.ended_at:%H:%M:%S} UTC" if row.ended_at else ""
        return f"switchover {row.id!r}: was {state}{at}{why}; this step came too late and changed nothing"
    return (
        f"switchover {row.id!r}: is {state}{why}, so it was not recorded as {to.value.replace('_', ' ')}; this step"
        " came at the wrong time and changed nothing. Next: `switchover doctor`"
    )


def _this(id: str, lease: Lease) -> sa.ColumnElement[bool]:
    """The run, if the lease is one on its pointer."""
    return sa.and_(table.c.id == id, table.c.pointer == lease.pointer)


def _run_row(row: Mapping[Any, Any]) -> RunRow:
    values = {field.name: row[field.name] for field in fields(RunRow)}
    values["state"] = State(values["state"])
    values["decision"] = Decision(values["decision"]) if values["decision"] else None
    return RunRow(**values)

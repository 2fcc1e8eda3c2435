"""What a switchover did and found: steps, events, checks, writers, flips, signals, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.judge.traffic import Looked, sample_from_json
from switchover.ledger import tables
from switchover.ledger.audit import append
from switchover.ledger.database import Database
from switchover.ledger.leases import Held, nobody, require_held
from switchover.ledger.samples import figures_alone
from switchover.ledger.tables import NOW

Row = Mapping[str, Any]


class Journal:
    """Appends and reads the records that belong to a run.

    What a process of a run finds, does and judges is written under its lease (see ``Ledger.under``); what it says, and
    when it began and ended, may be written by one that has lost it.
    """

    def __init__(self, *, database: Database, held: Held = nobody) -> None:
        self._db = database
        self._held = held

    def step_started(self, run: str, name: str, *, actor: str) -> None:
        """A step began; when it is repeated, the first beginning stands."""
        insert = postgresql.insert(tables.step).values(run=run, name=name, actor=actor)
        self._execute(insert.on_conflict_do_update(constraint=tables.step.primary_key, set_={"actor": actor}), nobody)

    def step_ended(self, run: str, name: str, *, ok: bool, note: str) -> None:
        """A step ended, well or not; ``note`` is its one line."""
        condition = sa.and_(tables.step.c.run == run, tables.step.c.name == name)
        self._execute(sa.update(tables.step).where(condition).values(ended_at=NOW, ok=ok, note=note), nobody)

    def steps(self, run: str) -> list[Row]:
        """Steps in the order they began."""
        return self._rows(_of(tables.step, run).order_by(tables.step.c.started_at))

    def say(self, run: str, text: str, *, actor: str, audited: str | None = None) -> None:
        """Append one line to the audit trail; ``audited``: also a record of this kind to the audit chain."""
        with self._db.transaction() as connection:
            connection.execute(sa.insert(tables.event).values(run=run, actor=actor, text=text))
            if audited is not None:
                append(connection, run, audited, actor=actor, facts={"text": text})

    def events(self, run: str) -> list[Row]:
        """The audit trail, oldest first."""
        return self._rows(_of(tables.event, run).order_by(tables.event.c.id))

    def checked(self, run: str, checks: Iterable[Row]) -> None:
        """Write the results of verify; a repeat replaces them."""
        self._upsert(tables.check, [{"run": run, **check} for check in checks])

    def checks(self, run: str) -> list[Row]:
        """Results of verify in the order they were written."""
        return self._rows(_of(tables.check, run).order_by(tables.check.c.at))

    def found_writer(self, run: str, name: str, found: Mapping[str, Any]) -> Row:
        """Remember how a writer was found before it was frozen; the first finding stands."""
        insert = postgresql.insert(tables.writer).values(run=run, name=name, found=dict(found))
        self._execute(insert.on_conflict_do_nothing())
        return next(row for row in self.writers(run) if row["name"] == name)

    def drained(self, run: str, name: str, *, proof: str) -> None:
        """The writer has nothing in flight."""
        self._writer(run, name, proof=proof, drained_at=NOW)

    def resuming(self, run: str, name: str, *, on: str) -> None:
        """The writer is about to be resumed against arm ``on``: from now on it may be found running."""
        self._writer(run, name, resumed_on=on, held=None)

    def held(self, run: str, name: str, *, why: str) -> None:
        """The writer is not resumed, for a reason that a person must mend."""
        self._writer(run, name, held=why)

    def resumed(self, run: str, name: str, *, on: str) -> None:
        """The writer runs again, against arm ``on``."""
        self._writer(run, name, resumed_at=NOW, resumed_on=on, held=None)

    def writers(self, run: str) -> list[Row]:
        """Writers that this run froze."""
        return self._rows(_of(tables.writer, run).order_by(tables.writer.c.frozen_at))

    def intend_flip(self, run: str, **values: Any) -> int:
        """Write down what is about to be applied; returns the record's id."""
        insert = sa.insert(tables.flip).values(run=run, **values).returning(tables.flip.c.id)
        with self._db.transaction() as connection:
            require_held(connection, self._held)
            return int(self._db.scalar(connection, insert))

    def applied_flip(self, flip: int, *, changed: bool, version: int | None) -> None:
        """The store answered, or a read-back showed that it has applied."""
        self._flip(flip, changed=changed, version=version, applied_at=NOW)

    def read_back(self, flip: int, *, readers: Mapping[str, str], seconds: float) -> None:
        """Every reader follows; ``seconds`` from the apply on, by a monotonic clock."""
        applied_at = sa.func.coalesce(tables.flip.c.applied_at, NOW)
        self._flip(flip, readers=dict(readers), seconds=seconds, applied_at=applied_at, read_back_at=NOW)

    def flips(self, run: str) -> list[Row]:
        """Intents and flips, oldest first."""
        return self._rows(_of(tables.flip, run).order_by(tables.flip.c.id))

    def sampled(self, run: str, tick: int, sample: Mapping[str, Any] | None) -> None:
        """The signals of one tick (``SignalSample`` or ``Dead``), with what their store was asked."""
        self._upsert(
            tables.signal,
            [{"run": run, "tick": tick, "sample": dict(sample) if sample is not None else None}],
        )

    def samples(self, run: str) -> list[Looked]:
        """The signals of every tick so far, oldest first, without what was asked; see ``asked``."""
        found = sa.select(figures_alone(tables.signal.c.sample).label("sample"))
        rows = self._rows(found.where(tables.signal.c.run == run).order_by(tables.signal.c.tick))
        return [sample_from_json(row["sample"]) for row in rows]

    def asked(self, run: str, *, looks: int = 20) -> list[Row]:
        """What the signals' store was asked at the newest looks, oldest first: tick, at, asked (a list)."""
        table = tables.signal
        what = table.c.sample["asked"].label("asked")
        query = sa.select(table.c.tick, table.c.at, what).where(table.c.run == run, what.is_not(None))
        rows = self._rows(query.order_by(table.c.tick.desc()).limit(looks))
        return [row for row in reversed(rows) if row["asked"]]

    def last_sample(self, run: str) -> int:
        """The newest tick whose signals were asked; -1 when there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(tables.signal.c.tick), -1)).where(tables.signal.c.run == run)
        with self._db.transaction() as connection:
            return int(self._db.scalar(connection, query))

    def gauged(self, run: str, tick: int, body: Mapping[str, Any]) -> None:
        """What Blue would have lacked at one tick."""
        self._upsert(tables.staleness, [{"run": run, "tick": tick, "body": dict(body)}])

    def staleness(self, run: str) -> list[Row]:
        """The staleness gauge of every tick, oldest first."""
        return self._rows(_of(tables.staleness, run).order_by(tables.staleness.c.tick))

    def judged(self, run: str, *, gate: str, tick: int, verdicts: Sequence[Mapping[str, Any]]) -> None:
        """The verdicts of one look: one row a rule. What was judged stands: a repeat changes nothing."""
        rows = [
            {
                "run": run,
                "gate": gate,
                "tick": tick,
                "rule": body["rule"],
                "outcome": body["outcome"],
                "body": dict(body),
            }
            for body in verdicts
        ]
        if rows:
            self._execute(postgresql.insert(tables.verdict).values(rows).on_conflict_do_nothing())

    def verdicts(self, run: str, *, gate: str | None = None, latest: bool = False) -> list[Row]:
        """Verdicts by gate and tick; ``latest`` keeps the newest tick of each gate only."""
        table = tables.verdict
        query = _of(table, run).order_by(table.c.at, table.c.rule)
        if gate is not None:
            query = query.where(table.c.gate == gate)
        if latest:
            other = table.alias()
            newest = (
                sa.select(sa.func.max(other.c.tick))
                .where(other.c.run == table.c.run, other.c.gate == table.c.gate)
                .scalar_subquery()
            )
            query = query.where(table.c.tick == newest)
        return self._rows(query)

    def _writer(self, run: str, name: str, **values: Any) -> None:
        condition = sa.and_(tables.writer.c.run == run, tables.writer.c.name == name)
        self._execute(sa.update(tables.writer).where(condition).values(values))

    def _flip(self, flip: int, **values: Any) -> None:
        self._execute(sa.update(tables.flip).where(tables.flip.c.id == flip).values(values))

    def _upsert(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        insert = postgresql.insert(table).values(rows)
        keys = [column.name for column in table.primary_key]
        changed = {name: insert.excluded[name] for name in rows[0] if name not in keys}
        self._execute(insert.on_conflict_do_update(index_elements=keys, set_={**changed, "at": NOW}))

    def _execute(self, statement: sa.Executable, held: Held | None = None) -> None:
        with self._db.transaction() as connection:
            require_held(connection, held or self._held)
            connection.execute(statement)

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _of(table: sa.Table, run: str) -> sa.Select[Any]:
    return sa.select(table).where(table.c.run == run)

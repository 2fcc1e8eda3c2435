"""The audit chain in the ledger: one gapless chain of records a service, written with what it records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timezone
from typing import Any

import sqlalchemy as sa

from switchover.edge.fields import storable
from switchover.edge.sqlstate import NO_TABLE, REFUSED, state_of
from switchover.ledger import tables
from switchover.ledger.chain import FIRST, AuditRecord
from switchover.ledger.database import Database
from switchover.ledger.tables import NOW
from switchover.ledger.tables import audit as table
from switchover.pins import canonical_json, digest
from switchover.text import first_line

_FACTS = (
    "state", "decision", "reason", "blue", "green", "pointer", "blue_hash", "approved_hash", "plan_digest",
    "gold_digest", "retry_build", "back_of", "left_out",
)  # fmt: skip
_TIMES = ("opened_at", "flipping_at", "flipped_at", "judged_at", "decided_at", "rollback_started_at", "converged_at",
          "ended_at")  # fmt: skip


class Audit:
    """The chains of a ledger, as they are read."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def records(self, *, service: str | None = None, run: str | None = None) -> Iterator[AuditRecord]:
        """Every record, or those of a service or a run, in the order of a chain; streamed."""
        query = sa.select(table).order_by(sa.collate(table.c.service, "C"), table.c.seq)
        if service is not None:
            query = query.where(table.c.service == service)
        if run is not None:
            query = query.where(table.c.run == run)
        with self._db.transaction() as connection:
            for row in connection.execution_options(yield_per=1_000).execute(query).mappings():
                yield AuditRecord(**{**row, "at": _utc(row["at"])})

    def ready(self) -> bool:
        """The table is there; a ledger of an earlier version has none."""
        with self._db.transaction() as connection:
            return self._db.scalar(connection, sa.select(sa.func.to_regclass(table.name))) is not None


def append(connection: sa.Connection, run: str, kind: str, *, actor: str, facts: Mapping[str, Any]) -> None:
    """Append a record to the chain of the run's service, in the transaction of what it records.

    The chain's lock is always the last one that a transaction takes, so no two wait for each other. Where the table
    cannot be written (a ledger of an earlier version) the run goes on, and its audit trail says that it is not there.
    """
    try:
        with connection.begin_nested():
            _append(connection, run, kind, actor=actor, facts=facts)
    except sa.exc.ProgrammingError as error:
        if state_of(error.orig) not in REFUSED:
            raise
        absent = state_of(error.orig) == NO_TABLE
        next = "`switchover ledger init` creates its table" if absent else "docs/audit.md has the rights it needs"
        why = f"not in the audit chain ({kind}): {first_line(error.orig)}; {next}"
        connection.execute(sa.insert(tables.event).values(run=run, actor=actor, text=why))


def append_end(connection: sa.Connection, run: str, *, actor: str) -> None:
    """Append how a run ended: what it was about, what decided, when."""
    row = connection.execute(sa.select(tables.run).where(tables.run.c.id == run)).mappings().one()
    arm, verdict = tables.arm.c, tables.verdict.c
    pins = connection.execute(sa.select(arm.role, arm.target, arm.pins, arm.reported).where(arm.run == run))
    newest = sa.select(verdict.gate, sa.func.max(verdict.tick)).where(verdict.run == run).group_by(verdict.gate)
    decisive = sa.select(verdict.gate, verdict.tick, verdict.rule, verdict.outcome, verdict.body).where(
        verdict.run == run, sa.tuple_(verdict.gate, verdict.tick).in_(newest)
    )
    facts = {
        **{name: row[name] for name in _FACTS},
        **{name: _utc(row[name]) if row[name] else None for name in _TIMES},
        "pins_digest": digest(sorted(map(list, pins))),
        "verdicts_digest": digest(sorted(map(list, connection.execute(decisive)), key=lambda each: each[:3])),
    }
    append(connection, run, "back" if row["back_of"] else "end", actor=actor, facts=facts)


def _append(connection: sa.Connection, run: str, kind: str, *, actor: str, facts: Mapping[str, Any]) -> None:
    service = connection.execute(sa.select(tables.run.c.service).where(tables.run.c.id == run)).scalar_one_or_none()
    if service is None:
        return
    lock = sa.func.hashtextextended(f"{table.name}:{service}", 0)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
    # A statement of its own: it must see what the writer before has committed while this one waited for the lock.
    newest = sa.select(table.c.seq, table.c.hash).where(table.c.service == service)
    last = connection.execute(newest.order_by(table.c.seq.desc()).limit(1)).one_or_none()
    at = connection.execute(sa.select(NOW)).scalar_one()
    record = {
        "service": service,
        "seq": last.seq + 1 if last else 1,
        "kind": kind,
        "run": run,
        "actor": storable(actor),
        "at": _utc(at),
        "body": storable(canonical_json(facts)),
        "previous": last.hash if last else FIRST,
    }
    due = AuditRecord(**record, hash="").due
    connection.execute(sa.insert(table).values({**record, "at": at, "hash": due}))


def _utc(at: Any) -> str:
    """The one form of a time that is hashed, whatever the session's time zone."""
    return str(at.astimezone(timezone.utc).isoformat(timespec="microseconds"))

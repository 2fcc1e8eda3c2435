"""The write gate: a row that a writing process locks, shared, in each of its write transactions.

Freezing is an UPDATE of that row: PostgreSQL grants it only when every transaction that shares the row
has ended, so that success *is* the proof that nothing is in flight. See docs/writers.md for the three
lines a writer needs. Plans call the kind ``sql_fence``, its row ``fence`` and the table ``switchover_fence``: older
names, which stay. It has nothing to do with the dedupe fence.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.edge import sql
from switchover.edge.edge import Edge
from switchover.errors import BadInput, LeaseLost, LockBusy
from switchover.lazy import lazy
from switchover.part import at_most
from switchover.writers.base import Drain, State, Writer, WriterSpec

if TYPE_CHECKING:
    import sqlalchemy as sa
else:
    sa = lazy("sqlalchemy")

TABLE = """CREATE TABLE IF NOT EXISTS switchover_fence (
    fence text PRIMARY KEY, frozen boolean NOT NULL DEFAULT false, epoch bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now())"""

SET = """UPDATE switchover_fence SET frozen = :frozen, epoch = :epoch, changed_at = clock_timestamp()
       WHERE fence = :fence AND epoch <= :epoch"""


def create_table(engine: sa.Engine) -> None:
    """Create the table of write gates where it is missing."""
    with engine.begin() as connection:
        connection.execute(sa.text(TABLE))


class WriteGateSpec(WriterSpec):
    """A process that locks the row of its write gate, shared, in each of its write transactions."""

    kind: Literal["sql_fence"]
    fence: str = Field(min_length=1, description="Name of its write gate: the row in `switchover_fence`.")
    drain_s: float = Field(
        60, gt=0, json_schema_extra=at_most(86400), description="Seconds until an undrained writer aborts the run."
    )

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return WriteGateWriter(engine=edge.sql(self.connection), spec=self)


class WriteGateWriter(Writer):
    """The writer behind one write gate."""

    def __init__(self, *, engine: sa.Engine, spec: WriteGateSpec) -> None:
        super().__init__(spec=spec)
        self._engine = engine
        self._gate = spec.fence
        self._epoch: int | None = None

    def find(self) -> State:
        """See :class:`Writer`."""
        query = sa.text("SELECT frozen FROM switchover_fence WHERE fence = :fence")
        with self._transaction() as connection:
            row = connection.execute(query, {"fence": self._gate}).one_or_none()
        if row is None:
            raise BadInput(f"{self._what}: no write gate {self._gate!r} in {sql.place(self._engine)}; insert it")
        return {"frozen": row.frozen}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"frozen": True}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`. A write in flight keeps the gate open; ``drained`` asks again until it is closed."""
        self.find()
        self._epoch = epoch
        with contextlib.suppress(LockBusy):
            self._set(frozen=True, epoch=epoch, lock_timeout="1s")

    def drained(self) -> Drain:
        """See :class:`Writer`. Each call waits at most one second for the transactions in flight."""
        if self._epoch is None and not self.find()["frozen"]:
            return Drain(done=False, proof=f"write gate {self._gate} is NOT closed")
        try:
            if self._epoch is not None:
                self._set(frozen=True, epoch=self._epoch, lock_timeout="1s")
        except LockBusy:
            return Drain(done=False, proof="a write transaction still shares the gate's row")
        return Drain(done=True, proof="exclusive lock on the gate's row was granted: no write transaction is open")

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`. A write that never ended keeps the lock, but then the gate was never closed either."""
        as_found = self.find()["frozen"] == bool(found["frozen"])
        try:
            self._set(frozen=bool(found["frozen"]), epoch=epoch, lock_timeout="1s" if as_found else "10s")
        except LockBusy:
            if not as_found:
                raise

    def _set(self, *, frozen: bool, epoch: int, lock_timeout: str) -> None:
        values = {"fence": self._gate, "frozen": frozen, "epoch": epoch}
        with self._transaction() as connection:
            connection.execute(sa.text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": lock_timeout})
            if not connection.execute(sa.text(SET), values).rowcount:
                self.find()  # says so if the row is not there
                raise LeaseLost(f"{self._what}: a newer epoch than {epoch} has set write gate {self._gate!r}")

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        return sql.transaction(self._engine, self._what, hint="docs/writers.md has the table and the rights")

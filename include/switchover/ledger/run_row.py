"""One switchover as the ledger holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchover.plan import Plan
from switchover.protocol import Decision, Record, State


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One switchover as the ledger holds it. Times are aware UTC from the database's clock."""

    id: str
    service: str
    state: State
    blue: str
    green: str
    pointer: str
    plan: Mapping[str, Any]
    plan_digest: str
    gold_digest: str | None
    approved_hash: str | None
    blue_hash: str | None
    hold_minutes: float
    retry_build: str
    decision: Decision | None
    reason: str
    opened_at: datetime
    updated_at: datetime
    flipping_at: datetime | None
    flipped_at: datetime | None
    hold_until: datetime | None
    first_bad_at: datetime | None
    judged_at: datetime | None
    decided_at: datetime | None
    rollback_started_at: datetime | None
    rollback_applied_at: datetime | None
    converged_at: datetime | None
    ended_at: datetime | None
    version: int | None = None
    intended: bool = False
    left_out: Mapping[str, str] | None = None
    judge: Mapping[str, Any] | None = None  # the calibration of the judge encoder
    holdings: Mapping[str, Any] | None = None  # what both indexes held before the freeze
    back_of: str | None = None  # this run is a way back: the promoted run that it takes back

    @property
    def should_be_live(self) -> tuple[str, str | None]:
        """The arm that must be live after the run, and its build."""
        return (self.green, self.approved_hash) if self.state is State.PROMOTED else (self.blue, self.blue_hash)

    @property
    def record(self) -> Record:
        """What the protocol needs to know."""
        return Record(
            id=self.id,
            service=self.service,
            state=self.state,
            blue=self.blue,
            green=self.green,
            decision=self.decision,
            intended=self.intended,
            version=self.version,
            hold_until=self.hold_until,
            reason=self.reason,
        )

    def read_plan(self) -> Plan:
        """The plan that the run started with, whatever the file says now."""
        return Plan.model_validate(self.plan)


@dataclass(frozen=True, kw_only=True)
class Undriven:
    """A run that needs somebody: nobody's lease lives ``since`` then; ``last_holder`` had it."""

    row: RunRow
    last_holder: str
    since: datetime

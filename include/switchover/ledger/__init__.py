"""The ledger: every switchover's state, intents, evidence and leases, in SQL."""

from __future__ import annotations

import copy
from datetime import datetime

import sqlalchemy as sa

from switchover.ledger.approvals import Approvals
from switchover.ledger.audit import Audit
from switchover.ledger.database import Database
from switchover.ledger.evidence import EvidenceStore
from switchover.ledger.fingerprints import Fingerprints
from switchover.ledger.journal import Journal
from switchover.ledger.leases import Held, Lease, Leases
from switchover.ledger.listing import Listing
from switchover.ledger.receipts import Receipts
from switchover.ledger.rehearsals import Rehearsal, Rehearsals
from switchover.ledger.run_row import RunRow
from switchover.ledger.runs import Runs
from switchover.ledger.subjects import Subjects
from switchover.ledger.trends import Trends
from switchover.ledger.watchdogs import WatchdogRow, Watchdogs

__all__ = ["Lease", "Ledger", "Rehearsal", "RunRow", "WatchdogRow"]


class Ledger:
    """One ledger and its parts."""

    def __init__(self, *, engine: sa.Engine) -> None:
        self.database = Database(engine=engine)
        self.runs = Runs(database=self.database)
        self.leases = Leases(database=self.database)
        self.journal = Journal(database=self.database)
        self.rehearsals = Rehearsals(database=self.database)
        self.evidence = EvidenceStore(database=self.database)
        self.subjects = Subjects(database=self.database)
        self.listing = Listing(database=self.database)
        self.trends = Trends(database=self.database)
        self.approvals = Approvals(database=self.database)
        self.audit = Audit(database=self.database)
        self.receipts = Receipts(database=self.database)
        self.watchdogs = Watchdogs(database=self.database)
        self.fingerprints = Fingerprints(database=self.database)

    def under(self, held: Held) -> Ledger:
        """This ledger for a process of a run: what it finds and judges is written under the lease that it has.

        When that lease ran out or another epoch began, such a write raises ``LeaseLost`` and nothing is written.
        """
        ledger = copy.copy(self)
        ledger.runs = Runs(database=self.database, held=held)
        ledger.journal = Journal(database=self.database, held=held)
        ledger.evidence = EvidenceStore(database=self.database, held=held)
        ledger.subjects = Subjects(database=self.database, held=held)
        ledger.fingerprints = Fingerprints(database=self.database, held=held)
        return ledger

    def create_tables(self) -> None:
        """Create the tables that are missing."""
        self.database.create_tables()

    def require_kept_commits(self) -> None:
        """``BadInput`` where the server may forget what it has committed."""
        self.database.require_kept_commits()

    def now(self) -> datetime:
        """The ledger's clock, aware UTC."""
        return self.database.now()

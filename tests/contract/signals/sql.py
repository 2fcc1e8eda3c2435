"""A request log in a real SQLite: another database than the sandbox's, with its own names of the columns."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from switchover.edge.connection import Connection
from tests.contract.signals.base import CONNECTION, SignalsWorld, Told

LOG = "CREATE TABLE hits (finished text, variant text, code real, looped int)"
DEPTH = "CREATE TABLE queue (variant text, depth real)"


class SqlWorld(SignalsWorld):
    """Rows, which are counted here."""

    kind = "sql"
    against = "a real SQLite; the present table on a real PostgreSQL (tests/inner/test_live_traffic.py)"
    step_s = 0.0
    not_here: ClassVar[Mapping[str, str]] = {
        "warning": "a statement has rows or an error",
        "partial": "a statement has rows or an error",
        "restart": "rows are counted; there is no counter that could begin again",
        "slow_body": "as silent: one bound for the whole statement",
        "unfinished": "a row is whole when it is there",
    }
    about: ClassVar[Mapping[str, str]] = dict.fromkeys(("two_series", "infinity", "minus_infinity"), "extra_depth")
    plan: ClassVar[dict[str, Any]] = {
        "table": "hits",
        "columns": {"at": "finished", "arm": "variant", "kind": None, "status": "code", "tool_loops": "looped"},
        "extra": [{"name": "depth", "query": "SELECT depth FROM queue WHERE variant = :arm", "accept": 10, "stop": 20}],
    }

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="switchover-signals-")
        self.file = Path(self._folder.name) / "log.db"
        self.run(LOG)
        self.run(DEPTH)
        self._lock: sqlite3.Connection | None = None

    def connection(self) -> Connection:
        """See :class:`SignalsWorld`."""
        extra = {"timeout": "0.2"}  # what the driver itself waits for, so that its own word comes first
        return Connection(id=CONNECTION, conn_type="sqlite", host=str(self.file), extra=extra)

    def run(self, statement: str, *given: Any) -> None:
        """One statement."""
        with sqlite3.connect(self.file) as connection:
            connection.execute(statement, given)

    def show(self, told: Told) -> None:
        """See :class:`SignalsWorld`."""
        with sqlite3.connect(self.file) as connection:
            for table in ("hits", "queue"):
                connection.execute(f"DELETE FROM {table}")
            for arm, count in (("green", told.requests), ("blue", told.elsewhere)):
                rows = [
                    (self._text(self.flip + (self.now - self.flip) * (n + 1) / (count + 1)), arm, code)
                    for n in range(count)
                    for code in (503 if arm == "green" and n < told.errors_5xx else 200,)
                ]
                connection.executemany("INSERT INTO hits VALUES (?, ?, ?, 0)", rows)
            connection.execute("INSERT INTO hits VALUES (?, 'nobody', 200, 0)", [self._text(self.now)])
            connection.executemany("INSERT INTO queue VALUES (?, 3)", [("green",), ("blue",)])

    def _text(self, at: datetime) -> str:
        return at.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")

    def no_data(self) -> None:
        """Nothing at all."""
        self.run("DELETE FROM hits")
        self.run("DELETE FROM queue")

    def not_a_number(self) -> None:
        """A text where a number stands, and no time where a time does."""
        self.run("UPDATE queue SET depth = 'many'")
        self.run("UPDATE hits SET finished = 'yesterday'")

    def infinity(self) -> None:
        """A figure of the plan's own; a count of rows is finite."""
        self.run("UPDATE queue SET depth = 9e999")

    def minus_infinity(self) -> None:
        """The same."""
        self.run("UPDATE queue SET depth = -9e999")

    def two_series(self) -> None:
        """Two rows where one is allowed."""
        self.run("INSERT INTO queue VALUES ('green', 3)")

    def unauthorised(self) -> None:
        """The file is no database that this connection can open."""
        self.file.write_bytes(b"not a database, but long enough to look like one " * 40)

    def forbidden(self) -> None:
        """The table is not there for this login."""
        self.run("ALTER TABLE hits RENAME TO hidden")
        self.run("DROP TABLE queue")

    def too_many(self) -> None:
        """Somebody holds the database, and the driver says so."""
        self._lock = sqlite3.connect(self.file)
        self._lock.execute("BEGIN EXCLUSIVE")

    def unavailable(self) -> None:
        """The database is gone."""
        self.file.unlink()
        self.file.mkdir()

    def silent(self) -> None:
        """A view that never ends."""
        self.run("ALTER TABLE hits RENAME TO hidden")
        self.run("DROP TABLE queue")
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
        self.run(f"CREATE VIEW hits AS {endless} finished, variant, code, looped FROM n, hidden")
        self.run(f"CREATE VIEW queue AS {endless} variant, 3 AS depth FROM n, hidden")

    def stale(self) -> None:
        """The newest row is older than may be."""
        self.run("UPDATE hits SET finished = datetime(finished, '-600 seconds')")
        self.run("DELETE FROM queue")

    def future(self) -> None:
        """Rows that are not there yet."""
        self.run("UPDATE hits SET finished = datetime(finished, '+3600 seconds')")
        self.run("DELETE FROM queue")

    def wrong_arm(self) -> None:
        """There are rows of another arm alone."""
        self.run("UPDATE hits SET variant = 'blue'")
        self.run("UPDATE queue SET variant = 'blue'")

    def nonsense(self) -> None:
        """A table of another shape."""
        self.run("DROP TABLE hits")
        self.run("CREATE TABLE hits (x int)")
        self.run("UPDATE queue SET depth = x'00'")

    def errors_unreadable(self) -> None:
        """The status is in another column."""
        self.run("ALTER TABLE hits RENAME COLUMN code TO status")
        self.run("DELETE FROM queue")

    def other_arm_unreadable(self) -> None:
        """All arms stand in one statement: none can be read without the others."""
        self.run("ALTER TABLE hits RENAME COLUMN variant TO arm")
        self.run("DELETE FROM queue")

    def no_5xx_series(self) -> None:
        """No row of a 5xx."""

    def new_process(self) -> None:
        """Rows come from another process as well: they are rows."""

    def close(self) -> None:
        """See :class:`SignalsWorld`."""
        if self._lock is not None:
            self._lock.close()
        self._folder.cleanup()

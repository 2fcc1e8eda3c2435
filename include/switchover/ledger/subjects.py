"""What a switchover is about: the pins of both arms, the questions that are asked, the texts that come back.

Kept in the ledger so that a report needs nothing else: the arms, the gold set and the corpus may be gone by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.edge.answers import Hit
from switchover.gold.goldset import GoldSet
from switchover.ledger import tables
from switchover.ledger.database import Database
from switchover.ledger.leases import Held, nobody, require_held

Row = Mapping[str, Any]
WIDEST = 2_000  # characters of a text that are kept


class Subjects:
    """Arms, questions and retrieved texts of the runs in a ledger."""

    def __init__(self, *, database: Database, held: Held = nobody) -> None:
        self._db = database
        self._held = held

    def found_arm(
        self, run: str, role: str, *, target: str, pins: Mapping[str, str], reported: Mapping[str, str]
    ) -> None:
        """Write an arm's pins: those of its manifest, and those that it reports itself. A repeat replaces them."""
        values = {"target": target, "pins": dict(pins), "reported": dict(reported)}
        insert = postgresql.insert(tables.arm).values(run=run, role=role, **values)
        self._write(insert.on_conflict_do_update(index_elements=["run", "role"], set_={**values, "at": tables.NOW}))

    def arms(self, run: str) -> dict[str, Row]:
        """Role -> target, pins, reported; only what was written."""
        return {row["role"]: row for row in self._rows(tables.arm, run)}

    def asks(self, run: str, gold: GoldSet) -> None:
        """Write the questions of a gold set with their resolved spans; a repeat changes nothing."""
        rows = [
            {
                "run": run,
                "id": item.id,
                "position": position,
                "paraphrases": gold.wordings(item),
                "spans": [asdict(span) for span in spans],
                "quote": anchor[:WIDEST],
                "tags": dict(item.tags),
                "grade": gold.grade.value,
            }
            for position, (item, spans, anchor) in enumerate(zip(gold.items, gold.spans, gold.anchors, strict=True))
        ]
        self._write(postgresql.insert(tables.question).on_conflict_do_nothing(), rows)

    def questions(self, run: str) -> list[Row]:
        """The questions in the order of the gold set."""
        return sorted(self._rows(tables.question, run), key=lambda row: int(row["position"]))

    def retrieved(self, run: str, hits: Iterable[tuple[str, Hit]]) -> None:
        """Keep the text of each (arm, hit) once, its beginning only."""
        texts = {(arm, hit.id): hit.text[:WIDEST] for arm, hit in hits if hit.text and hit.id}
        rows = [{"run": run, "arm": arm, "id": id, "text": text} for (arm, id), text in sorted(texts.items())]
        self._write(postgresql.insert(tables.snippet).on_conflict_do_nothing(), rows)

    def snippets(self, run: str, ids: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """(arm, snippet id) -> text of those that were kept."""
        table = tables.snippet
        query = sa.select(table).where(table.c.run == run, sa.tuple_(table.c.arm, table.c.id).in_(list(ids)))
        with self._db.transaction() as connection:
            return {(row["arm"], row["id"]): row["text"] for row in connection.execute(query).mappings()}

    def _write(self, statement: sa.Insert, rows: Sequence[Mapping[str, Any]] | None = None) -> None:
        if rows is not None and not rows:
            return
        with self._db.transaction() as connection:
            require_held(connection, self._held)
            connection.execute(statement, rows)

    def _rows(self, table: sa.Table, run: str) -> list[Row]:
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(sa.select(table).where(table.c.run == run)).mappings()]

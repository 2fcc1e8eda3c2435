"""Evidence rows: one a probe, written once, read back without their hits: as rows, or as the judge's columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.evidence import Evidence
from switchover.ledger.database import Database
from switchover.ledger.tables import evidence as table

BATCH = 500
PROBE = ("question", "tick", "paraphrase", "seed")
JUDGED = [column for column in table.c if column.name not in ("id", "run", "hits", "error")]

# A row of the binary COPY: every field has a fixed width behind its length, so that numpy reads all rows at once.
HEAD, TAIL = 19, 2  # bytes before the first row and after the last
FIELDS = {
    "tick": ("tick", ">i4"),
    "arm": ("(arm = 'green')::int", ">i4"),
    "known_arm": ("(arm IN ('blue', 'green'))::int", ">i4"),
    "question": ("hashtextextended(question, 0)", ">i8"),
    "paraphrase": ("paraphrase::int", ">i4"),
    "seed": ("seed::int", ">i4"),
    "ds_question": ("ds_question", ">f8"),
    "ds_anchor": ("ds_anchor", ">f8"),
    "coverage": ("coalesce(coverage, '-Infinity')", ">f8"),
    "cited": ("coalesce(hashtextextended(cited, 0), 0)", ">i8"),
    "status": ("status::int", ">i4"),
    "ms_retrieve": ("coalesce(ms_retrieve, 'NaN')", ">f8"),
    "ms_rerank": ("coalesce(ms_rerank, 'NaN')", ">f8"),
    "ms_reason": ("coalesce(ms_reason, 'NaN')", ">f8"),
    "ms_total": ("coalesce(ms_total, 'NaN')", ">f8"),
    "tool_loop": ("tool_loop::int", ">i4"),
}
ROW = np.dtype(
    [("fields", ">i2"), *(each for n, (_, kind) in FIELDS.items() for each in ((f"_{n}", ">i4"), (n, kind)))]
)
COPY = (
    f"COPY (SELECT {', '.join(expression for expression, _ in FIELDS.values())} FROM {table.name}"
    " WHERE run = %s AND phase = %s ORDER BY tick) TO STDOUT (FORMAT BINARY)"
)


class EvidenceStore:
    """The evidence of a ledger."""

    def __init__(self, *, database: Database) -> None:
        self._db = database

    def add(self, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; one that is there already stays as it is."""
        with self._db.transaction() as connection:
            for start in range(0, len(rows), BATCH):
                batch = [{"run": run, **row} for row in rows[start : start + BATCH]]
                connection.execute(postgresql.insert(table).on_conflict_do_nothing(), batch)

    def rows(self, run: str, *, phase: str, since_tick: int = 0) -> list[Mapping[str, Any]]:
        """What the judge needs of one phase, without hits."""
        query = sa.select(*JUDGED).where(table.c.run == run, table.c.phase == phase, table.c.tick >= since_tick)
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def load(self, run: str, *, phase: str, questions: Sequence[str]) -> Evidence:
        """The same as ``Evidence.from_rows`` makes of all rows of a phase, many times as fast.

        ``questions`` are the ids that were to be asked; rows of another question or arm are left out.
        """
        with self._db.transaction() as connection:
            cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
            with cursor.copy(COPY, (run, phase)) as copied:
                raw = b"".join(bytes(block) for block in copied)
            hashes = sa.text("SELECT hashtextextended(id, 0), id FROM unnest(cast(:ids AS text[])) AS id")
            codes = {row[0]: row[1] for row in connection.execute(hashes, {"ids": list(questions)})}
        rows = np.frombuffer(raw, dtype=ROW, count=(len(raw) - HEAD - TAIL) // ROW.itemsize, offset=HEAD)
        return _columns(rows, tuple(questions), codes)

    def questions(self, run: str) -> list[str]:
        """Every question that was asked in any phase of a run."""
        query = sa.select(table.c.question).where(table.c.run == run).distinct().order_by(table.c.question)
        with self._db.transaction() as connection:
            return list(connection.execute(query).scalars())

    def last_tick(self, run: str, *, phase: str) -> int:
        """The newest tick with evidence; -1 when there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(table.c.tick), -1)).where(
            table.c.run == run, table.c.phase == phase
        )
        with self._db.transaction() as connection:
            return int(self._db.scalar(connection, query))

    def newest_phase(self, run: str) -> str:
        """``hold`` when the hold has evidence, else ``warm``."""
        return "hold" if self.last_tick(run, phase="hold") >= 0 else "warm"

    def began(self, run: str, *, phase: str, tick: int) -> datetime | None:
        """When the first probe of a tick was sent."""
        query = sa.select(sa.func.min(table.c.at)).where(
            table.c.run == run, table.c.phase == phase, table.c.tick == tick
        )
        with self._db.transaction() as connection:
            found: datetime | None = self._db.scalar(connection, query)
        return found

    def hits(self, run: str, *, phase: str, probes: Sequence[tuple[str, int, int, int]]) -> Iterator[Mapping[str, Any]]:
        """Rows with hits, of both arms, for some probes (question, tick, paraphrase, seed); no order is kept."""
        asked = sa.tuple_(table.c.question, table.c.tick, table.c.paraphrase, table.c.seed)
        columns = [table.c[name] for name in (*PROBE, "arm", "cited", "status", "coverage", "ds_question", "hits")]
        for start in range(0, len(probes), BATCH):
            query = sa.select(*columns).where(
                table.c.run == run, table.c.phase == phase, asked.in_(probes[start : start + BATCH])
            )
            with self._db.transaction() as connection:
                yield from [dict(row) for row in connection.execute(query).mappings()]

    def of_questions(self, run: str, *, phase: str, questions: Sequence[str]) -> list[Mapping[str, Any]]:
        """Rows of some questions, without hits."""
        query = sa.select(*JUDGED).where(
            table.c.run == run, table.c.phase == phase, table.c.question.in_(list(questions))
        )
        with self._db.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def ticks(self, run: str, *, phase: str) -> list[tuple[int, datetime]]:
        """Each tick with evidence and when its first probe was sent, in order."""
        query = (
            sa.select(table.c.tick, sa.func.min(table.c.at))
            .where(table.c.run == run, table.c.phase == phase)
            .group_by(table.c.tick)
            .order_by(table.c.tick)
        )
        with self._db.transaction() as connection:
            return [(int(tick), at) for tick, at in connection.execute(query)]


def _columns(rows: Any, questions: tuple[str, ...], codes: Mapping[int, str]) -> Evidence:
    """The judge's columns; a hash stands for each text."""
    hashes = np.array(sorted(codes), dtype=np.int64)
    position = {name: index for index, name in enumerate(questions)}
    index_of = np.array([position[codes[int(each)]] for each in hashes], dtype=np.int64)
    asked = rows["question"].astype(np.int64)
    at = np.searchsorted(hashes, asked)
    at[at == len(hashes)] = 0
    known = (rows["known_arm"] == 1) & (hashes[at] == asked if len(hashes) else False)
    rows, at = rows[known], at[known]
    cited, code = np.unique(rows["cited"].astype(np.int64), return_inverse=True)
    coverage = rows["coverage"].astype(np.float64)
    numbers: dict[str, Any] = {
        name: rows[name].astype(np.int64) for name in ("tick", "arm", "paraphrase", "seed", "status")
    }
    floats: dict[str, Any] = {name: rows[name].astype(np.float64) for name in FIELDS if name.startswith(("ds_", "ms_"))}
    raw = Evidence(
        questions=questions,
        sections=tuple(map(str, cited)),
        question=index_of[at] if len(hashes) else np.empty(0, np.int64),
        coverage=coverage,
        cited=np.where(rows["cited"] == 0, -1, code),
        tool_loop=rows["tool_loop"] == 1,
        observed=np.ones(len(rows), np.bool_),
        **numbers,
        **floats,
    )
    return raw.cleaned(unanswerable=np.isneginf(coverage)).complete(1)

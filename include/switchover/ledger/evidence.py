"""Evidence rows: one a probe, written once, read back without their hits: as rows, or as the judge's columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from switchover.errors import Unstorable
from switchover.judge.evidence import COLUMNS as EVIDENCE_COLUMNS
from switchover.judge.evidence import PARAPHRASES, Evidence
from switchover.judge.evidence_row import ANSWERS, EvidenceRow, Probe
from switchover.ledger.database import Database
from switchover.ledger.leases import Held, nobody, require_held
from switchover.ledger.tables import evidence as table
from switchover.ledger.tables import question as asked

BATCH = 500
WITH_HITS = [column for column in table.c if column.name not in ("id", "run")]
WITHOUT_HITS = [column for column in WITH_HITS if column.name != "hits"]

# What is read of a row, and its fixed width in PostgreSQL's binary form: all rows are one text of bytes, which numpy
# reads as it is.
FIELDS = {
    "tick": ("int4send(tick)", ">i4"),
    "arm": ("int2send((CASE arm WHEN 'blue' THEN 0 WHEN 'green' THEN 1 ELSE -1 END)::int2)", ">i2"),
    "question": ("int8send(hashtextextended(question, 0))", ">i8"),
    "paraphrase": ("int2send(paraphrase)", ">i2"),
    "seed": ("int2send(seed)", ">i2"),
    "ds_question": ("float8send(ds_question)", ">f8"),
    "ds_anchor": ("float8send(ds_anchor)", ">f8"),
    "coverage": ("float8send(coalesce(coverage, '-Infinity'))", ">f8"),
    "ndcg": ("float8send(coalesce(ndcg, 'NaN'))", ">f8"),
    "reciprocal_rank": ("float8send(coalesce(reciprocal_rank, 'NaN'))", ">f8"),
    "cited": ("int8send(coalesce(hashtextextended(cited, 0), 0))", ">i8"),
    "status": ("int2send(status)", ">i2"),
    "ms_retrieve": ("float8send(coalesce(ms_retrieve, 'NaN'))", ">f8"),
    "ms_rerank": ("float8send(coalesce(ms_rerank, 'NaN'))", ">f8"),
    "ms_reason": ("float8send(coalesce(ms_reason, 'NaN'))", ">f8"),
    "ms_total": ("float8send(coalesce(ms_total, 'NaN'))", ">f8"),
    "tool_loop": ("int2send(tool_loop::int::int2)", ">i2"),
    **{name: (f"float8send(coalesce({name}, 'NaN'))", ">f8") for name in ANSWERS},
    "at": ("float8send(extract(epoch FROM at)::float8)", ">f8"),
}
ROW = np.dtype([(name, kind) for name, (_, kind) in FIELDS.items()])
BYTES = " || ".join(written for written, _ in FIELDS.values())
UNFED = "string_agg(DISTINCT lacks, ' ') FILTER (WHERE error IS NULL AND lacks IS NOT NULL)"
LOAD = f"SELECT string_agg({BYTES}, ''), {UNFED} FROM {table.name} WHERE run = %s AND phase = %s"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """All evidence of one phase, and when the first probe of each tick was sent.

    ``left_out`` counts rows of another arm, or of a question that was not to be asked.
    """

    evidence: Evidence
    began: Mapping[int, datetime]
    left_out: int


class EvidenceStore:
    """The evidence of a ledger."""

    def __init__(self, *, database: Database, held: Held = nobody) -> None:
        self._db = database
        self._held = held

    def add(self, run: str, rows: Sequence[EvidenceRow]) -> None:
        """Write rows; one that is there already stays as it is."""
        with self._db.transaction() as connection:
            require_held(connection, self._held)
            for start in range(0, len(rows), BATCH):
                batch = [{"run": run, **row.to_row()} for row in rows[start : start + BATCH]]
                connection.execute(postgresql.insert(table).on_conflict_do_nothing(), batch)

    def keep(self, run: str, rows: Sequence[EvidenceRow]) -> list[EvidenceRow]:
        """Write rows as :meth:`add` does; one that the database cannot hold is written as a failed probe.

        Returns the rows as they were written.
        """
        try:
            self.add(run, rows)
            return list(rows)
        except (Unstorable, UnicodeEncodeError):
            return [self._keep_one(run, row) for row in rows]

    def _keep_one(self, run: str, row: EvidenceRow) -> EvidenceRow:
        try:
            self.add(run, [row])
            return row
        except (Unstorable, UnicodeEncodeError) as error:
            text = "".join(each if each.isprintable() else " " for each in str(error).encode(errors="replace").decode())
            failed = row.failed(f"cannot be stored: {text}"[:200])
            self.add(run, [failed])
            return failed

    def rows(self, run: str, *, phase: str, since_tick: int = 0) -> list[EvidenceRow]:
        """The rows of one phase, without hits."""
        query = sa.select(*WITHOUT_HITS).where(table.c.run == run, table.c.phase == phase, table.c.tick >= since_tick)
        with self._db.transaction() as connection:
            return [EvidenceRow.from_row(dict(row)) for row in connection.execute(query).mappings()]

    def load(self, run: str, *, phase: str, questions: Sequence[str]) -> Recording:
        """What ``Evidence.from_rows`` makes of all rows of a phase, many times as fast.

        ``questions`` are the ids that were to be asked; rows of another question or arm are left out and counted.
        """
        with self._db.transaction() as connection:
            driver: Any = connection.connection.driver_connection
            raw = driver.cursor(binary=True).execute(LOAD, (run, phase)).fetchone()
            hashes = sa.text("SELECT hashtextextended(id, 0), id FROM unnest(cast(:ids AS text[])) AS id")
            how = sa.select(
                sa.func.min(asked.c.grade).label("grade"),
                sa.func.min(sa.func.jsonb_array_length(asked.c.paraphrases)).label("wordings"),
            )
            of_run = connection.execute(how.where(asked.c.run == run)).one()
            codes = {row[0]: row[1] for row in connection.execute(hashes, {"ids": list(questions)})}
        rows = np.frombuffer(raw[0] or b"", dtype=ROW)
        columns = {name: rows[name].astype(np.float64 if "f" in ROW[name].str else np.int64) for name in FIELDS}
        return _recording(
            columns,
            tuple(questions),
            codes,
            unfed=frozenset((raw[1] or "").split()),
            grade=of_run.grade or "",
            wordings=of_run.wordings or PARAPHRASES,
        )

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
        """When the first probe of a tick, or of a later one where that tick has none, was sent."""
        query = sa.select(sa.func.min(table.c.at)).where(
            table.c.run == run, table.c.phase == phase, table.c.tick >= tick
        )
        with self._db.transaction() as connection:
            found: datetime | None = self._db.scalar(connection, query)
        return found

    def hits(self, run: str, *, phase: str, probes: Sequence[Probe]) -> Iterator[EvidenceRow]:
        """Rows with hits, of both arms, for some probes; in no order."""
        probed = sa.tuple_(table.c.question, table.c.tick, table.c.paraphrase, table.c.seed)
        for start in range(0, len(probes), BATCH):
            query = sa.select(*WITH_HITS).where(
                table.c.run == run, table.c.phase == phase, probed.in_(probes[start : start + BATCH])
            )
            with self._db.transaction() as connection:
                yield from [EvidenceRow.from_row(dict(row)) for row in connection.execute(query).mappings()]

    def of_questions(self, run: str, *, phase: str, questions: Sequence[str]) -> list[EvidenceRow]:
        """Rows of some questions, without hits."""
        query = sa.select(*WITHOUT_HITS).where(
            table.c.run == run, table.c.phase == phase, table.c.question.in_(list(questions))
        )
        with self._db.transaction() as connection:
            return [EvidenceRow.from_row(dict(row)) for row in connection.execute(query).mappings()]


def _recording(
    columns: Mapping[str, Any],
    questions: tuple[str, ...],
    codes: Mapping[int, str],
    *,
    unfed: frozenset[str],
    grade: str,
    wordings: int,
) -> Recording:
    """The judge's columns; a hash stands for each text."""
    hashes = np.array(sorted(codes), dtype=np.int64)
    position = {name: index for index, name in enumerate(questions)}
    index_of = np.array([position[codes[int(each)]] for each in hashes], dtype=np.int64)
    at = np.minimum(np.searchsorted(hashes, columns["question"]), max(0, len(hashes) - 1))
    known = (columns["arm"] >= 0) & (hashes[at] == columns["question"] if len(hashes) else False)
    columns, at = {name: values[known] for name, values in columns.items()}, at[known]
    cited, code = np.unique(columns["cited"], return_inverse=True)
    plain = [name for name in FIELDS if name in EVIDENCE_COLUMNS and name not in ("question", "cited", "tool_loop")]
    raw = Evidence(
        questions=questions,
        sections=tuple(map(str, cited)),
        question=index_of[at] if len(hashes) else np.empty(0, np.int64),
        cited=np.where(columns["cited"] == 0, -1, code),
        tool_loop=columns["tool_loop"] == 1,
        observed=np.ones(len(at), np.bool_),
        unfed=unfed,
        grade=grade,
        wordings=wordings,
        **{name: columns[name] for name in plain},
    )
    evidence = raw.cleaned(unanswerable=np.isneginf(raw.coverage)).complete(1)
    return Recording(evidence=evidence, began=_began(raw.tick, columns["at"]), left_out=int((~known).sum()))


def _began(tick: npt.NDArray[Any], at: npt.NDArray[Any]) -> dict[int, datetime]:
    ticks, place = np.unique(tick, return_inverse=True)
    first = np.full(len(ticks), np.inf)
    np.minimum.at(first, place, at)
    return {int(t): datetime.fromtimestamp(when, timezone.utc) for t, when in zip(ticks, first, strict=True)}

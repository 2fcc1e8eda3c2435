"""The review page against a real ledger: the list with 10,000 runs, and a run with 200,000 evidence rows.

One JSON line. Each page is read from PostgreSQL and rendered, as the app that Airflow mounts does it behind the
login. ``cold``: nothing of it was asked before; ``warm``: median of further openings. ``ratio``: the warm time ÷ that
of a page that asks the ledger ``select 1``, in the same run. ``cpu``: median seconds of processor time, of the page and
of its PostgreSQL process together, which other load on the machine hardly changes. ``look_rows``, ``look_columns``: all
evidence of the run as the hold needs it at each look, made of rows and read as columns; ``look_ratio`` is between them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.inner.recorded import TICKS, record
from tests.servers import throwaway_postgres

from switchover import page
from switchover.judge.evidence import Evidence
from switchover.ledger import Ledger
from switchover.report.review import Reviews

RUNS, ROWS = 10_000, 200_000
TIMES = 5
ID = "docs:1"
MANY_RUNS = """
INSERT INTO switchover_run (id, service, state, blue, green, pointer, plan, plan_digest, hold_minutes, opened_at,
                            updated_at, ended_at)
SELECT 's' || n % 40 || '\\:manual__' || n, 's' || n % 40, (ARRAY['promoted', 'rolled_back', 'aborted'])[1 + n % 3],
       blue, green, pointer, plan, plan_digest, 20, now() - n * interval '1 hour', now() - n * interval '1 hour', now()
FROM switchover_run, generate_series(1, :runs) n WHERE id = :id
"""
MANY_VERDICTS = """
INSERT INTO switchover_verdict (run, gate, tick, rule, outcome, body)
SELECT r.id, 'hold', t, v.rule, v.outcome, v.body FROM switchover_run r, generate_series(0, 2) t,
       (SELECT * FROM switchover_verdict WHERE run = :id AND gate = 'acceptance') v WHERE r.id <> :id
"""
MANY_ROWS = """
INSERT INTO switchover_evidence (run, phase, tick, arm, question, paraphrase, seed, ds_question, ds_anchor, coverage,
    cited, status, ms_retrieve, ms_rerank, ms_reason, ms_total, tool_loop, hits)
SELECT run, 'hold', :first + copy, arm, question, paraphrase, seed, ds_question, ds_anchor, coverage, cited, status,
       ms_retrieve, ms_rerank, ms_reason, ms_total, tool_loop,
       (SELECT jsonb_agg(jsonb_build_object('snippet_id', arm || h, 'section_id', 's' || h, 'doc', 'doc' || h,
           'source_url', 'https://example.org/reference/' || h, 'start', 100 * h, 'end', 100 * h + 300, 'tokens', 70,
           'index_hash', md5(arm) || md5(question), 'score', 0.5, 'rank', h)) FROM generate_series(1, 5) h)
FROM switchover_evidence, generate_series(1, :copies) copy WHERE run = :id AND phase = 'hold' AND tick = 0
"""


def fill(ledger: Ledger) -> int:
    """A run with many looks beside many runs; returns the evidence rows of the one."""
    record(ledger, ID)
    count = sa.text("SELECT count(*) FROM switchover_evidence WHERE run = :id AND phase = 'hold'")
    with ledger.database.engine.begin() as connection:
        a_tick = connection.execute(count, {"id": ID}).scalar_one() // TICKS
        connection.execute(sa.text(MANY_RUNS), {"runs": RUNS, "id": ID})
        connection.execute(sa.text(MANY_VERDICTS), {"id": ID})
        connection.execute(sa.text(MANY_ROWS), {"first": 10, "copies": ROWS // a_tick, "id": ID})
        rows = int(connection.execute(count, {"id": ID}).scalar_one())
    with ledger.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
    return rows


class Clock:
    """Wall and processor seconds of calls: this process's and that of one PostgreSQL process."""

    def __init__(self, backend: int) -> None:
        self._backend = psutil.Process(backend)

    def _cpu(self) -> float:
        there = self._backend.cpu_times()
        return time.process_time() + float(there.user + there.system)

    def of(self, call: Callable[[], object]) -> tuple[float, float]:
        """(wall, processor) seconds of one call."""
        wall, cpu = time.perf_counter(), self._cpu()
        call()
        return time.perf_counter() - wall, self._cpu() - cpu


def main() -> None:
    """Fill a ledger, open each page, print the line."""
    with throwaway_postgres() as server:
        server.create_database("bench")
        ledger = Ledger(engine=sa.create_engine(server.sqlalchemy_url("bench")))
        ledger.create_tables()
        rows = fill(ledger)
        engine = sa.create_engine(server.sqlalchemy_url("bench"), pool_size=1, max_overflow=0)
        ledger = Ledger(engine=engine.execution_options(postgresql_readonly=True))
        with ledger.database.transaction() as connection:
            clock = Clock(int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()))
        reviews = Reviews()

        def bare() -> None:
            with ledger.database.transaction() as connection:
                connection.execute(sa.text("SELECT 1"))
            page.render_message("Nothing", "to see", base="")

        def show_list(number: int) -> None:
            found = ledger.listing.page(number=number)
            page.render_list(
                found, base="", service="", state="", ledger="bench", ledgers=["bench"], services=found.services
            )

        def show_run(of: Reviews) -> None:
            page.render_run(of.get(ledger, ID), base="")

        bare()
        floor = statistics.median(clock.of(bare)[0] for _ in range(TIMES))
        found: dict[str, float | int] = {"runs": RUNS, "evidence_rows": rows, "select_1_ms": round(1000 * floor, 2)}
        ids = ledger.evidence.questions(ID)
        pages: dict[str, Callable[[], object]] = {
            "list": lambda: show_list(1),
            "list_last": lambda: show_list(10**6),
            "run": lambda: show_run(reviews),
            "run_new_look": lambda: show_run(Reviews()),  # nothing is remembered of the look before
            "look_rows": lambda: Evidence.from_rows(ledger.evidence.rows(ID, phase="hold"), ids),
            "look_columns": lambda: ledger.evidence.load(ID, phase="hold", questions=ids),
        }
        for name, show in pages.items():
            found[f"{name}_cold_s"] = round(clock.of(show)[0], 3)
            times = [clock.of(show) for _ in range(TIMES)]
            warm, cpu = (statistics.median(column) for column in zip(*times, strict=True))
            found[f"{name}_warm_s"], found[f"{name}_cpu_s"] = round(warm, 3), round(cpu, 3)
            found[f"{name}_ratio"] = round(warm / floor, 1)
        found["look_ratio"] = round(found["look_rows_warm_s"] / found["look_columns_warm_s"], 1)
        print(json.dumps(found))


if __name__ == "__main__":
    main()

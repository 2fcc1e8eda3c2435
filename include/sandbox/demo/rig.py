"""A stack for many short switchovers after one start of Airflow: for benchmarks and for the crash tests.

Everything in it is real, only small: 20 gold questions, one warm round, looks half a second apart, and rules that
so little evidence can satisfy. Green is broken on demand, so that a stop rule fires within seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import sqlalchemy as sa
import yaml

from sandbox.demo.planes import PLANS
from sandbox.demo.planes.pgvector import PgvectorPlane
from sandbox.demo.run import GOLD, Demo
from sandbox.demo.scenarios import BLUE, GREEN, SCENARIOS
from sandbox.demo.stack import Stack, python
from sandbox.errors import SandboxError
from sandbox.processes.postgres import DOCS_DB, LEDGER_DB
from sandbox.service.live import Live
from switchover.ledger import Ledger, RunRow
from switchover.planfile.load import load_plan
from switchover.protocol import State

T = TypeVar("T")
QUESTIONS = 20
POLL_S = 0.05
QUICK: dict[str, Any] = {
    "probes": {"seeds": 1, "concurrency": 8},
    "warm": {"min_rounds": 1, "max_rounds": 1},
    "hold": {"minutes": 20, "tick_s": 0.5},
    "rules": {
        "latency_p95": {"accept": 20, "minimum": 20},
        "error_rate": {"accept": 0.2},
        "http_5xx": {"accept": 0.2, "stop": 0.5},
        "flip_rate": {"accept": 0.5, "stop": 0.9, "seeds": 1},
        "flips_vs_blue": {"margin": 0.5},
        "coverage_vs_blue": {"margin": 0.3},
    },
}


def write_plan(folder: Path, **changes: Any) -> Path:
    """The sandbox's plan made small, as a file; ``changes`` replace keys of it."""
    folder.mkdir(parents=True, exist_ok=True)
    gold = folder / "gold.jsonl"
    gold.write_text("".join(line + "\n" for line in GOLD.read_text().splitlines()[:QUESTIONS]))
    plan = yaml.safe_load((PLANS / PgvectorPlane.file).read_text())
    plan.pop("cache", None)
    fence_only = [writer for writer in plan["writers"] if writer["kind"] == "sql_fence"]
    plan |= {**QUICK, "writers": fence_only, "gold": {**plan["gold"], "path": gold.name}, **changes}
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


class Rig:
    """One started stack and its service. ``say`` prints a line."""

    def __init__(self, *, stack: Stack, plan: Path, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.plan_file = plan
        self.plan = load_plan(plan)
        self.say = say
        self.dag_id = f"switchover__{self.plan.service}"
        plane = PgvectorPlane(stack=stack, plan=self.plan)
        self._demo = Demo(scenario=SCENARIOS["regression"], plane=plane, hold_s=60, stack=stack)

    def start(self, *dag_ids: str) -> None:
        """Database, indexes, service, load, a writer and Airflow; waits for the plan's DAG and ``dag_ids``."""
        self.stack.start_postgres()
        self.stack.together(self.stack.start_airflow, self._demo.start_data_plane)
        self.stack.start_service(
            "ingest-dag", python("sandbox.writers.ingest", "--stream", "dag")
        )  # in docs_ingest's place
        self.stack.wait_for_dags([self.dag_id, *dag_ids])
        self.ledger = Ledger(engine=sa.create_engine(self.stack.postgres.sqlalchemy_url(LEDGER_DB), pool_pre_ping=True))

    def trigger(self, dag_id: str | None = None, **conf: Any) -> str:
        """Start a run; returns Airflow's id of it.

        As a person who knows that Green may have been rolled back before: all runs of a rig try the same build.
        """
        if dag_id is None:
            ((build,),) = self.docs(f"SELECT index_hash FROM switchover_manifest WHERE target = '{GREEN}'")
            conf = {"retry_build": build, **conf}
        path = f"dags/{dag_id or self.dag_id}/dagRuns"
        return str(self.stack.api.post(path, {"logical_date": None, "conf": conf})["dag_run_id"])

    def dag_run(self, run: str, dag_id: str | None = None) -> dict[str, Any]:
        """Airflow's record of a run."""
        return self.stack.api.get(f"dags/{dag_id or self.dag_id}/dagRuns/{run}")

    def finished(self, run: str, dag_id: str | None = None, *, timeout: float = 300) -> dict[str, Any]:
        """Wait for the end of a run."""

        def ended() -> dict[str, Any] | None:
            found = self.dag_run(run, dag_id)
            return found if found["state"] in ("success", "failed") else None

        return until(ended, timeout=timeout, what=f"the end of run {run}")

    def row(self, run: str) -> RunRow | None:
        """The ledger's record of a run."""
        return self.ledger.runs.find(f"{self.plan.service}:{run}")

    def reached(self, run: str, *states: State, timeout: float = 120) -> RunRow:
        """Wait until a run is in one of these states."""

        def there() -> RunRow | None:
            row = self.row(run)
            return row if row is not None and row.state in states else None

        return until(there, timeout=timeout, what=f"{run} in {', '.join(states)}")

    def break_green(self, broken: bool = True) -> None:
        """Green's reranker breaks, or is mended."""
        body = {"target": GREEN, "kind": "rerank-inverted" if broken else "none"}
        httpx.post(f"{self.stack.service_url}/sandbox/fault", json=body, timeout=10).raise_for_status()

    def point_at_blue(self) -> None:
        """Put the pointer back after a promotion, as a person with SQL would; the writers catch Blue up."""
        statement = "UPDATE switchover_alias SET target = %s, version = version + 1 WHERE target <> %s"
        with psycopg.connect(self.stack.postgres.url(DOCS_DB), autocommit=True) as connection:
            connection.execute(statement, [BLUE, BLUE])

    @property
    def live(self) -> Live:
        """The pointer, as the sandbox's processes read it."""
        return self._demo.plane.live

    def docs(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the retrieval database."""
        with psycopg.connect(self.stack.postgres.url(DOCS_DB), autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement).fetchall()

    def traffic(self) -> dict[str, Any]:
        """What the load has counted so far."""
        return dict(json.loads((self.stack.state / "traffic.json").read_text()))


def until(look: Callable[[], T | None], *, timeout: float, what: str, pause_s: float = POLL_S) -> T:
    """What ``look`` gives as soon as it gives something; ``SandboxError`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SandboxError(f"{what}: not within {timeout:g} s")
        time.sleep(pause_s)

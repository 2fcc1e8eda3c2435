"""A running stack that crash cells are done to: barriers, kills, a supervisor, and a witness."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import sqlalchemy as sa

from sandbox.demo.rig import Rig, until
from sandbox.demo.scenarios import BLUE, GREEN
from sandbox.errors import SandboxError
from sandbox.processes import airflow_home
from sandbox.processes.postgres import DOCS_DB, LEDGER_DB
from sandbox.writers import ingest
from switchover.errors import SwitchoverError
from switchover.protocol import State

TOUCHED = (State.FLIPPING, State.HOLDING)
WATCHDOG = "watchdog"
LOOK_S = 0.05


class Supervisor(threading.Thread):
    """Starts again what has ended, as a service manager does."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(daemon=True)
        self._rig = rig
        self._over = threading.Event()
        self.paused = threading.Event()

    def run(self) -> None:
        """Look every quarter of a second."""
        while not self._over.wait(0.25):
            if not self.paused.is_set():
                with contextlib.suppress(SandboxError):
                    self._restart()

    def _restart(self) -> None:
        codes = self._rig.stack.keeper.exit_codes()
        for name in airflow_home.COMPONENTS:
            if codes.get(name) is not None:
                self._rig.stack.start_component(name)
        if codes.get(WATCHDOG) is not None:
            self._rig.stack.start_watchdog()

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


class Witness(threading.Thread):
    """Looks at pointer, fence and ledger all the time, and keeps what must never be seen."""

    def __init__(self, rig: Rig, id: str) -> None:
        super().__init__(daemon=True)
        self._urls = {name: rig.stack.postgres.url(name) for name in (DOCS_DB, LEDGER_DB)}
        self._id = id
        self._over = threading.Event()
        self.decisions: set[str] = set()
        self.wrong: set[str] = set()

    def run(self) -> None:
        """Connect again whenever the database was killed."""
        while not self._over.is_set():
            with contextlib.suppress(psycopg.Error):
                docs, ledger = (psycopg.connect(url, autocommit=True, connect_timeout=2) for url in self._urls.values())
                with docs, ledger:
                    while not self._over.wait(LOOK_S):
                        self._look(docs, ledger)
            time.sleep(LOOK_S)

    def _look(self, docs: psycopg.Connection[Any], ledger: psycopg.Connection[Any]) -> None:
        before = self._state(ledger)
        (target,) = docs.execute("SELECT target FROM switchover_alias WHERE alias = 'docs'").fetchone() or (None,)
        (frozen,) = docs.execute("SELECT frozen FROM switchover_fence").fetchone() or (None,)
        after = self._state(ledger)
        if target not in (BLUE, GREEN):
            self.wrong.add(f"the pointer was on {target!r}")
        if before == after and before in [state.value for state in TOUCHED] and not frozen:
            self.wrong.add(f"a writer ran while the run was {before}")

    def _state(self, ledger: psycopg.Connection[Any]) -> str | None:
        row = ledger.execute("SELECT state, decision FROM switchover_run WHERE id = %s", [self._id]).fetchone()
        if row is not None and row[1] is not None:
            self.decisions.add(row[1])
        return row[0] if row is not None else None

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


class World:
    """The stack, its supervisor and its barriers."""

    def __init__(self, rig: Rig, *, barriers: Path) -> None:
        self.rig = rig
        self._barriers = barriers
        self.supervisor = Supervisor(rig)

    def healthy(self) -> bool:
        """Whether every component reports itself."""
        with contextlib.suppress(SandboxError):
            health = self.rig.stack.api.get("monitor/health")
            return all(health[name]["status"] == "healthy" for name in ("scheduler", "triggerer", "dag_processor"))
        return False

    def clean(self) -> None:
        """Nothing armed, pointer on Blue, Green good, everything up."""
        shutil.rmtree(self._barriers, ignore_errors=True)
        self._barriers.mkdir()
        self.supervisor.paused.clear()
        until(self.healthy, timeout=120, what="a healthy Airflow", pause_s=0.5)
        self.rig.break_green(False)
        self.rig.point_at_blue()

    def arm(self, effect: str, moment: str) -> None:
        """Have the next process that comes there stop."""
        (self._barriers / f"arm.{effect}.{moment}").touch()

    def stopped(self) -> psutil.Process:
        """The process that has stopped at the barrier."""
        path = self._barriers / "reached"
        return until(
            lambda: psutil.Process(int(path.read_text())) if path.exists() else None, timeout=120, what=path.name
        )

    def let_go(self) -> None:
        """Whoever waits at a barrier goes on, if it lives."""
        (self._barriers / "go").touch()

    def kill(self, what: str, task: psutil.Process | None) -> None:
        """SIGKILL; ``task`` is the process at the barrier."""
        if what == "task process":
            assert task is not None
            task.kill()
        elif what == "worker":
            assert task is not None
            task.parent().kill()
        elif what == "scheduler":  # alone: its workers live on and do what they were doing
            psutil.Process(self.rig.stack.keeper.pids()["scheduler"]).kill()
        elif what == "database":
            self._kill_tree("postgres")
            self.rig.stack.postgres.start_again()
        elif what == "whole Airflow":
            self.supervisor.paused.set()
            for name in airflow_home.COMPONENTS:
                self._kill_tree(name)
        else:
            self._kill_tree(what)

    def _kill_tree(self, name: str) -> None:
        main = psutil.Process(self.rig.stack.keeper.pids()[name])
        for process in [main, *main.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs([main], timeout=10)

    def click(self, what: str, run: str, step: str) -> None:
        """What a person does in the UI, through the same REST API."""
        api, dag = self.rig.stack.api, self.rig.dag_id
        if what == "clear":
            body = {"dry_run": False, "dag_run_id": run, "task_ids": [step], "only_failed": False}
            api.post(f"dags/{dag}/clearTaskInstances", {**body, "include_downstream": True})
            return
        api.patch(f"dags/{dag}/dagRuns/{run}", {"state": "failed"})
        if what == "delete run":  # Airflow refuses to delete a run that is running, also its teardown
            until(lambda: self._delete(run), timeout=120, what=f"to delete {run}", pause_s=0.2)

    def _delete(self, run: str) -> bool:
        try:
            self.rig.stack.api.delete(f"dags/{self.rig.dag_id}/dagRuns/{run}")
        except SandboxError as error:
            if "409" not in str(error):
                raise
            return False
        return True

    def looks(self, run: str) -> bool:
        """Whether the hold has looked."""
        return self.rig.ledger.evidence.last_tick(f"{self.rig.plan.service}:{run}", phase="hold") >= 0

    def gone_or_ended(self, run: str) -> bool:
        """Whether Airflow has finished with a run."""
        try:
            return self.rig.dag_run(run)["state"] in ("success", "failed")
        except SandboxError as error:
            return "404" in str(error)

    def ended(self, run: str) -> Any:
        """The ledger's row of a run that has ended and whose writers are resumed."""
        with contextlib.suppress(SwitchoverError, sa.exc.SQLAlchemyError):
            row = self.rig.row(run)
            if row is not None and row.state.ended:
                frozen = [w for w in self.rig.ledger.journal.writers(row.id) if w["resumed_at"] is None]
                return None if frozen else row
        return None

    def effects(self) -> dict[str, int]:
        """Written, duplicated and lost, once the writers have caught up."""
        live = self.rig.live
        with psycopg.connect(self.rig.stack.postgres.url(DOCS_DB), autocommit=True) as connection:
            until(lambda: not ingest.lag(connection, live), timeout=60, what="the writers catch up", pause_s=0.2)
            return ingest.count_effects(connection, live)

    def version(self) -> tuple[str, int]:
        """Where the pointer is, and how often it was moved."""
        ((target, version),) = self.rig.docs("SELECT target, version FROM switchover_alias WHERE alias = 'docs'")
        return target, version


@contextlib.contextmanager
def watching(rig: Rig, run: str) -> Iterator[Witness]:
    """A witness for the block."""
    witness = Witness(rig, f"{rig.plan.service}:{run}")
    witness.start()
    try:
        yield witness
    except BaseException:
        for line in trail(rig, run):
            rig.say(line)
        raise
    finally:
        witness.stop()


def trail(rig: Rig, run: str) -> list[str]:
    """What is known of a run whose cell failed: tasks, then the audit trail."""
    tasks = []
    with contextlib.suppress(SandboxError):
        tasks = rig.stack.api.get(f"dags/{rig.dag_id}/dagRuns/{run}/taskInstances")["task_instances"]
    row = rig.row(run)
    events = rig.ledger.journal.events(row.id) if row is not None else []
    return [
        *(f"  task {task['task_id']}: {task['state']}" for task in tasks),
        *(f"  {event['at']} {event['actor']}: {event['text']}" for event in events),
    ]

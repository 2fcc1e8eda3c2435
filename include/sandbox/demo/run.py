"""``make demo``: one switchover for real, on a running Airflow, under live traffic.

Exit 0 only if the outcome is the scenario's; 1 if it is not; 2 if the demo could not be started.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import sqlalchemy as sa

from sandbox.demo.follow import Follower
from sandbox.demo.planes import PLANES, PLANS, SIGNALS, DataPlane
from sandbox.demo.scenarios import BLUE, GREEN, SCENARIOS, Scenario
from sandbox.demo.stack import AIRFLOW_PORT, SERVICE_PORT, Stack, answers, python
from sandbox.errors import NotHere, SandboxError
from sandbox.processes import ports
from sandbox.processes.postgres import DOCS_DB, LEDGER_DB
from sandbox.writers import ingest
from sandbox.writers.writes import count_writes
from switchover.approval import Gate
from switchover.errors import SwitchoverError
from switchover.ledger import Ledger
from switchover.page import render_run
from switchover.planfile.load import load_plan
from switchover.report.review import review
from switchover.report.summary import rule_table

ROOT = Path(__file__).parents[3]
GOLD = ROOT / "include" / "gold" / "python_reference.jsonl"
RATE = 20
FAULT_AFTER_S = 8.0
CATCH_UP_S = 60.0
MADE = ("pg", "redis", "airflow", "logs", "result.json", "review.html", "traffic.json")  # besides a data plane's


class Demo:
    """One run of one scenario in one state directory."""

    def __init__(self, *, scenario: Scenario, plane: DataPlane, hold_s: float, stack: Stack) -> None:
        self.scenario = scenario
        self.plane = plane
        self.dag_id = f"switchover__{plane.plan.service}"
        self.hold_s = hold_s
        self.stack = stack
        self.began = time.monotonic()
        self.page = ""  # inside Airflow
        self.file = stack.state / "review.html"  # the same, when Airflow is gone
        self._fault_set = False
        self._writes_port = ports.free_port()

    def say(self, text: str) -> None:
        """One line with the seconds since the start."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def start(self) -> None:
        """Servers, indexes, service, load, writers and Airflow."""
        self.stack.start_postgres()
        self.plane.start_servers()
        try:
            self.plane.start_cache()
        except NotHere as reason:
            self.say(f"without a shared cache: {reason}")
        self.stack.together(self.stack.start_airflow, self.start_data_plane)
        self.stack.wait_for_dags([self.dag_id, "docs_ingest"])

    def start_data_plane(self) -> None:
        """Everything but Airflow and the servers: ledger, indexes, pointer, service, load, a writer."""
        stack = self.stack
        Ledger(engine=sa.create_engine(stack.postgres.sqlalchemy_url(LEDGER_DB))).create_tables()
        stack.start_watchdog()
        for target, variant in ((BLUE, "good"), (GREEN, self.scenario.variant)):
            self.plane.build(target, variant)
        self.plane.create_pointer(self.scenario.live)
        self.plane.start_services()
        stack.start_service("ingest", python("sandbox.writers.ingest", "--stream", "process"))
        ready = answers(f"http://{ports.HOST}:{self._writes_port}/healthz/ready")
        stack.start_service("writes", python("sandbox.writers.writes", "--port", str(self._writes_port)), ready=ready)
        self.start_load()

    def start_load(self) -> None:
        """Steady traffic on the service, and rows for the writers to take in."""
        where = ["--url", self.stack.service_url, "--out", str(self.stack.state / "traffic.json")]
        where += ["--writes", f"http://{ports.HOST}:{self._writes_port}"]
        for arm in (BLUE, GREEN):
            where += ["--arm", f"{arm}={self.plane.arm_url(arm)}"]
        self.stack.start_service("load", python("sandbox.demo.load", *where, "--rate", str(RATE), "--gold", str(GOLD)))

    def run(self) -> dict[str, Any]:
        """Trigger the DAG, follow it, and gather the result."""
        before = self._pointer()
        conf = {"hold_minutes": self.hold_s / 60}
        run = self.stack.api.post(f"dags/{self.dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        self.say(f"triggered {self.dag_id}, hold {self.hold_s:g} s: {self.scenario.told}")
        self.page = f"{self.stack.url}/dags/{self.dag_id}/runs/{quote(run['dag_run_id'])}/plugin/switchover"
        self.say(f"review page: {self.page}")
        ledger = Ledger(engine=sa.create_engine(self.stack.postgres.sqlalchemy_url(LEDGER_DB)))
        follower = Follower(
            stack=self.stack,
            ledger=ledger,
            service=self.plane.plan.service,
            dag_run=run["dag_run_id"],
            say=self.say,
        )
        plan = self.plane.plan
        thinking = 60 * plan.approve_minutes if any(plan.asks(gate) for gate in Gate) else 0
        state = follower.until_done(timeout=self.hold_s + thinking + 300, on_hold=self._break_green)
        summary = follower.summary()
        if summary is not None:
            self.file.write_text(render_run(review(ledger, follower.id), base=None))
        self.stack.keeper.stop("load")
        traffic = json.loads((self.stack.state / "traffic.json").read_text())
        effects, written = self._effects(traffic["writes"])
        return {
            "scenario": self.scenario.name,
            "pointer_kind": self.plane.plan.pointer.kind,
            "outcome": summary["state"] if summary else "nothing_to_do" if state == "success" else "not_opened",
            "expected": self.scenario.outcome,
            "reason": summary["reason"] if summary else "",
            "run_state": state,
            "run_id": follower.id,
            "pointer": {"before": before, "after": self._pointer()},
            "ttr_s": summary["ttr_s"] if summary else None,
            "ttr_budget_s": summary["ttr_budget_s"] if summary else None,
            "traffic": {name: traffic[name] for name in ("requests", "failed", "mixed")},
            "effects": effects,
            "writes": written,
            "writers_resumed": all(writer["resumed_at"] for writer in summary["writers"]) if summary else True,
            "steps": [{"name": s["name"], "seconds": s["seconds"]} for s in summary["steps"]] if summary else [],
            "verdicts": summary["verdicts"] if summary else [],
            "seconds": round(time.monotonic() - self.began, 1),
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }

    def _break_green(self, seconds_since_flip: float) -> None:
        at = max(FAULT_AFTER_S, self.scenario.late * self.hold_s)
        if self.scenario.fault is None or self._fault_set or seconds_since_flip < at:
            return
        self._fault_set = True
        body = {"target": GREEN, "kind": self.scenario.fault}
        httpx.post(f"{self.plane.arm_url(GREEN)}/sandbox/fault", json=body, timeout=10).raise_for_status()
        self.say(f"     (the demo breaks Green now: {self.scenario.fault})")

    def _pointer(self) -> str:
        with self._docs() as connection:
            return self.plane.live.target(connection) or "nothing"

    def _effects(self, taken: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
        """Counted once the resumed writers have caught up with what arrived while they were frozen."""
        deadline = time.monotonic() + CATCH_UP_S
        with self._docs() as connection:
            while time.monotonic() < deadline and self._behind(connection, taken):
                time.sleep(0.5)
            told = {"accepted": sum(taken["accepted"].values()), "waited": taken["waited"]}
            counted = count_writes(connection, taken["accepted"])
            return ingest.count_effects(connection, self.plane.live), {**told, **counted}

    def _behind(self, connection: psycopg.Connection[Any], taken: dict[str, Any]) -> bool:
        waiting = count_writes(connection, taken["accepted"])["waiting"]
        return bool(waiting or ingest.lag(connection, self.plane.live))

    def _docs(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.stack.postgres.url(DOCS_DB), autocommit=True, connect_timeout=5)


def problems(result: dict[str, Any], scenario: Scenario) -> list[str]:
    """What is not as the scenario says; empty when all of it is."""
    facts = {
        "outcome": (result["outcome"], scenario.outcome),
        "run_state": (result["run_state"], scenario.run_state),
        "pointer after": (result["pointer"]["after"], scenario.after),
        "failed requests": (result["traffic"]["failed"], 0),
        "mixed answers": (result["traffic"]["mixed"], 0),
        "duplicated effects": (result["effects"]["duplicated"], 0),
        "lost effects": (result["effects"]["lost"], 0),
        **{f"writes {name}": (result["writes"][name], 0) for name in ("lost", "duplicated", "out_of_order", "waiting")},
        "writers resumed": (result["writers_resumed"], True),
    }
    wrong = [f"{name}: {found!r}, expected {wanted!r}" for name, (found, wanted) in facts.items() if found != wanted]
    if scenario.because and not result["reason"].startswith(scenario.because):
        wrong.append(f"reason: {result['reason']!r}, expected to begin with {scenario.because!r}")
    return wrong


def tell(result: dict[str, Any], wrong: Sequence[str], stack: Stack) -> None:
    """The end of the story: verdicts, time to restore, figures, where to look."""
    if result["verdicts"]:
        gate = result["verdicts"][-1]["gate"]
        print(f"\nVerdicts ({gate}):\n{rule_table([v for v in result['verdicts'] if v['gate'] == gate])}")
    if result["ttr_s"]:
        parts = "  ".join(f"{name} {seconds}" for name, seconds in result["ttr_s"].items())
        print(f"\nTime to restore (seconds): {parts}")
    for name in ("pointer", "traffic", "effects", "writes"):
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in result[name].items()))
    if result["reason"]:
        print(f"reason: {result['reason']}")
    print(f"\n{result['outcome'].upper()} in {result['seconds']} s; the run is {result['run_state']}")
    for problem in wrong:
        print(f"NOT AS EXPECTED: {problem}")
    print(f"result: {stack.state / 'result.json'}")
    print(f"review page: {stack.state / 'review.html'}")
    print(f"evidence: {stack.state / 'airflow' / 'evidence'}; logs: {stack.state / 'logs'}")


def main() -> int:
    """Run one scenario, or end what KEEP=1 left running."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.demo.run",
        description="One switchover for real.",
        epilog="example: python -m sandbox.demo.run --pointer alb --scenario regression --hold 40",
    )
    pointers = tuple(name for name in PLANES if name not in SIGNALS)
    parser.add_argument("--pointer", choices=pointers, default="pgvector", help="the knob (default: pgvector)")
    parser.add_argument("--signals", choices=SIGNALS, default="sql", help="the store of live figures (default: sql)")
    parser.add_argument("--scenario", choices=tuple(SCENARIOS), default="good", help="the story (default: good)")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="another plan for this pointer than the one to copy")
    parser.add_argument("--hold", type=float, default=60, metavar="SECONDS", help="length of the hold (default: 60)")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--stop", action="store_true", help="end what --keep left running, then exit")
    parser.add_argument("--state", type=Path, default=ROOT / ".demo", help="folder for all that is made")
    options = parser.parse_args()
    if options.signals != "sql" and options.pointer != "pgvector":
        parser.error(f"--signals {options.signals}: allowed: with --pointer pgvector")
    if not 10 <= options.hold <= 1800:
        parser.error(f"--hold {options.hold:g}: allowed: 10 to 1800 seconds")
    if options.stop:
        return subprocess.run(
            [*python("sandbox.processes.keeper"), "--state", str(options.state), "--end"], check=False
        ).returncode
    try:
        plane = options.pointer if options.signals == "sql" else options.signals
        return _run(SCENARIOS[options.scenario], PLANES[plane], options)
    except (SandboxError, SwitchoverError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted; everything that was started is ended", file=sys.stderr)
        return 130


def _run(scenario: Scenario, plane: type[DataPlane], options: argparse.Namespace) -> int:
    own = ROOT / scenario.plan if scenario.plan is not None else PLANS / plane.file
    path = (options.plan or own).resolve()
    plan = load_plan(path)
    stack = Stack(
        state=options.state,
        plan=path,
        airflow_port=int(os.environ.get("AIRFLOW_PORT") or AIRFLOW_PORT),
        service_port=int(os.environ.get("SERVICE_PORT") or SERVICE_PORT),
        progress=lambda what, seconds: demo.say(f"up   {what} ({seconds:.1f} s)"),
    )
    demo = Demo(scenario=scenario, plane=plane(stack=stack, plan=plan), hold_s=options.hold, stack=stack)
    with stack:
        for name in (*MADE, *(each for kind in PLANES.values() for each in kind.made)):
            path = stack.state / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        demo.start()
        result = demo.run()
        (stack.state / "result.json").write_text(json.dumps(result, indent=2) + "\n")
        wrong = problems(result, scenario)
        tell(result, wrong, stack)
        if options.keep:
            demo.start_load()
            stack.keep()
            print(f"Airflow is up: {stack.url} (admin / {stack.password}); `make stop` ends it")
            print(f"review page in Airflow: {demo.page}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

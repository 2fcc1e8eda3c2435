"""How long a rollback takes on a real scheduler, part by part, and what a switchover costs beside its probes.

    python bench/bench_ttr.py [--rollbacks 30] [--chains 8]

Each rollback is a whole run of the DAG in the sandbox: freeze, verify, one warm round, flip, then Green breaks, a stop
rule fires, and Blue comes back. Between them run chains of as many tasks that do nothing, in the same Airflow: the
overhead is the time of a run without its warm round and its hold, over the time of a chain. A second chain of as many
tasks that do nothing has the shape of such a run: its eighth task waits in the triggerer, as the hold does, and its
last fails, as outcome does; ``overhead_ratio_same_shape`` is over that one. Prints one JSON line;
exits 1 when decide -> converged is over 2 s at p95, or the overhead over 1.3.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.demo.rig import Rig, write_plan
from sandbox.demo.stack import Stack
from switchover.protocol import State
from switchover.report.summary import summarise

PARTS = ("detect", "decide", "hand_over", "flip", "converge", "total")
P95_S, OVERHEAD = 2.0, 1.3
CHAIN, SHAPED = "empty_chain", "empty_chain_of_the_same_shape"
CHAIN_DAG = """
from datetime import timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, chain
from airflow.sdk.exceptions import AirflowFailException

class Nothing(BaseOperator):
    def execute(self, context):
        return None

class Fails(BaseOperator):
    def execute(self, context):
        raise AirflowFailException("nothing")

class Waits(BaseOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(0)), method_name="woken")

    def woken(self, context, event):
        return None

with DAG("{plain}", schedule=None):
    chain(*[Nothing(task_id=f"nothing_{{number}}") for number in range({tasks})])

with DAG("{shaped}", schedule=None):
    kinds = {{7: Waits, 12: Fails}}
    chain(*[
        kinds.get(number, Nothing)(task_id=f"nothing_{{number}}", trigger_rule="all_done") for number in range({tasks})
    ])
"""
#: Tasks of a run that is rolled back: all of the checklist but unfreeze and abort, which are skipped.
TASKS = 13


def roll_back(rig: Rig) -> dict[str, Any]:
    """One switchover that is rolled back: its parts in seconds, its whole time, and what of it was probing."""
    run = rig.trigger()
    rig.reached(run, State.HOLDING)
    rig.break_green()
    airflow = rig.finished(run)
    rig.break_green(False)
    row = rig.row(run)
    if row is None or row.state is not State.ROLLED_BACK:
        raise SystemExit(f"bench-ttr: run {run} ended as {row.state.value if row else 'nothing'}: {row and row.reason}")
    summary = summarise(rig.ledger, row.id)
    steps = {step["name"]: step["seconds"] for step in summary.steps}
    tried = rig.stack.api.get(f"dags/{rig.dag_id}/dagRuns/{run}/taskInstances")["task_instances"]
    ran = [task for task in tried if task["state"] != "skipped"]
    if len(ran) != TASKS:
        raise SystemExit(f"bench-ttr: {len(ran)} tasks ran, expected {TASKS}")
    return {**summary.ttr_s, "wall": wall(airflow), "probing": steps["warm"] + steps["hold"], "steps": steps}


def wall(run: Mapping[str, Any]) -> float:
    """Seconds of a DAG run as Airflow has them."""
    began, ended = (datetime.fromisoformat(run[key].replace("Z", "+00:00")) for key in ("start_date", "end_date"))
    return (ended - began).total_seconds()


def shares(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and max."""
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "max": round(max(values), 3)}


def measure(rig: Rig, *, rollbacks: int, chains: int) -> dict[str, Any]:
    """Rollbacks with chains between them, so that both see the same machine."""
    found: list[dict[str, Any]] = []
    empty: dict[str, list[float]] = {CHAIN: [], SHAPED: []}
    for number in range(rollbacks):
        if number * chains // rollbacks == len(empty[CHAIN]):
            for dag_id, walls in empty.items():
                walls.append(wall(rig.finished(rig.trigger(dag_id), dag_id)))
        found.append(roll_back(rig))
        decided = found[-1]["total"] - found[-1]["decide"]
        rig.say(f"{number + 1} of {rollbacks}: decide -> converged {decided:.2f} s, run {found[-1]['wall']:.1f} s")
    own = [each["wall"] - each["probing"] for each in found]
    to_converged = shares([each["total"] - each["decide"] for each in found])
    return {
        "rollbacks": len(found),
        "decide_to_converged_p95_s": to_converged["p95"],
        "overhead_ratio": round(statistics.median(own) / statistics.median(empty[CHAIN]), 3),
        "overhead_ratio_same_shape": round(statistics.median(own) / statistics.median(empty[SHAPED]), 3),
        "decide_to_converged_s": to_converged,
        **{f"{part}_s": shares([each[part] for each in found if each[part] is not None]) for part in PARTS},
        "run_without_probes_s": shares(own),
        **{f"{dag_id}_s": shares(walls) for dag_id, walls in empty.items()},
        "tasks": TASKS,
        "steps_p50_s": {
            name: round(statistics.median(each["steps"][name] for each in found), 3) for name in found[0]["steps"]
        },
    }


def main() -> int:
    """Run it; exit 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollbacks", type=int, default=30)
    parser.add_argument("--chains", type=int, default=8)
    options = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="switchover-ttr-", ignore_cleanup_errors=True) as folder:
        state = Path(folder) / "state"
        dags = Path(folder) / "dags"
        dags.mkdir()
        (dags / f"{CHAIN}.py").write_text(CHAIN_DAG.format(plain=CHAIN, shaped=SHAPED, tasks=TASKS))
        plan = write_plan(Path(folder) / "plan")
        with Stack(state=state, airflow_port=0, service_port=0, plan=plan, more_dags=dags) as stack:
            rig = Rig(stack=stack, plan=plan, say=say)
            rig.start(CHAIN, SHAPED)
            say("the stack is up")
            result = measure(rig, rollbacks=options.rollbacks, chains=options.chains)
    print(json.dumps(result))
    met = result["decide_to_converged_p95_s"] <= P95_S and result["overhead_ratio"] <= OVERHEAD
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""How long the DAG file takes for many plans, in this tree and in another one: a line of JSON.

    python bench/bench_parse.py [--against TREE | --empty] [--plans 100] [--repeats 5]

Each measurement is a process of its own, which loads Airflow first; ``seconds`` is the processor time from then until
the DAG file is loaded (median). ``TREE`` is a checkout of another version (`git worktree add`); both take turns, and
``ratio`` is this tree's time to its time. Without it only this tree is measured. ``--empty`` measures beside the
plans one file that makes as many DAGs with as many tasks, and nothing else: no plan, no trial; ``empty_seconds`` is
its time, and ``ratio`` the plans' time to it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1]
TASKS = 15  # of the switchover DAG of docs.yaml; a test of the DAGs counts them
LOAD = """
import runpy, sys, time
import airflow.sdk, airflow.models
began = time.process_time()
found = runpy.run_path(sys.argv[1])
print(time.process_time() - began, sum(name.startswith("switchover__") for name in found))
"""
#: Four DAGs a plan, with the tasks of docs.yaml's: what Airflow itself takes for a file of that size.
EMPTY = """
from airflow.sdk import DAG, chain
from airflow.providers.standard.operators.empty import EmptyOperator

TASKS = {{"switchover": {tasks}, "rollback": 1, "rehearse": 1, "retire": 1}}
for number in range({plans}):
    for kind, tasks in TASKS.items():
        with DAG(f"{{kind}}__docs{{number}}", schedule=None) as dag:
            chain(*[EmptyOperator(task_id=f"task{{task}}") for task in range(tasks)])
        globals()[dag.dag_id] = dag
"""


def fill(folder: Path, plans: int, tree: Path) -> Path:
    """A folder of plans like the tree's sandbox's, each with a service and a pointer of its own."""
    shutil.copytree(tree / "include" / "gold", folder / "gold")
    (folder / "plans").mkdir()
    text = (tree / "include" / "plans" / "docs.yaml").read_text(encoding="utf-8")
    for number in range(plans):
        one = text.replace("service: docs\n", f"service: docs{number}\n").replace(
            "alias: docs\n", f"alias: d{number}\n"
        )
        (folder / "plans" / f"docs{number}.yaml").write_text(one, encoding="utf-8")
    return folder / "plans"


def seconds(tree: Path, plans: Path, count: int, file: Path | None = None) -> float:
    """Processor time of loading the DAG file of a tree, or ``file``, once."""
    paths = os.pathsep.join(str(tree / part) for part in ("include", "plugins", "dags"))
    home = str(plans.parent / "airflow")
    environ = {**os.environ, "PYTHONPATH": paths, "SWITCHOVER_PLANS": str(plans), "AIRFLOW_HOME": home}
    command = [sys.executable, "-c", LOAD, str(file or tree / "dags" / "switchover.py")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)  # noqa: S603
    taken, dags = done.stdout.splitlines()[-1].split()
    if int(dags) != count:
        sys.exit(f"bench_parse: {file or tree}: {dags} DAGs of {count} plans; nothing was measured")
    return float(taken)


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    beside = parser.add_mutually_exclusive_group()
    beside.add_argument("--against", type=Path, help="checkout of another version")
    beside.add_argument("--empty", action="store_true", help="beside one file of as many DAGs and tasks without plans")
    parser.add_argument("--plans", type=int, default=100, help="plans (default: 100)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each tree (default: 5)")
    options = parser.parse_args()
    trees = {"here": HERE, **({"against": options.against.resolve()} if options.against else {})}
    times: dict[str, list[float]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        plans = {}
        for name, tree in trees.items():
            (Path(folder) / name).mkdir()
            plans[name] = fill(Path(folder) / name, options.plans, tree)
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY.format(plans=options.plans, tasks=TASKS), encoding="utf-8")
        for _ in range(options.repeats):
            for name, tree in trees.items():
                times[name].append(seconds(tree, plans[name], options.plans))
            if options.empty:
                times.setdefault("empty", []).append(seconds(HERE, plans["here"], options.plans, empty))
    middle = {name: round(statistics.median(taken), 3) for name, taken in times.items()}
    if options.empty:
        found = {"plans": options.plans, "seconds": middle["here"], "empty_seconds": middle["empty"]}
        print(json.dumps({**found, "ratio": round(middle["here"] / middle["empty"], 2)}))
        return
    ratio = round(middle["here"] / middle["against"], 2) if options.against else None
    print(
        json.dumps(
            {"plans": options.plans, "seconds": middle["here"], "against": middle.get("against"), "ratio": ratio}
        )
    )


if __name__ == "__main__":
    main()

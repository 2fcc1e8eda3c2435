"""``switchover index attest``: read an arm's index whole, without a switchover."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import asdict
from pathlib import Path

from switchover.cli.options import Result, verbs_of
from switchover.edge.edge import Edge
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.steps.attest import checks_of, read_whole, told
from switchover.text import table

PLAN = "include/plans/docs.yaml"


def fill_index(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    attest = verb(
        "attest",
        _attest,
        "read an arm's index whole, or go on with a reading that was interrupted; exit 1 when it is not its build",
        f"switchover index attest --plan {PLAN} --arm docs_v2",
    )
    _arm(attest)
    attest.add_argument("--anew", action="store_true", help="also when nothing was written since it was read")


def _arm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")
    parser.add_argument("--arm", metavar="ARM", default="green", help="an arm, or `green`: the plan's (default)")


def _attest(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan)
    arm, index, ledger = _named(plan, options.arm), plan.index.build(edge), Ledger(engine=edge.sql(plan.ledger))
    actor, written = f"command line, {getpass.getuser()}", plan.index.written
    found = read_whole(index, ledger, arm, actor=actor, say=_say, written=written, anew=options.anew)
    checks = checks_of(index, found, label=arm, written=written)
    rows = [(check.name, check.found, check.expected, "" if check.ok else "FAILED") for check in checks]
    lines = [told(found), table([("check", "found", "expected", ""), *rows])]
    data = {"target": arm, "skipped": found.skipped, "checks": [asdict(check) for check in checks]}
    return "\n".join(lines), data, 0 if all(check.ok for check in checks) else 1


def _named(plan: Plan, arm: str) -> str:
    arm = plan.green if arm == "green" else arm
    plan.require_arm(arm)
    return arm


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

"""``switchover build``: build an arm's index by the plan's ``build`` part."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from switchover.cli.options import Result, runs
from switchover.edge.edge import Edge
from switchover.planfile.load import load_plan
from switchover.steps.build import builder_of


def fill_build(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    build = runs(parser, _build, "switchover build --plan include/plans/docs.yaml --arm docs_v2")
    build.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan with a `build` part")
    build.add_argument("--arm", metavar="ARM", default="green", help="an arm, or `green`: the plan's (default)")


def _build(options: argparse.Namespace, edge: Edge) -> Result:
    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    plan = load_plan(options.plan)
    arm = plan.green if options.arm == "green" else options.arm
    built = builder_of(plan, edge, actor=f"command line, {getpass.getuser()}", arm=arm, say=say).run()
    return built.line, built.to_json(), 0

"""``switchover plan check | schema``: plan files without Airflow."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from switchover.cli.options import Result, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import PlanError
from switchover.plan import plan_schema
from switchover.planfile.departures import departed, departures
from switchover.planfile.folder import load_plans, plan_files


def fill_plan(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    check = verb("check", _check, "check plan files", "switchover plan check include/plans/docs.yaml")
    check.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="plan files, or folders of them: then also against each other",
    )
    verb("schema", _schema, "print the JSON Schema for editors", "switchover plan schema")


def _check(options: argparse.Namespace, edge: Edge) -> Result:
    """All files at once, so that what two plans may not have in common is told as well."""
    found = load_plans(dict.fromkeys(path for place in options.files for path in plan_files(place)))
    errors = [str(each.error) for each in found if each.error]
    if errors or not found:
        raise PlanError("\n".join(errors) or "no plan in that folder; allowed: files *.yaml and *.yml")
    plans = {str(each.path): each.plan for each in found if each.plan}
    lines = [each.old_names for each in found if each.old_names]
    data = {}
    for path, plan in plans.items():
        loose = departures(plan)
        lines += [f"{path}: ok: service {plan.service}, digest {plan.digest[:12]}"]
        lines += [f"{path}: {departed(loose)}"] if loose else []
        data[path] = {"service": plan.service, "digest": plan.digest, "departures": loose}
    return "\n".join(lines), data, 0


def _schema(options: argparse.Namespace, edge: Edge) -> Result:
    schema = plan_schema()
    return json.dumps(schema, indent=2), schema, 0

"""The command line: what a person or a CI job does without Airflow."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from switchover import __version__
from switchover.cli import build, doctor, gold, judge, pointer, recovery, watchdog, writers
from switchover.cli.options import ledger_option
from switchover.compare.text import compared_text
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import (
    BadInput,
    DrainTimeout,
    InvariantBroken,
    LeaseLost,
    NotConverged,
    PlanError,
    PointerConflict,
    StateConflict,
    SwitchoverError,
    TargetRefused,
    WriterChanged,
)
from switchover.ledger import Ledger
from switchover.page import render_run
from switchover.plan import plan_schema
from switchover.planfile.folder import load_plans, plan_files
from switchover.report.review import review
from switchover.report.summary import markdown, rule_table
from switchover.text import shown

EXIT_OK, EXIT_UNMEASURED = 0, 4
EXIT_CODES: dict[type[SwitchoverError], int] = {
    BadInput: 2,
    StateConflict: 1,
    InvariantBroken: 1,
    DrainTimeout: 1,
    NotConverged: 1,
    TargetRefused: 1,
    WriterChanged: 1,
    PointerConflict: 5,
    LeaseLost: 5,
}
Result = tuple[str, Any, int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 well, 1 refused by a rule, a target or the state of the run, 2 bad input, 3 inconclusive, 4 no answer,
    5 moved by somebody else.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request, where a library has set up logging
    edge = Edge(connections=environment_connections())
    try:
        text, data, code = options.call(options, edge)
    except SwitchoverError as error:
        print(shown(f"switchover: {error}"), file=sys.stderr)
        return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), EXIT_UNMEASURED)
    finally:
        edge.close()
    print(json.dumps(data, indent=2, default=str) if options.json else shown(text))
    return int(code)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; the docs are made from it."""
    parser = argparse.ArgumentParser(
        prog="switchover",
        description="Blue-green switchovers for retrieval and RAG stacks.",
        epilog="example: switchover plan check include/plans/docs.yaml",
    )
    parser.add_argument("--version", action="version", version=f"switchover {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    plan = commands.add_parser("plan", help="check plan files, or print their JSON Schema")
    plans = plan.add_subparsers(required=True, metavar="VERB")
    check = _command(plans, "check", _plan_check, "check plan files", "switchover plan check include/plans/docs.yaml")
    check.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="plan files, or folders of them: then also against each other",
    )
    _command(plans, "schema", _plan_schema, "print the JSON Schema for editors", "switchover plan schema")

    ledger = commands.add_parser("ledger", help="prepare the ledger's database")
    ledgers = ledger.add_subparsers(required=True, metavar="VERB")
    init = _command(ledgers, "init", _ledger_init, "create the tables that are missing", "switchover ledger init")
    ledger_option(init)

    doctor.add_commands(commands, _command)
    judge.add_commands(commands, _command)
    gold.add_commands(commands, _command)
    pointer.add_commands(commands, _command)
    writers.add_commands(commands, _command)
    recovery.add_commands(commands, _command)
    watchdog.add_commands(commands, _command)
    build.add_commands(commands, _command)

    report = _command(
        commands, "report", _report, "everything about one switchover", "switchover report docs:manual__2026"
    )
    report.add_argument("run", metavar="RUN", help="id of the switchover, from `switchover status`")
    kind = report.add_mutually_exclusive_group()
    kind.add_argument("--html", type=Path, metavar="FILE", help="write the review page as one file that can be mailed")
    kind.add_argument("--markdown", action="store_true", help="print Markdown only, for a pull request or a ticket")
    ledger_option(report)
    return parser


def _command(parsers: Any, name: str, run: Any, text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parsers.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example: {example}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(call=run)
    return parser


def _plan_check(options: argparse.Namespace, edge: Edge) -> Result:
    """All files at once, so that what two plans may not have in common is told as well."""
    found = load_plans(dict.fromkeys(path for place in options.files for path in plan_files(place)))
    errors = [str(each.error) for each in found if each.error]
    if errors or not found:
        raise PlanError("\n".join(errors) or "no plan in that folder; allowed: files *.yaml and *.yml")
    plans = {str(each.path): each.plan for each in found if each.plan}
    lines = [f"{path}: ok: service {plan.service}, digest {plan.digest[:12]}" for path, plan in plans.items()]
    return (
        "\n".join(lines),
        {path: {"service": plan.service, "digest": plan.digest} for path, plan in plans.items()},
        EXIT_OK,
    )


def _plan_schema(options: argparse.Namespace, edge: Edge) -> Result:
    schema = plan_schema()
    return json.dumps(schema, indent=2), schema, EXIT_OK


def _ledger_init(options: argparse.Namespace, edge: Edge) -> Result:
    Ledger(engine=edge.sql(options.ledger)).create_tables()
    return f"ledger {options.ledger!r}: tables are there", {"ledger": options.ledger, "ready": True}, EXIT_OK


def _report(options: argparse.Namespace, edge: Edge) -> Result:
    found = review(Ledger(engine=edge.sql(options.ledger)), options.run)
    if options.html is not None:
        _write(options.html, render_run(found, base=None))
        return f"{options.html}: written; it needs no other file", {"file": str(options.html)}, EXIT_OK
    parts = [found.facts["status"], *(f"not recorded: {each}" for each in found.missing), markdown(found.facts)]
    if options.markdown:
        return parts[-1], found.to_json(), EXIT_OK
    if found.facts["verdicts"]:
        parts.append(rule_table(found.facts["verdicts"]))
    if found.compared is not None:
        parts.append(compared_text(found.compared.arms))
    return "\n\n".join(parts), found.to_json(), EXIT_OK


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None

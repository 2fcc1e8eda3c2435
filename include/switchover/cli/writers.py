"""``switchover writers show | resume``: the writers that a run froze, without Airflow."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Mapping, Sequence
from typing import Any

from switchover.cli.options import Result, ledger_option, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.pins import PIN_NAMES
from switchover.steps.resume import Way, resume_one
from switchover.steps.switch import Switch
from switchover.text import table

RUN = "docs:manual__2026"
COLUMNS = ("writer", "found", "drained", "resumed", "on", "held")


def fill_writers(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    about = "how each writer was found, and what became of it"
    _run(verb("show", _show, about, f"switchover writers show {RUN}"))

    resume = verb(
        "resume",
        _resume,
        "resume one writer that a run left frozen; a repeat changes nothing",
        f"switchover writers resume {RUN} 'ingest process'",
    )
    _run(resume)
    resume.add_argument("name", metavar="NAME", help="the writer's name in the plan")
    resume.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="PIN=VALUE",
        help="what the writer now writes with, where the plan gives a value for that pin",
    )
    changed = resume.add_mutually_exclusive_group()
    changed.add_argument(
        "--keep", action="store_true", help="somebody else has changed it: leave it as it is, and count it as resumed"
    )
    changed.add_argument(
        "--overwrite", action="store_true", help="somebody else has changed it: put it back as the run found it"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id of the switchover, from `switchover status`")
    ledger_option(parser)


def _show(options: argparse.Namespace, edge: Edge) -> Result:
    switch = _open(options, edge)
    rows = switch.ledger.journal.writers(switch.read().id)
    data = [{key: value for key, value in row.items() if key != "run"} for row in rows]
    cells = [
        [
            row["name"],
            ", ".join(f"{key}={value}" for key, value in row["found"].items()),
            _time(row["drained_at"]),
            _time(row["resumed_at"]),
            row["resumed_on"] or "-",
            row["held"] or "-",
        ]
        for row in rows
    ]
    return table([list(COLUMNS), *cells]) if cells else f"{switch.id}: froze no writers", data, 0


def _resume(options: argparse.Namespace, edge: Edge) -> Result:
    switch = _open(options, edge)
    way = Way.KEEP if options.keep else Way.OVERWRITE if options.overwrite else Way.REFUSE
    line = resume_one(switch, options.name, mended=_pins(options.pin), way=way)
    return f"{switch.id}: {line}", {"id": switch.id, "writer": options.name, "result": line}, 0


def _open(options: argparse.Namespace, edge: Edge) -> Switch:
    person = getpass.getuser()
    return Switch.open(
        edge=edge,
        ledger=options.ledger,
        id=options.run,
        actor=f"command line, {person}",
        holder=f"person:{person}",
    )


def _pins(given: Sequence[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value or name not in PIN_NAMES:
            raise BadInput(f"--pin {text!r}: allowed: PIN=VALUE, PIN one of {', '.join(PIN_NAMES)}")
        found[name] = value
    return found


def _time(at: Any) -> str:
    return f"{at:%H:%M:%S}" if at else "-"

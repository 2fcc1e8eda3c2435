"""The command line: what a person or a CI job does without Airflow."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from switchover import __version__
from switchover.cli.options import sentence
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import (
    BadInput,
    DrainTimeout,
    InvariantBroken,
    LeaseLost,
    NotConverged,
    PointerConflict,
    StateConflict,
    SwitchoverError,
    TargetRefused,
    WriterChanged,
)
from switchover.text import shown

EXIT_UNMEASURED = 4
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
#: Command, module of this package, line of help. The module's ``fill_<command>`` adds the arguments; it is imported
#: only for the command that is asked for, because most of them need the client of a store.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("init", "init", "look at your stack, reads only, and write a first plan for it"),
    ("plan", "plan", "check plan files, or print their JSON Schema"),
    ("try", "try_", "ask each seam of a plan once, change nothing, and say the next step for what does not fit"),
    ("ledger", "ledger", "prepare the ledger's database"),
    ("status", "doctor", "list switchovers, newest first"),
    ("doctor", "doctor", "show who serves users, why, and the next safe command"),
    ("eval", "judge", "ask one arm or both and judge"),
    ("replay", "judge", "judge recorded evidence again under other rules"),
    ("calibrate", "calibrate", "ask Blue against itself and propose the bars that fit"),
    ("power", "power", "say what a gold set and its traffic can and cannot tell"),
    ("gold", "gold", "check a gold set, bring one in, draft its paraphrases, take one out"),
    ("export", "gold", "write what both arms of a switchover retrieved as TREC runs"),
    ("pointer", "pointer", "read, swap or verify one pointer, without a switchover"),
    ("writers", "writers", "the writers that a switchover froze: show them, resume one"),
    ("rollback", "recovery", "bring a service back to Blue now, also when Airflow is down"),
    ("back", "recovery", "bring Blue back after a promotion, as long as it is kept"),
    ("restore", "recovery", "finish an abandoned run: back to Blue if undecided, then resume the writers"),
    ("rehearse", "recovery", "try the way back on a shadow pointer; exit 1 when it was too slow"),
    ("retire", "recovery", "remove Blue's index for good: promoted, kept long enough, used by nobody"),
    ("watchdog", "watchdog", "roll back what nobody drives any more: one small process outside Airflow"),
    ("build", "build", "build an arm's index, or go on with a build that was interrupted; progress goes to stderr"),
    ("index", "index", "read an arm's index whole, or take over one that was not built by us"),
    ("audit", "audit", "verify the chain of audit records, or write it to a file"),
    ("report", "report", "everything about one switchover"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 well, 1 refused by a rule, a target or the state of the run, 2 bad input, 3 inconclusive, 4 no answer,
    5 moved by somebody else.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked = next((each for each in given if not each.startswith("-")), "")  # no option before it takes a value
    options = build_parser(asked).parse_args(given)
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


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line, with the arguments of one command only or of all; the docs are made from all."""
    parser = argparse.ArgumentParser(
        prog="switchover",
        description="Blue-green switchovers for retrieval and RAG stacks.",
        epilog="example: switchover plan check include/plans/docs.yaml",
    )
    parser.add_argument("--version", action="version", version=f"switchover {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module, text in COMMANDS:
        command = commands.add_parser(name, help=text, description=sentence(text))
        if only in (None, name):
            getattr(import_module(f"switchover.cli.{module}"), f"fill_{name}")(command)
    return parser

"""What the commands' parsers share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from switchover.edge.edge import Edge
from switchover.part import LEDGER

#: What a command answers: text for people, data for ``--json``, exit code.
Result = tuple[str, Any, int]
Call = Callable[[argparse.Namespace, Edge], Result]


def runs(parser: argparse.ArgumentParser, call: Call, example: str) -> argparse.ArgumentParser:
    """Make ``parser`` the parser of a command that runs ``call``; add its own arguments to what is returned."""
    parser.epilog = f"example: {example}"
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(call=call)
    return parser


def verbs_of(parser: argparse.ArgumentParser) -> Callable[[str, Call, str, str], argparse.ArgumentParser]:
    """Make ``parser`` a command that only has verbs. The answer adds one: name, call, line of help, example."""
    parser.description = None  # its line of help stands one page up
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, call: Call, text: str, example: str) -> argparse.ArgumentParser:
        return runs(verbs.add_parser(name, help=text, description=sentence(text)), call, example)

    return verb


def sentence(text: str) -> str:
    """``check plan files`` as ``Check plan files.``"""
    return f"{text[0].upper()}{text[1:]}."


def ledger_option(parser: argparse.ArgumentParser) -> None:
    """``--ledger``: where the ledger is."""
    parser.add_argument("--ledger", default=LEDGER, metavar="CONNECTION", help="ledger connection id")

"""``switchover ledger init``: prepare the ledger's database."""

from __future__ import annotations

import argparse

from switchover.cli.options import Result, ledger_option, verbs_of
from switchover.edge.edge import Edge
from switchover.ledger import Ledger


def fill_ledger(parser: argparse.ArgumentParser) -> None:
    """Add the verb."""
    verb = verbs_of(parser)
    ledger_option(verb("init", _init, "create the tables that are missing", "switchover ledger init"))


def _init(options: argparse.Namespace, edge: Edge) -> Result:
    Ledger(engine=edge.sql(options.ledger)).create_tables()
    return f"ledger {options.ledger!r}: tables are there", {"ledger": options.ledger, "ready": True}, 0

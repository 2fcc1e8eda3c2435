"""Options that several commands share."""

from __future__ import annotations

import argparse


def ledger_option(parser: argparse.ArgumentParser) -> None:
    """``--ledger``: where the ledger is."""
    parser.add_argument("--ledger", default="switchover_ledger", metavar="CONNECTION", help="ledger connection id")

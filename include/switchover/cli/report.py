"""``switchover report``: everything about one switchover, as text, Markdown or one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from switchover.cli.options import Result, ledger_option, runs
from switchover.compare.text import compared_text
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.ledger import Ledger
from switchover.page import render_run
from switchover.report.review import review
from switchover.report.summary import markdown, rule_table


def fill_report(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    report = runs(parser, _report, "switchover report docs:manual__2026")
    report.add_argument("run", metavar="RUN", help="id of the switchover, from `switchover status`")
    kind = report.add_mutually_exclusive_group()
    kind.add_argument("--html", type=Path, metavar="FILE", help="write the review page as one file that can be mailed")
    kind.add_argument("--markdown", action="store_true", help="print Markdown only, for a pull request or a ticket")
    ledger_option(report)


def _report(options: argparse.Namespace, edge: Edge) -> Result:
    found = review(Ledger(engine=edge.sql(options.ledger)), options.run)
    if options.html is not None:
        _write(options.html, render_run(found, base=None))
        return f"{options.html}: written; it needs no other file", {"file": str(options.html)}, 0
    parts = [
        found.facts.status,
        *(f"not recorded: {each}" for each in found.missing),
        markdown(found.facts, found.facts.playbook),
    ]
    if options.markdown:
        return parts[-1], found.to_json(), 0
    if found.facts.verdicts:
        parts.append(rule_table(found.facts.verdicts))
    if found.compared is not None:
        parts.append(compared_text(found.compared.arms))
    return "\n\n".join(parts), found.to_json(), 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None

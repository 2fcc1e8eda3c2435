"""``switchover doctor`` and ``switchover status``: what is so, and what to do next."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

from switchover.cli.options import Result, ledger_option, runs
from switchover.edge.edge import Edge
from switchover.errors import BadInput, StateConflict
from switchover.ledger import Ledger, RunRow
from switchover.ledger.ttr import ttr
from switchover.planfile.load import load_plan
from switchover.protocol import State
from switchover.report.summary import status_line, ttr_line
from switchover.steps.doctor import diagnose


def fill_status(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    status = runs(parser, _status, "switchover status --service docs")
    status.add_argument("--service", help="only this service")
    status.add_argument("--last", type=int, default=10, metavar="N", help="how many (default: 10)")
    status.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    ledger_option(status)


def fill_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    doctor = runs(parser, _doctor, "switchover doctor docs:manual__2026")
    doctor.add_argument("run", nargs="?", metavar="RUN", help="id of the switchover (default: every open one)")
    which = doctor.add_mutually_exclusive_group()
    which.add_argument("--service", help="what is open of this service, else its newest")
    which.add_argument("--plan", type=Path, metavar="FILE", help="the same, of this plan's service")
    ledger_option(doctor)


def _doctor(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan) if options.plan else None
    name = plan.ledger if plan else options.ledger
    ledger = Ledger(engine=edge.sql(name))
    rows = _chosen(ledger, options.run, plan.service if plan else options.service)
    found = [diagnose(edge=edge, ledger=ledger, row=row, ledger_name=name) for row in rows]
    if not found:
        return f"nothing is open; {ledger.watchdogs.line()}", [], 0
    text = "\n\n".join(each.text for each in found)
    return text, [each.to_json() for each in found], 1 if any(each.act for each in found) else 0


def _chosen(ledger: Ledger, run: str | None, service: str | None) -> list[RunRow]:
    if run is not None:
        row = ledger.runs.get(run)
        if service is not None and row.service != service:
            raise BadInput(f"switchover {run!r}: is of service {row.service!r}, not {service!r}")
        return [row]
    if service is None:
        return [row for row in ledger.runs.latest(limit=50) if not row.state.ended]
    rows = ledger.runs.open_of(service) or ledger.runs.latest(service=service, limit=1)
    if not rows:
        raise StateConflict(f"service {service!r}: has had no switchover")
    return rows


def _status(options: argparse.Namespace, edge: Edge) -> Result:
    ledger = Ledger(engine=edge.sql(options.ledger))
    text, data = _listed(ledger, options)
    with contextlib.suppress(KeyboardInterrupt):
        while options.watch:
            sys.stdout.write(f"\x1b[2J\x1b[H{text}\n" if sys.stdout.isatty() else f"{text}\n")
            sys.stdout.flush()
            time.sleep(1)
            text, data = _listed(ledger, options)
    return text, data, 0


def _live(row: RunRow) -> str | None:
    """Which arm is live by the ledger; ``None`` while only the pointer knows."""
    if row.state in (State.HOLDING, State.PROMOTED):
        return row.green
    return None if row.state in (State.FLIPPING, State.ROLLING_BACK, State.STUCK) else row.blue


def _listed(ledger: Ledger, options: argparse.Namespace) -> tuple[str, list[dict[str, Any]]]:
    now, watchdog = ledger.now(), ledger.watchdogs.line()
    rows = ledger.runs.latest(service=options.service, limit=options.last)
    lines: list[str] = []
    data: list[dict[str, Any]] = []
    for row in rows:
        parts = ttr(row)
        back = f"\n    time to restore (seconds): {ttr_line(parts)}" if parts else ""
        lines.append(f"{row.id}  {status_line(row, now)}{back}")
        data.append(
            {
                "id": row.id,
                "service": row.service,
                "state": row.state.value,
                "live": _live(row),
                "age_s": round((now - row.opened_at).total_seconds(), 1),
                "reason": row.reason,
                "ttr_s": parts,
            }
        )
    return "\n".join([*(lines or ["no switchovers yet"]), watchdog]), data

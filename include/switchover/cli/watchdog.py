"""``switchover watchdog``: the process that rolls back when Airflow cannot."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import threading
from dataclasses import asdict

from switchover.cli.options import Result, ledger_option, runs
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.watchdog.metrics import served
from switchover.watchdog.watch import Watchdog

LISTEN = "127.0.0.1:8790"


def fill_watchdog(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    watchdog = runs(parser, _watchdog, "switchover watchdog --listen 127.0.0.1:8790")
    ledger_option(watchdog)
    watchdog.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="seconds between two looks (default: 1)"
    )
    watchdog.add_argument(
        "--listen",
        default=LISTEN,
        metavar="HOST:PORT",
        help=f"serve /healthz and /metrics, or `off` (default: {LISTEN})",
    )
    watchdog.add_argument("--once", action="store_true", help="look once, settle what is found, and end")


def _watchdog(options: argparse.Namespace, edge: Edge) -> Result:
    if not 0.1 <= options.interval <= 60:
        raise BadInput(f"--interval {options.interval:g}: allowed: 0.1 to 60 seconds")
    listen = _listen(options.listen)
    watchdog = Watchdog(
        edges=lambda: Edge(connections=environment_connections()), ledger=options.ledger, interval_s=options.interval
    )
    if options.once:
        look = watchdog.once()
        watchdog.close()
        lines = [look.problem or look.sees, *(f"{each.run}: {each.line}" for each in look.take_overs)]
        unsettled = any(each.result != "settled" for each in look.take_overs)
        return "\n".join(lines), asdict(look), 4 if look.problem else 1 if unsettled else 0
    _log(as_json=options.json)
    over = threading.Event()
    for ends in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ends, lambda number, frame: over.set())
    with contextlib.ExitStack() as stack:
        if listen is not None:
            stack.enter_context(served(watchdog.metrics, host=listen[0], port=listen[1]))
        watchdog.run(over)
    return f"{watchdog.name} ended", {"name": watchdog.name, "ended": True}, 0


def _listen(text: str) -> tuple[str, int] | None:
    if text == "off":
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise BadInput(f"--listen {text!r}: allowed: HOST:PORT, or `off`")
    return host.strip("[]"), int(port)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")
        return json.dumps({"at": at, "level": record.levelname, "text": record.getMessage()})


def _log(*, as_json: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("switchover")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

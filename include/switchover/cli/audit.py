"""``switchover audit``: verify the chain of audit records, or write it to a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from switchover.cli.options import Result, ledger_option, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.ledger import Ledger
from switchover.ledger.chain import AuditRecord, Unread, Verified, parse, verify
from switchover.text import counted


def fill_audit(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    text = "read the chain and name every record that is wrong; exit 1 when one is"
    check = verb("verify", _verify, text, "switchover audit verify --service docs")
    check.add_argument("--service", metavar="NAME", help="the chain of this service only")
    text = "an earlier newest hash that was kept: it must be in the chain; may be repeated"
    check.add_argument("--head", action="append", default=[], metavar="HASH", help=text)
    check.add_argument("--file", type=Path, metavar="FILE", help="an export; no database is asked")
    ledger_option(check)
    export = verb("export", _export, "write the chain as JSON lines", "switchover audit export --out audit.jsonl")
    export.add_argument("--service", metavar="NAME", help="the chain of this service only")
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    ledger_option(export)


def _verify(options: argparse.Namespace, edge: Edge) -> Result:
    if options.file is not None:
        found = verify(_of_service(_read(options.file), options.service), kept=options.head)
    else:
        records = Ledger(engine=edge.sql(options.ledger)).audit.records(service=options.service)
        found = verify(records, kept=options.head)
    if options.service is not None and not found.records:
        found.found(f"service {options.service!r}: has no record")
    return _told(found), {**vars(found), "ok": not found.faulty}, 1 if found.faulty else 0


def _told(found: Verified) -> str:
    more = found.faulty - len(found.faults)
    outcome = counted(found.faulty, "fault") if found.faulty else "the chain is whole"
    lines = [*found.faults, *([f"and {more:,} more"] if more else [])]
    lines.append(f"{counted(found.records, 'record')}: {outcome}")
    for service, (seq, hash) in found.heads.items():
        lines.append(f"service {service!r}: newest is record {seq}, hash {hash}")
    return "\n".join(lines)


def _export(options: argparse.Namespace, edge: Edge) -> Result:
    records = Ledger(engine=edge.sql(options.ledger)).audit.records(service=options.service)
    written = 0
    try:
        with options.out.open("wb") as file:
            for record in records:
                file.write(f"{record.line}\n".encode())
                written += 1
    except OSError as error:
        raise BadInput(f"{options.out}: cannot be written: {error.strerror}") from None
    return f"{options.out}: {counted(written, 'record')}", {"file": str(options.out), "records": written}, 0


def _read(path: Path) -> Iterator[AuditRecord | Unread]:
    try:
        with path.open("rb") as file:
            yield from parse(file)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None


def _of_service(records: Iterator[AuditRecord | Unread], service: str | None) -> Iterator[AuditRecord | Unread]:
    return (each for each in records if service is None or isinstance(each, Unread) or each.service == service)

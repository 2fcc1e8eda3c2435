"""The evidence bundle: what is kept of a run, as files or as one zip."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from switchover.compare.text import compared_text
from switchover.judge.evidence_row import NAMES
from switchover.ledger import Ledger
from switchover.page import render_run
from switchover.report.review import Review, review
from switchover.report.summary import markdown
from switchover.text import shown

ROWS = "evidence.csv"
CHAIN = "audit.jsonl"
CSV_COLUMNS = tuple(name for name in NAMES if name != "hits")


def bundle(found: Review) -> Iterator[tuple[str, str]]:
    """(name, text) of each file: summary, report, page; with evidence of both arms their comparison too."""
    facts = found.facts
    yield "summary.json", json.dumps({**facts.to_json(), "missing": list(found.missing)}, indent=2, default=str)
    if found.signals:
        yield "signals.json", json.dumps([dict(look) for look in found.signals], indent=2, default=str)
    told = markdown(facts, facts.playbook)
    if found.compared is not None:
        arms = found.compared.arms
        yield "comparison.json", json.dumps(arms.to_json(), indent=2, default=str)
        fenced = compared_text(arms).replace("`", "'")  # nothing in a question or a hit ends the fence
        told += f"\n## Green against Blue\n\n```text\n{fenced}\n```\n"
    yield "report.md", shown(told)
    yield "report.html", render_run(found, base=None)


def evidence_csv(ledger: Ledger, id: str) -> str:
    """Every probe of a run as a table: one line a probe, without what was retrieved (the ledger keeps that)."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(CSV_COLUMNS)
    for phase in ("warm", "hold"):
        for row in ledger.evidence.rows(id, phase=phase):
            table.writerow([_cell(getattr(row, name)) for name in CSV_COLUMNS])
    return shown(out.getvalue().replace("\r\n", "\n"))


def audit_lines(ledger: Ledger, id: str) -> str:
    """The run's own records of the audit chain, a line each; none where the ledger has no chain yet."""
    found = ledger.audit.records(run=id) if ledger.audit.ready() else ()
    return "".join(f"{record.line}\n" for record in found)


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def write_evidence(ledger: Ledger, id: str, put: Callable[[str, bytes], None]) -> list[str]:
    """Write the evidence bundle through ``put(name, bytes)``, each file when it is made; returns the names."""
    names = []
    for name, text in (*bundle(review(ledger, id)), (ROWS, evidence_csv(ledger, id)), (CHAIN, audit_lines(ledger, id))):
        put(name, text.encode())
        names.append(name)
    return sorted(names)


def bundle_zip(found: Review, ledger: Ledger) -> Iterator[bytes]:
    """The bundle as the blocks of one zip file, a file at a time."""
    out = _Forward()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in bundle(found):
            archive.writestr(name, text)
            yield out.take()
        archive.writestr(ROWS, evidence_csv(ledger, found.row.id))
        archive.writestr(CHAIN, audit_lines(ledger, found.row.id))
    yield out.take()


class _Forward(io.RawIOBase):
    """A file that is only written forward, so that what was written can be sent at once."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        waiting, self._waiting = bytes(self._waiting), bytearray()
        return waiting

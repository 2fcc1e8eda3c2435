"""The audit chain as a pure check: each record holds the hash of the one before, so a changed byte is found.

Nothing is signed: who can write the table can write the whole chain anew. A hash that was kept elsewhere finds that.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields

from switchover.pins import canonical_json, digest

FIRST = ""  # what stands for the hash before the first record
MOST_FAULTS = 20  # that are named; the others are counted


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """One record. ``seq`` counts from 1 in each service; ``at`` is UTC; ``body`` is canonical JSON."""

    service: str
    seq: int
    kind: str
    run: str | None
    actor: str
    at: str
    body: str
    previous: str
    hash: str

    @property
    def due(self) -> str:
        """The hash that these facts have."""
        return digest([value for name, value in asdict(self).items() if name != "hash"])

    @property
    def line(self) -> str:
        """The record as one line of an export."""
        return canonical_json(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A line of an export that is no record."""

    line: int
    why: str


@dataclass(kw_only=True)
class Verified:
    """What a reading of the chain found. ``heads``: service -> (seq, hash) of its newest record."""

    records: int = 0
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    faulty: int = 0

    def found(self, fault: str) -> None:
        """Count a fault, and keep the first ones."""
        self.faulty += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)


def verify(records: Iterable[AuditRecord | Unread], *, kept: Collection[str] = ()) -> Verified:
    """Read records in the order (service, seq); ``kept``: earlier hashes, each of which must be in the chain."""
    result, missing = Verified(), set(kept)
    service, seq, head = "", 0, FIRST
    for each in records:
        if isinstance(each, Unread):
            result.found(f"line {each.line}: {each.why}")
            continue
        result.records += 1
        if each.service != service:
            if each.service < service:
                result.found(f"service {each.service!r}, record {each.seq}: stands after service {service!r}")
            service, (seq, head) = each.service, result.heads.get(each.service, (0, FIRST))
        fault = _fault(each, seq, head)
        if fault:
            result.found(f"service {service!r}, record {each.seq}: {fault}")
        else:
            missing.discard(each.hash)
        seq, head = each.seq, each.hash
        result.heads[service] = (seq, head)
    for hash in sorted(missing):
        result.found(f"hash {hash}: was kept and is not in the chain; its end was cut, or it was written anew")
    return result


def _fault(record: AuditRecord, seq: int, head: str) -> str:
    """What is wrong with a record that comes after number ``seq`` with hash ``head``; empty when nothing is."""
    if record.seq <= seq:
        return f"stands after record {seq}: inserted, doubled or moved"
    if record.seq > seq + 1:
        span = f"{seq + 1}" if record.seq == seq + 2 else f"{seq + 1} to {record.seq - 1}"
        return f"record {span} before it is missing"
    if record.hash != record.due:
        return "was changed: its hash is not that of its facts"
    if record.previous != head:
        return "does not hold the hash of the record before"
    return ""


def parse(lines: Iterable[bytes]) -> Iterator[AuditRecord | Unread]:
    """The records of an export. Every byte counts: a line that is not exactly as it was written is no record."""
    for number, line in enumerate(lines, start=1):
        yield _parsed(number, line)


def _parsed(number: int, line: bytes) -> AuditRecord | Unread:
    if not line.endswith(b"\n"):
        return Unread(line=number, why="does not end; the file was cut")
    try:
        text = line[:-1].decode()
        found = json.loads(text)
        if not isinstance(found, dict) or set(found) != {each.name for each in fields(AuditRecord)}:
            return Unread(line=number, why="is no record of the audit chain")
        same = canonical_json(found) == text
    except (ValueError, RecursionError):
        return Unread(line=number, why="is no JSON")
    run, seq = found["run"], found["seq"]
    texts = all(isinstance(value, str) for name, value in found.items() if name not in ("run", "seq"))
    if not same or type(seq) is not int or not texts or not isinstance(run, str | None):
        return Unread(line=number, why="is not as it was written")
    return AuditRecord(**found)

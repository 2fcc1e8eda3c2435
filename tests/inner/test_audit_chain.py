"""The audit chain as a pure check: every tampering of an export is found, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator

import pytest

from switchover.ledger.chain import FIRST, AuditRecord, Verified, parse, verify

FIELDS = [each.name for each in dataclasses.fields(AuditRecord)]
CHANGED = "was changed: its hash is not that of its facts"
WAYS = ("byte", "field", "delete", "insert", "double", "swap", "cut", "cut bytes", "renumber", "anew")


def chained(service: str, bodies: list[str]) -> Iterator[AuditRecord]:
    previous = FIRST
    for seq, body in enumerate(bodies, start=1):
        bare = AuditRecord(
            service=service, seq=seq, kind="end", run=None if seq % 3 == 0 else f"{service}:{seq}", actor="añna",
            at=f"2026-01-01T00:00:{seq:02d}.000000+00:00", body=body, previous=previous, hash="",
        )  # fmt: skip
        yield dataclasses.replace(bare, hash=bare.due)
        previous = bare.due


CHAIN = [
    record
    for service, count in (("docs", 9), ("mail", 1), ("shop", 6))
    for record in chained(service, [f'{{"n":{n},"reason":"größer"}}' for n in range(count)])
]
LINES = [f"{record.line}\n".encode() for record in CHAIN]
HEADS = {"docs": CHAIN[8].hash, "mail": CHAIN[9].hash, "shop": CHAIN[15].hash}


def of(lines: list[bytes], kept: list[str] | None = None) -> Verified:
    return verify(parse(lines), kept=list(HEADS.values()) if kept is None else kept)


def tampered(way: str, draw: random.Random) -> list[bytes]:
    lines, at = list(LINES), draw.randrange(len(LINES))
    record = CHAIN[at]
    if way == "byte":
        line = bytearray(lines[at])
        place = draw.randrange(len(line))
        line[place] = draw.choice([byte for byte in range(256) if byte != line[place]])
        lines = b"".join([*lines[:at], bytes(line), *lines[at + 1 :]]).splitlines(keepends=True)
    elif way == "field":
        name = draw.choice(FIELDS)
        new = draw.choice([0, 99, -1]) if name == "seq" else draw.choice(["", "x", f"{getattr(record, name)} "])
        changed = dataclasses.replace(record, **{name: new})
        if draw.random() < 0.5 and name != "hash":
            changed = dataclasses.replace(changed, hash=changed.due)
        lines[at] = f"{changed.line}\n".encode()
    elif way == "delete":
        del lines[at]
    elif way in ("insert", "double"):
        forged = dataclasses.replace(record, actor="forger")
        forged = record if way == "double" else dataclasses.replace(forged, hash=forged.due)
        lines.insert(draw.randrange(len(lines) + 1), f"{forged.line}\n".encode())
    elif way == "swap":
        other = draw.choice([each for each in range(len(lines)) if each != at])
        lines[at], lines[other] = lines[other], lines[at]
    elif way == "cut":
        lines = lines[:at]
    elif way == "cut bytes":
        whole = b"".join(lines)
        lines = whole[: draw.randrange(len(whole))].splitlines(keepends=True)
    elif way == "renumber":
        first = draw.randrange(1, len(lines))
        moved = [dataclasses.replace(each, seq=each.seq + draw.choice([-1, 1])) for each in CHAIN[first - 1 : first]]
        lines[first - 1 : first] = [f"{dataclasses.replace(each, hash=each.due).line}\n".encode() for each in moved]
    else:  # a chain that is written anew from its n-th record on: only a kept hash finds that
        service = record.service
        bodies = [
            each.body if each.seq < record.seq else '{"forged":true}' for each in CHAIN if each.service == service
        ]
        anew = [f"{each.line}\n".encode() for each in chained(service, bodies)]
        lines = [
            *(new for new in anew),
            *(line for line, each in zip(LINES, CHAIN, strict=True) if each.service != service),
        ]
        lines.sort(key=lambda line: (json.loads(line)["service"], json.loads(line)["seq"]))
    return lines


@pytest.mark.parametrize("way", WAYS)
def test_of_ten_thousand_tamperings_every_one_is_found(way: str) -> None:
    draw = random.Random(f"audit {way}")
    missed = 0
    for _ in range(10_000 // len(WAYS)):
        lines = tampered(way, draw)
        missed += lines != LINES and not of(lines).faulty
    assert missed == 0


def test_an_untouched_chain_is_whole_and_names_its_newest_hashes() -> None:
    found = of(LINES)
    assert (found.faulty, found.records) == (0, 16)
    assert found.heads == {"docs": (9, HEADS["docs"]), "mail": (1, HEADS["mail"]), "shop": (6, HEADS["shop"])}
    for record in CHAIN:
        assert not of(LINES, kept=[record.hash]).faulty, "every earlier hash is still in it"


def test_a_chain_that_was_written_anew_is_found_by_a_kept_hash_only() -> None:
    lines = tampered("anew", random.Random(1))
    assert not of(lines, kept=[]).faulty and of(lines).faulty


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([LINES[0], LINES[2]], ["service 'docs', record 3: record 2 before it is missing"]),
        ([*LINES[:2], LINES[1]], ["service 'docs', record 2: stands after record 2: inserted, doubled or moved"]),
        ([LINES[0].replace(b"2026", b"2027")], [f"service 'docs', record 1: {CHANGED}"]),
        ([LINES[0], b"{}\n"], ["line 2: is no record of the audit chain"]),
        ([LINES[0], b"\xff\n"], ["line 2: is no JSON"]),
        ([LINES[0], b"[" * 100_000 + b"\n"], ["line 2: is no JSON"]),
        ([LINES[0][:-1] + b" \n"], ["line 1: is not as it was written"]),
        ([LINES[0], LINES[1][:-1]], ["line 2: does not end; the file was cut"]),
        ([LINES[9], LINES[0]], ["service 'docs', record 1: stands after service 'mail'"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(lines: list[bytes], said: list[str]) -> None:
    assert of(lines, kept=[]).faults == said


def test_many_faults_are_counted_and_the_first_are_named() -> None:
    found = of([b"x\n"] * 50, kept=[])
    assert (found.faulty, len(found.faults)) == (50, 20)

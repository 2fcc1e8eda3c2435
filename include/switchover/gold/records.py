"""Files of records, read in bounds: JSON lines, JSON, CSV, Parquet and YAML, told by the end of their name.

What is wrong is said with the file and the number of the record, never with what stands in it.
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchover.errors import GoldError
from switchover.gold.jsonl import (
    MAX_BYTES,
    MAX_DOCUMENT,
    MAX_LINE,
    MAX_LINES,
    MIB,
    kind_of,
    read_all,
    read_json,
    read_lines,
    read_object,
)
from switchover.lazy import lazy

if TYPE_CHECKING:
    import yaml
else:
    yaml = lazy("yaml")

Record = tuple[str, Any]  # where it stands, in words; the record, or the GoldError that takes its place
MAX_CELL = 1_000_000  # characters of a cell that is looked at for a list in Python's own form


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much of a file is read: bytes of all, bytes of a record, records."""

    bytes: int
    widest: int
    records: int


GOLD = Bounds(bytes=MAX_BYTES, widest=MAX_LINE, records=MAX_LINES)
CORPUS = Bounds(bytes=4 * 1024 * MIB, widest=MAX_DOCUMENT, records=10_000_000)


def read_records(path: Path, bounds: Bounds = GOLD) -> Iterator[Record]:
    """Each record of a file. A JSON or YAML document is one record; a list in it is a record an entry."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise GoldError(f"{path}: of which kind is it? Allowed: a name that ends in {', '.join(READERS)}")
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise GoldError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if size > bounds.bytes:
        raise GoldError(f"{path}: more than {bounds.bytes // MIB} MiB; allowed: up to that")
    for number, record in enumerate(reader(path, bounds), start=1):
        if number > bounds.records:
            raise GoldError(f"{path}: more than {bounds.records} records; allowed: up to that")
        yield record


def _json_lines(path: Path, bounds: Bounds) -> Iterator[Record]:
    for number, line in read_lines(path, widest=bounds.widest):
        where = f"{path}:{number}"
        try:
            yield where, read_object(where, line)
        except GoldError as error:
            yield where, error


def _json(path: Path, bounds: Bounds) -> Iterator[Record]:
    raw = read_all(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GoldError(f"{path}: not UTF-8 at byte {error.start}; allowed: UTF-8") from error
    yield from _entries(path, read_json(str(path), text))


def _yaml(path: Path, bounds: Bounds) -> Iterator[Record]:
    try:
        events = yaml.parse(read_all(path), Loader=yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in events):
            raise GoldError(f"{path}: holds an alias (*name); allowed: YAML without")
        yield from _entries(path, yaml.safe_load(read_all(path)))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark is not None else ""
        raise GoldError(f"{path}{at}: not YAML that can be read; allowed: plain YAML") from error


def _entries(path: Path, body: Any) -> Iterator[Record]:
    if not isinstance(body, list):
        yield str(path), body
        return
    yield from ((f"{path}: record {number}", each) for number, each in enumerate(body, start=1))


def _csv(path: Path, bounds: Bounds, *, delimiter: str = ",") -> Iterator[Record]:
    csv.field_size_limit(bounds.widest)
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(rows, [])]
            if len(set(names)) < len(names):
                raise GoldError(f"{path}:1: a column is named twice; allowed: once")
            for number, row in enumerate(filter(any, rows), start=1):
                where = f"{path}: record {number}"
                if len(row) == len(names):
                    yield where, {name: _cell(value) for name, value in zip(names, row, strict=True) if value.strip()}
                else:
                    yield where, GoldError(f"{where}: {len(row)} columns; the first line names {len(names)}")
    except csv.Error as error:
        raise GoldError(f"{path}: not CSV behind record {number}: {error}") from error
    except UnicodeDecodeError as error:
        raise GoldError(f"{path}: not UTF-8 behind record {number}; allowed: UTF-8") from error


def _cell(text: str) -> Any:
    """A cell; a list or an object in it, as JSON or as Python writes it, is read."""
    if text[:1] not in "[{":
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text) if read is json.loads or len(text) <= MAX_CELL else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list | dict):
            return found
    return text


def _parquet(path: Path, bounds: Bounds) -> Iterator[Record]:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise GoldError(f"{path}: Parquet needs the package pyarrow; install it, or give JSON lines") from error
    number = size = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=500):
                size += batch.nbytes
                if size > 2 * bounds.bytes:
                    raise GoldError(f"{path}: more than {2 * bounds.bytes // MIB} MiB unpacked; allowed: up to that")
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: record {number}", row
    except (ArrowException, OSError, ValueError) as error:
        raise GoldError(f"{path}: not Parquet that can be read ({type(error).__name__})") from error


def one_object(where: str, record: Any) -> dict[str, Any]:
    """The record, which must be an object; ``GoldError``."""
    if isinstance(record, GoldError):
        raise record
    if not isinstance(record, dict):
        raise GoldError(f"{where}: found {kind_of(record)}; allowed: an object")
    return record


READERS: dict[str, Callable[[Path, Bounds], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": lambda path, bounds: _csv(path, bounds, delimiter="\t"),
    ".parquet": _parquet,
    ".yaml": _yaml,
    ".yml": _yaml,
}

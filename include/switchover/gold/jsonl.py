"""Text files with one record a line, read in bounds. What is wrong is said with file and line, never with content.

A path may point anywhere, at a file with passwords too: an error names what kind of value stands there, not the value.
"""

from __future__ import annotations

import codecs
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from switchover.errors import GoldError

MIB = 2**20
MAX_LINE = 1 * MIB  # bytes of a question with its answers, of a judgment
MAX_DOCUMENT = 64 * MIB  # bytes of a line that holds a whole document
MAX_LINES = 100_000  # of a gold set
MAX_BYTES = 64 * MIB  # of a gold set

KINDS: dict[type, str] = {type(None): "null", bool: "true or false", str: "a text", list: "a list", dict: "an object"}


def read_all(path: Path) -> bytes:
    """A whole file of at most ``MAX_BYTES``. ``GoldError`` when it cannot be read or is larger."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise GoldError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(raw) > MAX_BYTES:
        raise GoldError(f"{path}: more than {MAX_BYTES // MIB} MiB; allowed: up to that")
    return raw


def read_lines(path: Path, *, widest: int = MAX_LINE) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line that is not blank; the file may be larger than memory.

    UTF-8, with or without a byte order mark; lines end in LF or CRLF and have at most ``widest`` bytes.
    ``GoldError`` names file and line.
    """
    try:
        with path.open("rb") as file:
            yield from _decoded(path, file, widest)
    except (OSError, ValueError) as error:
        raise GoldError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def lines_of(path: Path, raw: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a gold set that was read already, as :func:`read_lines`."""
    for number, line in _decoded(path, io.BytesIO(raw), MAX_LINE):
        if number > MAX_LINES:
            raise GoldError(f"{path}:{number}: more than {MAX_LINES} lines; allowed: up to that")
        yield number, line


def _decoded(path: Path, file: BinaryIO, widest: int) -> Iterator[tuple[int, str]]:
    number = 0
    while raw := file.readline(widest + 1):  # ends at LF alone: U+2028 may stand inside a JSON text
        number += 1
        if len(raw) > widest:
            raise GoldError(f"{path}:{number}: a line of more than {widest // MIB} MiB; allowed: up to that")
        if number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise GoldError(f"{path}:1: not UTF-8 but UTF-16 by its first bytes; allowed: UTF-8")
        try:
            text = (raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw).decode("utf-8")
        except UnicodeDecodeError as error:
            raise GoldError(f"{path}:{number}: not UTF-8 at byte {error.start} of the line; allowed: UTF-8") from error
        if text.strip():
            yield number, text.rstrip("\r\n")


def read_json(where: str, text: str) -> Any:
    """One JSON value; a key stands in an object once. ``GoldError`` with ``where``."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise GoldError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise GoldError(f"{where}: not JSON that can be read: brackets in brackets, too deep") from error
    except _Refused as error:
        raise GoldError(f"{where}: {error}") from None


def read_object(where: str, line: str) -> dict[str, Any]:
    """One JSON object from one line."""
    body = read_json(where, line)
    if not isinstance(body, dict):
        raise GoldError(f"{where}: not a JSON object; found {kind_of(body)}")
    return body


def kind_of(value: Any) -> str:
    """What a value is, in words and without the value itself."""
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, list | dict):
        return f"{KINDS[type(value)]} of {len(value)}"
    return KINDS.get(type(value), "a number")


def storable(text: str) -> str:
    """The text; ``ValueError`` for one that no store and no page can take."""
    if "\x00" in text:
        raise ValueError("holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half a surrogate pair")
    return text


def plain(text: str) -> str:
    """The text; ``ValueError`` for one that is not :func:`storable` or holds nothing."""
    if not text.strip():
        raise ValueError("holds no text")
    return storable(text)


def plain_id(text: str) -> str:
    """As :func:`plain`, for an id: no control characters, and nothing blank around it."""
    if any(unicodedata.category(character) == "Cc" for character in plain(text)):
        raise ValueError("holds a control character")
    if text != text.strip():
        raise ValueError("begins or ends with white space")
    return text


class _Refused(Exception):
    """Why a line that is JSON is not taken."""


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        raise _Refused("a key is given twice in one object")
    return body


def _no_number(word: str) -> Any:
    raise _Refused(f"{word} is not JSON")


def _whole(digits: str) -> int:
    if len(digits) > 18:
        raise _Refused(f"a number of {len(digits)} digits; allowed: up to 18")
    return int(digits)

"""Payloads and receipts: digested, bounded, and compared in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from switchover.errors import BadInput, PayloadTooLarge

PAYLOAD_BYTES = 1 << 20
#: Payloads up to this size are kept beside their digest, so that a conflict can be shown.
KEPT_BYTES = 8 << 10
RECEIPT_BYTES = 16 << 10
_SHOWN = 60  # characters of a value


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What an effect is made of. ``kept``: its JSON, unless it is too large or is bytes. ``size`` in bytes."""

    digest: str
    size: int
    kept: str | None


def payload_of(value: Any) -> Payload:
    """Digest ``value``: bytes as they are, anything else as canonical JSON. ``BadInput`` when it is neither."""
    text = None if isinstance(value, bytes) else _json("payload", value)
    raw = value if text is None else text.encode()
    if len(raw) > PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"fence: payload of {len(raw)} bytes; allowed: {PAYLOAD_BYTES}; pass the digest of a large payload instead"
        )
    return Payload(digest=hashlib.sha256(raw).hexdigest(), size=len(raw), kept=text if len(raw) <= KEPT_BYTES else None)


def receipt_json(value: Any) -> str:
    """A receipt as it is stored. ``BadInput`` when it is no JSON or too large."""
    text = _json("receipt", value)
    if len(text.encode()) > RECEIPT_BYTES:
        raise BadInput(f"fence: receipt of {len(text.encode())} bytes; allowed: {RECEIPT_BYTES}; store a reference")
    return text


def changes(first: str | None, second: str | None) -> list[str]:
    """How the first payload became the second, one line a place; empty when one of them was not kept."""
    if first is None or second is None:
        return []
    return list(_changes("", json.loads(first), json.loads(second)))


def _changes(path: str, first: Any, second: Any) -> Iterator[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted(first.keys() | second.keys()):
            place = f"{path}.{name}" if path else name
            if name not in second:
                yield f"{place}: {_shown(first[name])} → absent"
            elif name not in first:
                yield f"{place}: absent → {_shown(second[name])}"
            else:
                yield from _changes(place, first[name], second[name])
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for at, (left, right) in enumerate(zip(first, second, strict=True)):
            yield from _changes(f"{path}[{at}]", left, right)
    elif first != second or type(first) is not type(second):
        yield f"{path or 'payload'}: {_shown(first)} → {_shown(second)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _json(what: str, value: Any) -> str:
    """Sorted keys, no spaces, no NaN: the same value always gives the same text."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise BadInput(f"fence: {what} of type {type(value).__name__}: {error}; allowed: JSON values") from None
    return text

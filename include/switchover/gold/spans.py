"""Whether a hit's offsets are what coverage takes them for: characters of the source document, around the hit's text.

A service in JavaScript or Java counts UTF-16 units, one in Go or Rust bytes; coverage would be wrong without a word.
A span that is far wider than its text would cover every answer: coverage could not fail.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

UNITS = {"UTF-16 units": ("utf-16-le", 2), "UTF-8 bytes": ("utf-8", 1)}  # name -> codec, bytes a unit
WIDEST = 2  # times the characters of the hit's text
SLACK = 200  # characters more: white space and markup that the text has lost


def span_fault(hits: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> str | None:
    """What is wrong with the offsets of some hit, in one sentence; ``None`` when nothing is.

    ``texts``: document id -> source text, as far as it is known; hits of other documents are not looked at. A hit
    needs ``doc``, ``start`` and ``end``, and is compared with its ``text`` if it has one. A text that was cleaned, or
    that has a heading in front, is no fault.
    """
    for number, hit in enumerate(hits, start=1):
        document, start, end = texts.get(hit.get("doc", "")), hit.get("start"), hit.get("end")
        if document is not None and start is not None and end is not None:
            fault = _fault(document, int(start), int(end), hit.get("text") or "")
            if fault is not None:
                return f"hit {number} in {hit['doc']!r}, span {start}..{end}: {fault}"
    return None


def _fault(document: str, start: int, end: int, text: str) -> str | None:
    if _within(document[start:end], text) and end <= len(document):
        return None
    for unit, (codec, size) in UNITS.items() if text and not document.isascii() else ():
        there = _encoded(document, codec)[size * start : size * end].decode(codec, "replace")
        if _within(there, text):
            return f"counts {unit}; allowed: characters (Unicode code points)"
    if end > len(document):
        return f"ends behind the document, which has {len(document)} characters"
    if text and end - start > WIDEST * len(text) + SLACK:
        return f"{end - start} characters for a text of {len(text)}; allowed: the place of that text alone"
    return None


def _within(piece: str, text: str) -> bool:
    """Whether the text is the piece, but for white space and what stands around it."""
    found = " ".join(piece.split())
    return bool(found) and found in " ".join(text.split())


@functools.lru_cache(maxsize=64)
def _encoded(document: str, codec: str) -> bytes:
    return document.encode(codec, "surrogatepass")

"""Where a hit stands in its source document: offsets in any unit become characters, a text without offsets is found.

A service in JavaScript or Java counts UTF-16 units, one in Go or Rust bytes; coverage would be wrong without a word.
A span that is far wider than its text would cover every answer: coverage could not fail.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from switchover.edge.answers import Offsets

#: By the plan's word: what people call the unit, its codec, and the bytes of one unit.
UNITS: dict[Offsets, tuple[str, str, int]] = {
    "characters": ("characters (Unicode code points)", "utf-32-le", 4),
    "utf16": ("UTF-16 units", "utf-16-le", 2),
    "bytes": ("UTF-8 bytes", "utf-8", 1),
}
WIDEST = 2  # times the characters of the hit's text
SLACK = 200  # characters more: white space and markup that the text has lost
HEADINGS = 2  # lines in front of a text that need not stand in the document
SHORTEST = 12  # letters and digits of a text that is found anywhere but word by word


def offset_fault(document: str, start: int, end: int, text: str, unit: Offsets = "characters") -> str | None:
    """What is wrong with a hit's offsets, in one sentence; ``None`` when nothing is.

    They are compared with the hit's ``text`` if it has one. A text that was cleaned, or that has a heading in front,
    is no fault.
    """
    first, last = in_characters(document, start, unit), in_characters(document, end, unit)
    whole = end <= length_in(document, unit)
    if _within(document[first:last], text) and whole:
        return None
    for other, (name, _, _) in UNITS.items() if text and not document.isascii() else ():
        there = document[in_characters(document, start, other) : in_characters(document, end, other)]
        if other != unit and _within(there, text):
            return f"counts {name}; say `answer.offsets: {other}`"
    if not whole:
        return f"ends behind the document, which has {length_in(document, unit)} {UNITS[unit][0].partition(' (')[0]}"
    if text and last - first > WIDEST * len(text) + SLACK:
        return f"{last - first} characters for a text of {len(text)}; allowed: the place of that text alone"
    return None


def in_characters(document: str, offset: int, unit: Offsets) -> int:
    """An offset of the document, counted in some unit, in characters."""
    if unit == "characters" or document.isascii():
        return offset
    _, codec, size = UNITS[unit]
    return len(_encoded(document, codec)[: size * offset].decode(codec, "replace"))


def length_in(text: str, unit: Offsets) -> int:
    """How long a text is in some unit."""
    _, codec, size = UNITS[unit]
    return len(text) if unit == "characters" else len(text.encode(codec, "surrogatepass")) // size


def find_text(text: str, texts: Mapping[str, str], *, doc: str | None = None) -> tuple[str, int, int] | None:
    """Document, start and end of a text in ``texts`` (document id -> text), in ``doc`` alone where that is known.

    Exactly; else by its letters and digits alone, whatever the case and what stands between them; else without its
    first lines, which may be a heading that the build has put in front. The first place counts where there are
    several: the same text was retrieved. ``None`` when it is nowhere.
    """
    if not text.strip():
        return None
    several: Iterable[str] = texts if doc is None else [doc] if doc in texts else []
    for name in several:
        start = texts[name].find(text)
        if start >= 0:
            return name, start, start + len(text)
    lines = text.strip().splitlines()
    for skipped in range(min(HEADINGS, len(lines) - 1) + 1):
        wanted, _ = _letters("\n".join(lines[skipped:]))
        for name in several if len(wanted) >= SHORTEST else ():
            there, places = _letters(texts[name])
            at = there.find(wanted)
            if at >= 0:
                return name, places[at], places[at + len(wanted) - 1] + 1
    return None


def _within(piece: str, text: str) -> bool:
    """Whether the text is the piece, but for white space and what stands around it."""
    found = " ".join(piece.split())
    return bool(found) and found in " ".join(text.split())


@functools.lru_cache(maxsize=256)
def _letters(text: str) -> tuple[str, tuple[int, ...]]:
    """The letters and digits of a text in one case, and where each stands in it."""
    kept = [(each, at) for at, whole in enumerate(text) for each in whole.casefold() if each.isalnum()]
    return "".join(each for each, _ in kept), tuple(at for _, at in kept)


@functools.lru_cache(maxsize=64)
def _encoded(document: str, codec: str) -> bytes:
    return document.encode(codec, "surrogatepass")

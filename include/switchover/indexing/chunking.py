"""Ways to cut a document into chunks. Each gives (start, end) offsets; a way's name is the CHUNK_SCHEMA_VER pin.

To cut in your own way, add a function and a line to ``CHUNKINGS``; a change to a function needs a new name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Span = tuple[int, int]

# After a full stop, a blank line, or before a bullet. Every branch begins with one blank, so that a search skips
# all other characters.
SENTENCE_END = re.compile(r"\s(?:(?<=[.!?]\s)(?<![0-9]\.\s)\s*(?=[A-Z\"*(])|(?<=\n)\s*\n|(?<=\n)(?=\s*[*•]\s))")
_WORD = re.compile(r"\w")


def fixed_300(text: str) -> list[Span]:
    """Windows of at most 300 characters that end at white space, one after the other."""
    return _windows(text, 0, len(text), 300)


def sentences_420(text: str) -> list[Span]:
    """Whole sentences up to 420 characters; a short last sentence starts the next chunk too."""
    size, overlap = 420, 120
    units: list[Span] = []
    for start, end in sentences(text):
        if end - start > size:
            units += _windows(text, start, end, size)
        elif _WORD.search(text, start, end):
            units.append((start, end))
    chunks: list[Span] = []
    first = 0
    for at in range(1, len(units) + 1):
        if at < len(units) and units[at][1] - units[first][0] <= size:
            continue
        chunks.append((units[first][0], units[at - 1][1]))
        last = units[at - 1]
        carries = at < len(units) and at - first > 1 and last[1] - last[0] <= overlap
        first = at - 1 if carries and units[at][1] - last[0] <= size else at
    return chunks


CHUNKINGS: dict[str, Callable[[str], list[Span]]] = {
    "fixed-300/1": fixed_300,
    "sentences-420-overlap-120/1": sentences_420,
}


def sentences(text: str) -> list[Span]:
    """Offsets of the text's sentences, without the white space around them."""
    spans = []
    start = 0
    for match in [*SENTENCE_END.finditer(text), None]:
        end = match.start() if match else len(text)
        piece = text[start:end].rstrip()
        if piece:
            spans.append((start + len(piece) - len(piece.lstrip()), start + len(piece)))
        start = match.end() if match else end
    return spans


def _windows(text: str, start: int, end: int, size: int) -> list[Span]:
    """Cut text[start:end] at white space into pieces of at most ``size`` characters; edges are stripped."""
    spans = []
    while start < end:
        stop = min(start + size, end)
        if stop < end:
            space = max(text.rfind(" ", start, stop + 1), text.rfind("\n", start, stop + 1))
            stop = space if space > start else stop
        piece = text[start:stop]
        left = len(piece) - len(piece.lstrip())
        if _WORD.search(piece):
            spans.append((start + left, start + len(piece.rstrip())))
        start = stop if piece.strip() else max(stop, start + 1)
    return spans

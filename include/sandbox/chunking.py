"""Two ways to cut a document into chunks. Each gives (start, end) offsets; a schema's name is its pin."""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox import analyzer

Span = tuple[int, int]


def fixed_300(text: str) -> list[Span]:
    """Windows of at most 300 characters that end at white space, one after the other."""
    return _windows(text, 0, len(text), 300)


def sentences_420(text: str) -> list[Span]:
    """Whole sentences up to 420 characters; a short last sentence starts the next chunk too."""
    size, overlap = 420, 120
    units: list[Span] = []
    for start, end in analyzer.sentences(text):
        units += _windows(text, start, end, size)
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


SCHEMAS: dict[str, Callable[[str], list[Span]]] = {
    "fixed-300/1": fixed_300,
    "sentences-420-overlap-120/1": sentences_420,
}


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
        if re.search(r"\w", piece):
            spans.append((start + left, start + len(piece.rstrip())))
        start = stop if piece.strip() else max(stop, start + 1)
    return spans

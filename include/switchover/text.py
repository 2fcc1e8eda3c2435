"""Words and tables for people."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What is never shown as it is: control characters but tab and line end, marks that turn the direction of a text,
#: halves of a surrogate pair, and what no XML may hold.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def shown(text: str) -> str:
    """Text from outside as people may see it: each character that would act on the screen is a replacement mark.

    Whatever leaves for people goes through here on its way out: pages, charts, files, messages, terminals.
    """
    return UNSEEN.sub("\ufffd", text)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def counted(count: int, noun: str) -> str:
    """``1 question``, ``2 questions``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"

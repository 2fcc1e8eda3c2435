"""Words, tables and numbers for people."""

from __future__ import annotations

import math
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


def first_line(said: object) -> str:
    """The first line of an error or of what a server said: what is wrong, without the client's hints below it.

    An error that says nothing is named by its type.
    """
    lines = str(said).strip().splitlines()
    return lines[0] if lines else type(said).__name__ if isinstance(said, BaseException) else ""


def one_line(said: object, most: int | None = 300) -> str:
    """All that was said, on one line of at most ``most`` characters."""
    return " ".join(str(said).split())[:most]


def finite(value: float | None) -> float | None:
    """A number for JSON; ``None`` for NaN, an infinity and nothing."""
    return float(value) if value is not None and math.isfinite(value) else None


def counted(count: int, noun: str) -> str:
    """``1 question``, ``2 questions``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"

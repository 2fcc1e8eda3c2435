"""The sandbox's corpus: the Python language reference that every interpreter carries.

``pydoc_data.topics`` has 79 topics, 78 of them distinct. The long topics repeat whole sections of the
short ones (``compound`` contains ``while``, ``for``, ``class`` ...), which would give one fact several
addresses and make coverage and citations ambiguous. So every paragraph is kept once, in the shortest
topic that has it.

The text is normalised so that a quote resolves on Python 3.10 to 3.13 alike: wrapped prose lines are
joined, typographic quotes become plain ones, underlines of headings go.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from dataclasses import dataclass
from pydoc_data import topics
from typing import Any

import psycopg

CORPUS_REVISION = 1

_WIDTH = 70  # the column at which the reference's text is wrapped
_REPEAT_MIN = 40  # shorter paragraphs ("For example:") are kept even where they repeat
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-", "\u00a0": " "})
_UNDERLINE = re.compile(r"[*=\-~^\"]{3,}$")
_BULLET = re.compile(r"\s*(?:\*|\d+\.)\s+")


@dataclass(frozen=True, kw_only=True)
class Document:
    """One topic of the reference; offsets everywhere count characters of ``text``."""

    doc: str
    title: str
    text: str


@functools.cache
def documents() -> list[Document]:
    """The topics of the running interpreter in name order, each paragraph once."""
    distinct: dict[str, str] = {}
    for name in sorted(topics.topics, key=lambda topic: (len(topic), topic)):  # "if" before "else"
        distinct.setdefault(normalise(topics.topics[name]), name)
    by_length = sorted(((name, text) for text, name in distinct.items()), key=lambda item: (len(item[1]), item[0]))
    seen: set[str] = set()
    found = []
    for name, text in by_length:
        kept = _unseen(text, seen)
        title = text.split("\n", 1)[0].strip()
        found.append(Document(doc=name, title=title, text=kept))
    return sorted(found, key=lambda document: document.doc)


def normalise(text: str) -> str:
    """Joined prose lines, plain quotes, no heading underlines, at most one blank line in a row."""
    plain = unicodedata.normalize("NFC", text).translate(_PLAIN)
    lines = [line.rstrip() for line in plain.splitlines() if not _UNDERLINE.match(line.strip())]
    joined: list[str] = []
    last = ""  # the source line that ``joined[-1]`` ends with
    for line in lines:
        if joined and _continues(last, line):
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
        last = line
    return re.sub(r"\n{3,}", "\n\n", "\n".join(joined)).strip()


def load(conn: psycopg.Connection[Any]) -> int:
    """Write the corpus into table ``documents`` in the caller's transaction; gives the number of documents.

    A repeat changes nothing. A document whose text differs (another interpreter) is replaced.
    """
    rows = [(d.doc, d.title, d.text, CORPUS_REVISION) for d in documents()]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO documents (doc, title, text, revision) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (doc) DO UPDATE SET title = excluded.title, text = excluded.text, "
            "revision = excluded.revision WHERE documents.text <> excluded.text",
            rows,
        )
    return len(rows)


def _continues(last: str, line: str) -> bool:
    """Whether ``line`` is the rest of a prose line that was wrapped because its first word did not fit."""
    words = line.split()
    if not last.strip() or not words or len(last) + 1 + len(words[0]) <= _WIDTH:
        return False
    if last.lstrip().startswith(("|", "+", ">>>", "...")) or _BULLET.match(line) or "::=" in line:
        return False
    bullet = _BULLET.match(last)
    expected = bullet.end() if bullet else len(last) - len(last.lstrip())
    return len(line) - len(line.lstrip()) == expected


def _unseen(text: str, seen: set[str]) -> str:
    """The paragraphs of ``text`` that no shorter topic had; adds its own to ``seen``.

    A run of repeated paragraphs goes if one of them is long: a heading or "For example:" that happens to
    stand in two topics stays.
    """
    paragraphs = [(" ".join(paragraph.split()), paragraph) for paragraph in text.split("\n\n")]
    kept: list[str] = []
    for repeated, run in itertools.groupby(paragraphs, key=lambda pair: pair[0] in seen):
        members = list(run)
        if not (repeated and any(len(key) >= _REPEAT_MIN for key, _ in members)):
            kept += [paragraph for _, paragraph in members]
    seen.update(key for key, _ in paragraphs)
    return "\n\n".join(kept).strip()

"""Where reference texts stand in the corpus: exactly, else but for case, marks and spaces, else by the best overlap.

The corpus is read once from end to end, and never kept: what is looked for are runs of words of the references.
"""

from __future__ import annotations

import functools
import heapq
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from switchover.gold.corpus.base import Documents

RUN = 4  # words of a run
FLOOR = 0.6  # of a reference's words that a place must hold
CANDIDATES = 5  # documents of a reference that are looked into
LONGEST = 20_000  # words of a reference
#: A word; in scripts without spaces between words, a character is one.
WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")

How = Literal["exact", "normalised", "overlap"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a reference stands, in characters of the document; ``share`` of its words stand there."""

    doc: str
    start: int
    end: int
    how: How
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Nowhere:
    """Why a reference has no place."""

    why: str


@dataclass(frozen=True)
class _Words:
    """The words of a text in one case, and where each begins and ends in it."""

    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str) -> _Words:
        found = list(WORD.finditer(text))
        return cls(
            tuple(_plain(each.group()) for each in found),
            tuple(each.span() for each in found),
        )

    def runs(self, length: int) -> Iterator[tuple[int, int]]:
        """(place of its first word, hash) of each run of words."""
        for at in range(len(self.words) - length + 1):
            yield at, hash(self.words[at : at + length])


def _plain(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()


def place(texts: Sequence[str], documents: Documents) -> list[Place | Nowhere]:
    """The place of each text. One that stands as well in two places has none: coverage could not tell them apart."""
    wanted = [_Words.of(text) for text in texts]
    looked_for: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))  # length -> hash -> texts
    for number, reference in enumerate(wanted):
        if 0 < len(reference.words) <= LONGEST:
            length = min(RUN, len(reference.words))
            for _, run in reference.runs(length):
                looked_for[length][run].append(number)
    best: list[list[tuple[int, str]]] = [[] for _ in texts]  # the candidates of each: runs in common, document
    for doc, text in documents.each():
        for number, common in _in_common(_Words.of(text), looked_for).items():
            heapq.heappush(best[number], (common, doc))
            if len(best[number]) > CANDIDATES:
                heapq.heappop(best[number])
    needed = sorted({doc for candidates in best for _, doc in candidates})
    found = documents.texts(needed) if needed else {}
    places = _Places(found)
    return [
        places.best(text, reference, [doc for _, doc in sorted(candidates, key=lambda each: (-each[0], each[1]))])
        for text, reference, candidates in zip(texts, wanted, best, strict=True)
    ]


def _in_common(document: _Words, looked_for: Mapping[int, Mapping[int, Sequence[int]]]) -> Counter[int]:
    """How many different runs of each text a document holds."""
    common = Counter[int]()
    for length, runs in looked_for.items():
        for run in {run for _, run in document.runs(length)} & runs.keys():
            common.update(set(runs[run]))
    return common


class _Places:
    """Where references stand in some documents, whose words are found once."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._words = functools.lru_cache(maxsize=64)(lambda doc: _Words.of(texts[doc]))

    def best(self, text: str, reference: _Words, candidates: Sequence[str]) -> Place | Nowhere:
        """The one place of a reference among the candidates, the likeliest first."""
        if not reference.words:
            return Nowhere(why="holds no word")
        if len(reference.words) > LONGEST:
            return Nowhere(why=f"has more than {LONGEST} words")
        docs = [doc for doc in candidates if doc in self._texts]
        places = [place for doc in docs for place in self._exact(text, doc)]
        places = places or [place for doc in docs for place in self._normalised(reference, doc)]
        if len(places) > 1:
            first, second = places[0].doc, places[1].doc
            return Nowhere(why=f"stands in {len(places)} places or more, first in {first!r} and {second!r}")
        if places:
            return places[0]
        overlaps = [place for doc in docs if (place := self._overlap(reference, doc)) is not None]
        overlaps.sort(key=lambda each: -each.share)
        if not overlaps:
            return Nowhere(why="stands nowhere in the corpus")
        if overlaps[0].share < FLOOR:
            return Nowhere(why=f"the best place, in {overlaps[0].doc!r}, holds {overlaps[0].share:.0%} of its words")
        return overlaps[0]

    def _exact(self, text: str, doc: str) -> Iterator[Place]:
        document = self._texts[doc]
        start = document.find(text)
        while start >= 0:
            yield Place(doc=doc, start=start, end=start + len(text), how="exact")
            start = document.find(text, start + 1)

    def _normalised(self, reference: _Words, doc: str) -> Iterator[Place]:
        there, length = self._words(doc), len(reference.words)
        for at, word in enumerate(there.words):
            if word == reference.words[0] and there.words[at : at + length] == reference.words:
                yield Place(doc=doc, start=there.spans[at][0], end=there.spans[at + length - 1][1], how="normalised")

    def _overlap(self, reference: _Words, doc: str) -> Place | None:
        """The stretch of a document, at most half as long again as the reference, that holds most of its words."""
        there, length = self._words(doc), min(RUN, len(reference.words))
        runs = dict[int, list[int]]()  # of the reference: hash -> where
        for at, run in reference.runs(length):
            runs.setdefault(run, []).append(at)
        hits = [(at, places) for at, run in there.runs(length) if (places := runs.get(run))]
        widest = len(reference.words) * 3 // 2 + length
        held = Counter[int]()  # words of the reference that the stretch holds, and how often
        best, first = (0, 0, 0), 0
        for at, places in hits:
            held.update(word for start in places for word in range(start, start + length))
            while at + length - hits[first][0] > widest:
                held.subtract(word for start in hits[first][1] for word in range(start, start + length))
                held = +held
                first += 1
            best = max(best, (len(held), -hits[first][0], at + length - 1))
        share, start, end = best[0] / len(reference.words), -best[1], best[2]
        if not hits:
            return None
        return Place(doc=doc, start=there.spans[start][0], end=there.spans[end][1], how="overlap", share=share)

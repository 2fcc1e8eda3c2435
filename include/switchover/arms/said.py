"""What an answer says, held against the gold set: its citation and its text. Numbers only; a row keeps no text.

What cannot be known is ``None``, never a value. A probe that failed is at its worst wherever a good one has a figure.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from switchover.arms.asked import Asked
from switchover.edge.answers import Hit, Reply
from switchover.encoders.base import Encoder
from switchover.gold.goldset import GoldSet
from switchover.judge import measure


@dataclass(frozen=True, kw_only=True)
class Said:
    """Figures of one answer, each 0..1.

    ``cited_right``: 1 where the citation names what answers the question. ``cited_retrieved``: 1 where it names a hit.
    ``uncited``: 1 where an answerable question got no citation. ``answer_f1`` and ``answer_ds``: shared tokens with,
    and ΔS to, the reference answer; of several references the nearest. ``answer_moved``: ΔS between Green's answer and
    Blue's to the same probe; Blue has none.
    """

    cited_right: float | None = None
    cited_retrieved: float | None = None
    uncited: float | None = None
    answer_f1: float | None = None
    answer_ds: float | None = None
    answer_moved: float | None = None


WORST = Said(cited_right=0.0, cited_retrieved=0.0, uncited=1.0, answer_f1=0.0, answer_ds=1.0)


def said(asked: Sequence[Asked], *, gold: GoldSet, encoder: Encoder) -> list[Said]:
    """The figures of each probe, parallel to ``asked``."""
    blue = {_what(probe): probe.reply for probe in asked if probe.arm == "blue"}
    others = [blue.get(_what(probe)) if probe.arm == "green" else None for probe in asked]
    references = [_references(gold, probe) for probe in asked]
    near = _Nearness(encoder)
    for probe, other, wanted in zip(asked, others, references, strict=True):
        near.will_ask(probe.reply.text, [*wanted, *([other.text] if other is not None and other.text else [])])
    near.encode()
    return [
        _said(probe, other, wanted, gold, near) for probe, other, wanted in zip(asked, others, references, strict=True)
    ]


def _what(probe: Asked) -> tuple[int, int, int]:
    return probe.question, probe.paraphrase, probe.seed


def _references(gold: GoldSet, probe: Asked) -> list[str]:
    """The reference answers that an answer is held against: none where there is no answer."""
    if not probe.reply.ok or probe.reply.text is None:
        return []
    return [answer.text for answer in gold.items[probe.question].answers if answer.text]


def _said(probe: Asked, other: Reply | None, wanted: Sequence[str], gold: GoldSet, near: _Nearness) -> Said:
    reply, item = probe.reply, gold.items[probe.question]
    if not reply.ok:
        return WORST if item.answerable else Said()
    cites = item.answerable and reply.cites
    return Said(
        cited_right=_right(reply, gold, probe.question) if cites else None,
        cited_retrieved=_retrieved(reply),
        uncited=float(reply.cited is None) if cites else None,
        answer_f1=max((near.f1(reply.text or "", each) for each in wanted), default=None),
        answer_ds=min((near.ds(reply.text or "", each) for each in wanted), default=None),
        answer_moved=None if other is None or not other.ok else _moved(reply.text, other.text, near),
    )


def names(hit: Hit, cited: str) -> bool:
    """Whether a citation names this hit: by its section, its document, its id or its address."""
    return cited in (hit.section, hit.doc, hit.id, hit.url)


def f1(said: Counter[str], wanted: Counter[str]) -> float:
    """Harmonic mean of precision and recall of the tokens, each counted as often as it stands; 0 without any."""
    common = (said & wanted).total()
    return 2 * common / (said.total() + wanted.total()) if common else 0.0


def _right(reply: Reply, gold: GoldSet, question: int) -> float | None:
    """Whether the citation is right; ``None`` where the gold set names no place, document or id."""
    spans = gold.spans[question]
    documents = {span.doc for span in spans} | set(gold.relevant[question] if gold.relevant else ())
    if not documents:
        return None
    if reply.cited is None:
        return 0.0
    named = [hit for hit in reply.hits if names(hit, reply.cited)]
    placed = [(hit.doc, hit.start, hit.end) for hit in named if hit.start is not None and hit.end is not None]
    if spans and placed:
        return float(any(d == s.doc and a < s.end and s.start < b for d, a, b in placed for s in spans))
    return float(reply.cited in documents or any({hit.doc, hit.id} & documents for hit in named))


def _retrieved(reply: Reply) -> float | None:
    if not reply.cites or reply.cited is None:
        return None
    return float(any(names(hit, reply.cited) for hit in reply.hits))


def _moved(green: str | None, blue: str | None, near: _Nearness) -> float | None:
    return None if green is None or blue is None else near.ds(green, blue)


class _Nearness:
    """How near texts are: their vectors are made at once, and each text's tokens once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._texts: dict[str, int] = {}
        self._vectors: Any = None
        self._words = functools.cache(self._words_of)

    def will_ask(self, text: str | None, others: Sequence[str]) -> None:
        """Say which texts will be held against one another."""
        different = [other for other in others if text is not None and other != text]
        for each in [text or "", *different] if different else ():
            self._texts.setdefault(each, len(self._texts))

    def encode(self) -> None:
        """Make the vectors."""
        self._vectors = self._encoder.encode(list(self._texts)) if self._texts else None

    def ds(self, a: str, b: str) -> float:
        """ΔS of two texts; 1 where one is empty."""
        if a == b:
            return 0.0
        if not (a and b):
            return 1.0
        left, right = self._vectors[self._texts[a]], self._vectors[self._texts[b]]
        return float(measure.delta_s(left[None], right)[0])

    def f1(self, a: str, b: str) -> float:
        """Shared tokens of two texts."""
        return f1(self._words(a), self._words(b))

    def _words_of(self, text: str) -> Counter[str]:
        """The encoder's tokens of the text in one case, without those that hold no letter or digit."""
        text = text.casefold()
        pieces = (text[start:end] for start, end in self._encoder.tokens(text))
        return Counter(piece for piece in pieces if any(character.isalnum() for character in piece))

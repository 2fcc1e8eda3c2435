"""Where an answer stands: quotes and offsets held against the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from switchover.errors import GoldError
from switchover.gold.item import Answer, Item

PLACES = 5  # of a quote that stands more than once: how many are named
Corpus = Mapping[str, str]  # document id -> text


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a source document in character offsets."""

    doc: str
    start: int
    end: int


def resolve_all(item: Item, texts: Corpus) -> list[Span]:
    """The place of each answer that is one; ``GoldError`` names the first that has none."""
    numbered = enumerate(item.answers, start=1)
    return [_resolve(f"answer {n}", answer.doc, answer, texts) for n, answer in numbered if answer.doc is not None]


def _resolve(what: str, doc: str, answer: Answer, texts: Corpus) -> Span:
    text = texts.get(doc)
    if text is None:
        raise GoldError(f"{what}: document {doc!r} is not in the corpus")
    if answer.quote is None:
        start, end = answer.start or 0, answer.end or 0
        if end > len(text):
            raise GoldError(f"{what}: span {start}..{end} is out of range: {doc!r} has {len(text)} characters")
        if not text[start:end].strip():
            raise GoldError(f"{what}: span {start}..{end} of {doc!r} holds no text")
        return Span(doc=doc, start=start, end=end)
    places = _places(answer.quote, text)
    quote = f"quote of {len(answer.quote)} characters"
    if not places:
        raise GoldError(f"{what}: {quote} does not stand in {doc!r}")
    if len(places) > 1:
        told = ", ".join(map(str, places[:PLACES])) + (", ..." if len(places) > PLACES else "")
        raise GoldError(
            f"{what}: {quote} stands more than once in {doc!r}, from character {told}; allowed: once."
            " Make it longer, or give start and end"
        )
    return Span(doc=doc, start=places[0], end=places[0] + len(answer.quote))


def _places(quote: str, text: str) -> list[int]:
    """Where a quote begins in a text, overlapping places too; no more than one above ``PLACES``."""
    found: list[int] = []
    start = text.find(quote)
    while start >= 0 and len(found) <= PLACES:
        found.append(start)
        start = text.find(quote, start + 1)
    return found

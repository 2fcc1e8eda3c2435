"""The gold set: questions, paraphrases and the source spans that answer them (SPEC section 5).

A quote is resolved to offsets against the corpus when the set is loaded. One that no longer resolves is
invalid: it is named and left out, and fewer valid items than the plan's minimum fail the run.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from switchover.encoders.base import Encoder
from switchover.errors import GoldError
from switchover.gold.jsonl import kind_of, lines_of, plain, plain_id, read_all, read_object, storable

PLACES = 5  # of a quote that stands more than once: how many are named
Storable = Annotated[str, AfterValidator(storable)]
Text = Annotated[str, AfterValidator(plain)]
Id = Annotated[str, Field(max_length=1000), AfterValidator(plain_id)]
Ints = npt.NDArray[np.int64]
Corpus = Mapping[str, str]  # document id -> text


class Answer(BaseModel):
    """Where an answer stands: a quote, or offsets, in one document."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    doc: Id
    quote: Text | None = None
    start: int | None = Field(None, ge=0)
    end: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_form(self) -> Answer:
        offsets = (self.start is not None) + (self.end is not None)
        if (self.quote is None) == (offsets == 0) or offsets == 1:
            raise ValueError("give either quote, or start and end")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} is not after start {self.start}")
        return self


class Item(BaseModel):
    """One line of a gold set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[Id, Field(max_length=200)]
    question: Text
    paraphrases: Annotated[list[Text], Field(min_length=3, max_length=3)]
    answers: list[Answer] = Field(default_factory=list)
    decoys: list[Id] = Field(default_factory=list)
    answerable: bool = True
    tags: dict[Storable, Storable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _answers_fit(self) -> Item:
        if self.answerable and not self.answers:
            raise ValueError("an answerable item needs at least one answer")
        if len({_as_read(text) for text in self.paraphrases}) < 3:
            raise ValueError("the three paraphrases must differ, by more than white space and case")
        return self


@dataclass(frozen=True, kw_only=True)
class Span:
    """A piece of a source document in character offsets."""

    doc: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class GoldSet:
    """A loaded gold set. ``spans`` and ``anchors`` run parallel to ``items``.

    ``texts`` are the documents that the answers name. The ``token_*`` arrays hold one entry for each token of the gold
    spans: the question's position, the document's position in ``docs``, and its character offsets.
    """

    digest: str
    items: Sequence[Item]
    invalid: Mapping[str, str]
    spans: Sequence[Sequence[Span]]
    anchors: Sequence[str]
    docs: Sequence[str]
    token_question: Ints
    token_doc: Ints
    token_start: Ints
    token_end: Ints
    texts: Corpus = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Ids of the valid items, in file order."""
        return [item.id for item in self.items]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a gold set holds, and everything that is wrong with it.

    ``items`` are those that can be read, each with its line; ``problems`` are in line order, each one line
    that begins with file and line.
    """

    items: Sequence[tuple[int, Item]]
    problems: Sequence[str]
    digest: str


def read_items(path: Path) -> tuple[list[Item], str]:
    """Items and the SHA-256 of the file. ``GoldError`` names file and line of the first problem."""
    found = check_gold(path)
    if found.problems:
        more = len(found.problems) - 1
        raise GoldError(f"{found.problems[0]}{f' (and {more} more: `switchover gold check`)' if more else ''}")
    return [item for _, item in found.items], found.digest


def check_gold(path: Path, *, corpus: Callable[[Sequence[str]], Corpus] | None = None, minimum: int = 0) -> Checked:
    """Everything that is wrong with a gold set, not only the first thing.

    With ``corpus``, quotes and offsets are resolved too. ``GoldError`` when the file is no text at all.
    """
    raw = read_all(path)
    items: dict[str, tuple[int, Item]] = {}
    problems: dict[int, str] = {}  # the first of each line
    for number, line in lines_of(path, raw):
        where = f"{path}:{number}"
        try:
            item = item_of(where, read_object(where, line))
            if item.id in items:
                raise GoldError(f"{where}: id {item.id!r} is given twice; first on line {items[item.id][0]}")
            items[item.id] = (number, item)
        except GoldError as error:
            problems[number] = str(error)
    if corpus is not None and items:
        texts = corpus(sorted({answer.doc for _, item in items.values() for answer in item.answers}))
        for number, item in items.values():
            try:
                _resolve_all(item, texts)
            except GoldError as error:
                problems[number] = f"{path}:{number}: {item.id}: {error}"
    lines = [problems[number] for number in sorted(problems)]
    valid = sum(number not in problems for number, _ in items.values())
    if not items and not problems:
        lines.append(f"{path}: no items; a gold set is one JSON object a line")
    elif valid < minimum:
        lines.append(f"{path}: {valid} valid questions; allowed: at least {minimum}")
    return Checked(items=tuple(items.values()), problems=lines, digest=hashlib.sha256(raw).hexdigest())


def item_of(where: str, body: Mapping[str, Any]) -> Item:
    """One item; ``GoldError`` names ``where``, the key and what was found."""
    try:
        return Item.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        key = ascii(".".join(str(step) for step in first["loc"]))[1:-1][:80]
        raise GoldError(
            f"{where}: {key or 'item'}: {first['msg'].removeprefix('Value error, ')}; found {kind_of(first['input'])}"
        ) from None


def load_gold(path: Path, *, corpus: Callable[[Sequence[str]], Corpus], encoder: Encoder, minimum: int = 20) -> GoldSet:
    """Read a gold set and resolve it against the corpus.

    ``corpus`` is asked once for the documents that the answers name. Items whose answer does not resolve
    are left out and named in ``invalid``; ``GoldError`` when fewer than ``minimum`` are left.
    """
    items, digest = read_items(path)
    texts = corpus(sorted({answer.doc for item in items for answer in item.answers}))
    valid: list[Item] = []
    spans: list[list[Span]] = []
    invalid: dict[str, str] = {}
    for item in items:
        try:
            resolved = _resolve_all(item, texts)
        except GoldError as error:
            invalid[item.id] = str(error)
        else:
            valid.append(item)
            spans.append(resolved)
    if len(valid) < minimum:
        example = next(iter(invalid.items()), None)
        why = f"; for example {example[0]}: {example[1]}" if example else ""
        raise GoldError(
            f"{path}: {len(valid)} valid questions, at least {minimum} are needed; {len(invalid)} invalid{why}"
        )
    docs = sorted({span.doc for found in spans for span in found})
    tokens = _tokens(spans, texts, docs, encoder)
    return GoldSet(
        digest=digest,
        items=valid,
        invalid=invalid,
        spans=spans,
        anchors=["\n".join(texts[s.doc][s.start : s.end] for s in found) for found in spans],
        docs=docs,
        token_question=tokens[:, 0],
        token_doc=tokens[:, 1],
        token_start=tokens[:, 2],
        token_end=tokens[:, 3],
        texts={doc: texts[doc] for doc in docs},
    )


def _as_read(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _resolve_all(item: Item, texts: Corpus) -> list[Span]:
    return [_resolve(f"answer {number}", answer, texts) for number, answer in enumerate(item.answers, start=1)]


def _resolve(what: str, answer: Answer, texts: Corpus) -> Span:
    text = texts.get(answer.doc)
    if text is None:
        raise GoldError(f"{what}: document {answer.doc!r} is not in the corpus")
    if answer.quote is None:
        start, end = answer.start or 0, answer.end or 0
        if end > len(text):
            raise GoldError(f"{what}: span {start}..{end} is out of range: {answer.doc!r} has {len(text)} characters")
        if not text[start:end].strip():
            raise GoldError(f"{what}: span {start}..{end} of {answer.doc!r} holds no text")
        return Span(doc=answer.doc, start=start, end=end)
    places = _places(answer.quote, text)
    quote = f"quote of {len(answer.quote)} characters"
    if not places:
        raise GoldError(f"{what}: {quote} does not stand in {answer.doc!r}")
    if len(places) > 1:
        told = ", ".join(map(str, places[:PLACES])) + (", ..." if len(places) > PLACES else "")
        raise GoldError(
            f"{what}: {quote} stands more than once in {answer.doc!r}, from character {told}; allowed: once."
            " Make it longer, or give start and end"
        )
    return Span(doc=answer.doc, start=places[0], end=places[0] + len(answer.quote))


def _places(quote: str, text: str) -> list[int]:
    """Where a quote begins in a text, overlapping places too; no more than one above ``PLACES``."""
    found: list[int] = []
    start = text.find(quote)
    while start >= 0 and len(found) <= PLACES:
        found.append(start)
        start = text.find(quote, start + 1)
    return found


def _tokens(spans: Sequence[Sequence[Span]], texts: Corpus, docs: Sequence[str], encoder: Encoder) -> Ints:
    """One row (question, document, start, end) a token; spans of one question that overlap count once."""
    rows: set[tuple[int, int, int, int]] = set()
    position = {doc: index for index, doc in enumerate(docs)}
    for question, found in enumerate(spans):
        for span in found:
            piece = texts[span.doc][span.start : span.end]
            for start, end in encoder.tokens(piece):
                rows.add((question, position[span.doc], span.start + start, span.start + end))
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)


def gold_json(gold: GoldSet) -> dict[str, Any]:
    """What is recorded of a gold set with every verdict."""
    return {"digest": gold.digest, "valid": len(gold.items), "invalid": dict(gold.invalid)}

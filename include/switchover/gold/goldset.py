"""The gold set: questions, paraphrases and what answers them (SPEC section 5), loaded and held against the corpus.

A quote is resolved to offsets when the set is loaded. One that no longer resolves is invalid: it is named and left
out, and fewer valid items than the plan's minimum fail the run. Coverage is measured by one grade for the whole set:
the best one that every item allows.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from switchover.encoders.base import Encoder
from switchover.errors import GoldError
from switchover.gold.exchange import read_paraphrases
from switchover.gold.formats import DEFAULT, GoldFormat
from switchover.gold.item import MOST_PARAPHRASES, Grade, Item, grade_of, item_of
from switchover.gold.jsonl import read_all
from switchover.gold.resolve import Corpus as Corpus
from switchover.gold.resolve import Span as Span
from switchover.gold.resolve import resolve_all
from switchover.gold.spec import Judged

LONGEST_ANCHOR = 20_000  # characters of the documents that are judged whole
MOST_DECOYS = 3  # of a question that are read
Ints = npt.NDArray[np.int64]
Texts = Callable[[Sequence[str]], Corpus]  # document ids -> the texts of those that exist


@dataclass(frozen=True, kw_only=True)
class GoldSet:
    """A loaded gold set. ``spans``, ``anchors``, ``decoys`` and ``relevant`` run parallel to ``items``.

    ``anchors`` are the texts that answer, empty where none is known. ``decoys`` are texts that look like it and do not:
    of each decoy that the corpus holds its beginning, as long as the anchor. ``relevant`` is id -> grade of the
    documents or chunks that answer, empty unless the ``grade`` is by id. ``texts`` are the documents that the answers
    name. The ``token_*`` arrays hold one entry for each token of the gold spans, none unless the grade is by span: the
    question's position, the document's position in ``docs``, and its character offsets.
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
    grade: Grade = Grade.SPAN
    judged: Judged = "documents"
    relevant: Sequence[Mapping[str, int]] = ()
    decoys: Sequence[Sequence[str]] = ()

    @property
    def ids(self) -> list[str]:
        """Ids of the valid items, in file order."""
        return [item.id for item in self.items]

    def wordings(self, item: Item) -> list[str]:
        """The texts in which a question is asked: its paraphrases, and beside fewer than three the question itself."""
        few = self.paraphrases
        return [*item.paraphrases[:few], item.question] if few < MOST_PARAPHRASES else item.paraphrases

    @property
    def asked(self) -> int:
        """In how many wordings each question is asked."""
        return min(self.paraphrases + 1, MOST_PARAPHRASES)

    @functools.cached_property
    def paraphrases(self) -> int:
        """How many paraphrases of each question are asked: as many as every question has."""
        return min((len(item.paraphrases) for item in self.items), default=MOST_PARAPHRASES)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a gold set holds, and everything that is wrong with it.

    ``items`` are those that can be read, each with the place where it stands; ``problems`` are in the order of the
    file, each one line that begins with its place.
    """

    items: Sequence[tuple[str, Item]]
    problems: Sequence[str]
    digest: str
    grade: Grade | None = None

    def require(self) -> None:
        """``GoldError`` with the first problem, if there is one."""
        if self.problems:
            more = len(self.problems) - 1
            raise GoldError(f"{self.problems[0]}{f' (and {more} more: `switchover gold check`)' if more else ''}")


def check_gold(
    path: Path,
    *,
    corpus: Texts | None = None,
    minimum: int = 0,
    format: GoldFormat | None = None,
    paraphrases: Path | None = None,
    grade: Grade | None = None,
) -> Checked:
    """Everything that is wrong with a gold set, not only the first thing.

    With ``corpus``, quotes and offsets are resolved too. ``GoldError`` when the file is no text at all.
    """
    format = format or DEFAULT()
    given = read_paraphrases(paraphrases) if paraphrases else {}
    items: dict[str, tuple[str, Item]] = {}
    problems: dict[str, str] = {}  # by place, the first of each
    order: list[str] = []
    for where, raw in format.read(path):
        order.append(where)
        try:
            if isinstance(raw, GoldError):
                raise raw
            item = item_of(where, {**raw, **given.get(str(raw.get("id")), {})})
            if item.id in items:
                raise GoldError(f"{where}: id {item.id!r} is given twice; first {_on(items[item.id][0])}")
            items[item.id] = (where, item)
        except GoldError as error:
            problems[where] = str(error)
    if corpus is not None and items:
        texts = corpus(sorted({doc for _, item in items.values() for doc in item.docs}))
        for where, item in items.values():
            try:
                resolve_all(item, texts)
            except GoldError as error:
                problems[where] = f"{where}: {item.id}: {error}"
    lines = [problems[where] for where in order if where in problems]
    found: Grade | None = None
    try:
        found = grade_of((item for _, item in items.values()), grade)
    except GoldError as error:
        lines.append(f"{path}: {error}")
    valid = sum(where not in problems for where, _ in items.values())
    if not items and not problems:
        lines.append(f"{path}: no items; a gold set is one JSON object a line")
    elif valid < minimum:
        lines.append(f"{path}: {valid} valid questions; allowed: at least {minimum}")
    digest = _digest([*format.files(path), *([paraphrases] if paraphrases else [])])
    return Checked(items=tuple(items.values()), problems=lines, digest=digest, grade=found)


def _on(where: str) -> str:
    line = where.rpartition(":")[2]
    return f"on line {line}" if line.isdigit() else f"at {line.strip()}"


def _digest(files: Sequence[Path]) -> str:
    """SHA-256 of a file; of several, of their digests."""
    each = [hashlib.sha256(read_all(file)).hexdigest() for file in files]
    return each[0] if len(each) == 1 else hashlib.sha256("\n".join(each).encode()).hexdigest()


def read_items(path: Path) -> tuple[list[Item], str]:
    """Items and the digest of a gold set of our own form. ``GoldError`` names the first problem."""
    found = check_gold(path)
    found.require()
    return [item for _, item in found.items], found.digest


def load_gold(
    path: Path,
    *,
    corpus: Texts | None,
    encoder: Encoder,
    minimum: int = 20,
    format: GoldFormat | None = None,
    paraphrases: Path | None = None,
    grade: Grade | None = None,
    judged: Judged = "documents",
) -> GoldSet:
    """Read a gold set and hold it against the corpus.

    ``corpus`` is asked once for the documents that the answers name; ``None``: there is none, and no answer may be a
    place. Items whose answer does not resolve are left out and named in ``invalid``; ``GoldError`` when fewer than
    ``minimum`` are left. ``grade``: another than the best. ``judged``: what ids of answers name.
    """
    found = check_gold(path, format=format, paraphrases=paraphrases, grade=grade)
    found.require()
    items = [item for _, item in found.items]
    suite = found.grade or Grade.SPAN
    places = sorted({doc for item in items for doc in item.docs})
    if places and corpus is None:
        raise GoldError(f"{path}: answers stand in documents, and the plan names no gold.corpus; add it")
    whole = sorted({id for item in items for id in _ids(item)}) if judged == "documents" and suite is Grade.ID else []
    decoys = {doc for item in items for doc in _decoys(item)}
    texts = corpus(sorted({*places, *whole, *decoys})) if corpus is not None else {}
    resolved = _resolved(items, texts, whole=corpus is not None and bool(whole))
    resolved.require(path, minimum)
    valid, spans = resolved.valid, resolved.spans
    docs = sorted({span.doc for each in spans for span in each})
    anchors = [_anchor(item, each, texts) for item, each in zip(valid, spans, strict=True)]
    tokens = _tokens(spans if suite is Grade.SPAN else [], texts, docs, encoder)
    return GoldSet(
        digest=found.digest,
        items=valid,
        invalid=resolved.invalid,
        spans=spans,
        anchors=anchors,
        docs=docs,
        token_question=tokens[:, 0],
        token_doc=tokens[:, 1],
        token_start=tokens[:, 2],
        token_end=tokens[:, 3],
        texts={doc: texts[doc] for doc in docs},
        grade=suite,
        judged=judged,
        relevant=[_relevant(item) if suite is Grade.ID else {} for item in valid],
        decoys=[_beginnings(item, anchor, texts) for item, anchor in zip(valid, anchors, strict=True)],
    )


@dataclass(frozen=True, kw_only=True)
class _Resolved:
    """Items whose answers are there, the spans of each, and why the others are left out."""

    valid: list[Item]
    spans: list[list[Span]]
    invalid: dict[str, str]

    def require(self, path: Path, minimum: int) -> None:
        """``GoldError`` when fewer than ``minimum`` items are left."""
        if len(self.valid) >= minimum:
            return
        why = "".join(f"; for example {id}: {error}" for id, error in list(self.invalid.items())[:1])
        left = f"{len(self.valid)} valid questions, at least {minimum} are needed"
        raise GoldError(f"{path}: {left}; {len(self.invalid)} invalid{why}")


def _resolved(items: Sequence[Item], texts: Corpus, *, whole: bool) -> _Resolved:
    """``whole``: the documents that ids name must be in the corpus too."""
    found = _Resolved(valid=[], spans=[], invalid={})
    for item in items:
        try:
            spans = resolve_all(item, texts)
            if whole:
                _all_there(item, texts)
        except GoldError as error:
            found.invalid[item.id] = str(error)
        else:
            found.valid.append(item)
            found.spans.append(spans)
    return found


def _ids(item: Item) -> list[str]:
    return [answer.id for answer in item.answers if answer.id is not None]


def _all_there(item: Item, texts: Corpus) -> None:
    gone = next((id for id in _ids(item) if id not in texts), None)
    if gone is not None:
        raise GoldError(f"document {gone!r} is not in the corpus")


def _relevant(item: Item) -> dict[str, int]:
    """Id -> grade; a place makes its document relevant."""
    return dict.fromkeys(item.docs, 1) | {a.id: a.grade or 1 for a in item.answers if a.id is not None}


def _anchor(item: Item, spans: Sequence[Span], texts: Corpus) -> str:
    """The text that answers, as far as it is known."""
    parts = [texts[span.doc][span.start : span.end] for span in spans]
    parts += [answer.text for answer in item.answers if answer.text is not None]
    parts += [texts[id] for id in _ids(item) if id in texts]
    return "\n".join(parts) if spans else "\n".join(parts)[:LONGEST_ANCHOR]


def _decoys(item: Item) -> list[str]:
    """The first decoys that are no answer as well."""
    return list(dict.fromkeys(doc for doc in item.decoys if doc not in {*item.docs, *_ids(item)}))[:MOST_DECOYS]


def _beginnings(item: Item, anchor: str, texts: Corpus) -> list[str]:
    """The decoys' texts; as long as the answer, because ΔS depends on how long a text is."""
    found = (texts.get(doc, "")[: len(anchor)] for doc in _decoys(item))
    return [text for text in found if text.strip()]


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
    return {
        "digest": gold.digest,
        "valid": len(gold.items),
        "invalid": dict(gold.invalid),
        "grade": gold.grade.value,
        "paraphrases": gold.paraphrases,
    }

"""Brings a gold set in from another tool's file: items of our own form, with reference texts placed in the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from switchover.errors import GoldError
from switchover.gold.corpus.base import Documents
from switchover.gold.formats import GoldFormat
from switchover.gold.goldset import check_gold
from switchover.gold.item import Answer, Grade, Item, grade_of
from switchover.gold.place import Nowhere, Place, place


@dataclass(frozen=True, kw_only=True)
class Brought:
    """Items that were brought in; those whose reference text has no place in the corpus are left out and named.

    ``how``: reference texts by the way in which they were placed. ``left_out``: item id -> why.
    """

    items: Sequence[Item]
    grade: Grade
    how: Mapping[str, int]
    left_out: Mapping[str, str]


def bring(
    path: Path, *, format: GoldFormat, documents: Documents | None = None, paraphrases: Path | None = None
) -> Brought:
    """Read a file of another tool. Without ``documents`` reference texts stay what they are.

    ``GoldError`` for a record that cannot be read, for a judged document that the corpus lacks while it has others,
    and when nothing is left. Ids of which the corpus has none are ids of chunks.
    """
    found = check_gold(path, format=format, paraphrases=paraphrases)
    found.require()
    items = [item for _, item in found.items]
    if documents is None:
        return Brought(items=items, grade=grade_of(items), how={}, left_out={})
    _all_there(path, items, documents)
    texts = list(dict.fromkeys(answer.text for item in items for answer in item.answers if answer.text is not None))
    places = dict(zip(texts, place(texts, documents), strict=True))
    kept, left_out = list[Item](), dict[str, str]()
    for item in items:
        why = next((at.why for answer in item.answers if isinstance(at := places.get(answer.text or ""), Nowhere)), "")
        if why:
            left_out[item.id] = f"its reference text {why}"
        else:
            kept.append(item.model_copy(update={"answers": [_placed(answer, places) for answer in item.answers]}))
    if not kept:
        first = next(iter(left_out.items()))
        raise GoldError(f"{path}: no reference text has a place in the corpus; for example {first[0]!r}: {first[1]}")
    return Brought(
        items=kept,
        grade=grade_of(kept),
        how=Counter(at.how for at in places.values() if isinstance(at, Place)),
        left_out=left_out,
    )


def _placed(answer: Answer, places: Mapping[str, Place | Nowhere]) -> Answer:
    at = places.get(answer.text) if answer.text is not None else None
    return Answer(doc=at.doc, start=at.start, end=at.end) if isinstance(at, Place) else answer


def _all_there(path: Path, items: Sequence[Item], documents: Documents) -> None:
    judged = {answer.id: item.id for item in items for answer in item.answers if answer.id is not None}
    there = documents.texts(sorted(judged)) if judged else {}
    gone = next((id for id in judged if not there.get(id)), None)
    if gone is not None:
        raise GoldError(
            f"{path}: {judged[gone]}: document {gone!r} is judged relevant, but is not in the corpus or empty"
        )

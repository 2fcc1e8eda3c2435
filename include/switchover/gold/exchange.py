"""Gold sets from the layouts that other tools write: BEIR (queries.jsonl, qrels, corpus.jsonl) and TREC.

Both judge whole documents and put a question once; a gold item has spans and three paraphrases. What a
layout has no place for is asked for, never made up: docs/exchange.md. The way out is in ``export``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchover.errors import GoldError
from switchover.gold.goldset import Item, item_of
from switchover.gold.jsonl import MAX_DOCUMENT, kind_of, read_lines, read_object

BEIR_HEAD = "query-id\tcorpus-id\tscore"
SCORE = re.compile(r"[+-]?[0-9]{1,9}")
OURS = "switchover"  # the key of our own values in a query's free-form `metadata`

Lengths = Callable[[Sequence[str]], Mapping[str, int]]  # document ids -> characters of those that exist


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query and where it stands. ``extra`` is what an export of ours has kept in its metadata."""

    where: str
    id: str
    text: str
    extra: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """How relevant one document is to one query, and where that stands."""

    where: str
    doc: str
    score: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A gold set from outside, and what was left out of it. ``characters`` is the length of each answer."""

    items: Sequence[Item]
    characters: Sequence[int]
    without_judgment: int
    without_relevant: int
    other_judgments: int


def read_queries(path: Path) -> Iterator[Query]:
    """Queries of ``queries.jsonl`` (``_id`` or ``id``, ``text``) or of TREC topics (id, tab, text).

    Which of both a file is, its first line says. ``GoldError`` names file and line.
    """
    seen: dict[str, int] = {}
    is_json: bool | None = None
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        is_json = line.lstrip().startswith("{") if is_json is None else is_json
        query = _json_query(where, line) if is_json else _topic(where, line)
        if query.id in seen:
            raise GoldError(f"{where}: query {query.id!r} is given twice; first on line {seen[query.id]}")
        seen[query.id] = number
        yield query


def _json_query(where: str, line: str) -> Query:
    body = read_object(where, line)
    metadata = body.get("metadata")
    extra = metadata.get(OURS) if isinstance(metadata, dict) else None
    return Query(
        where=where, id=_id(where, body), text=_text(where, body), extra=extra if isinstance(extra, dict) else {}
    )


def _topic(where: str, line: str) -> Query:
    id, *rest = line.split("\t")
    if len(rest) != 1 or not id.strip() or not rest[0].strip():
        raise GoldError(f"{where}: not a query; allowed: JSON with _id and text, or id<TAB>text")
    return Query(where=where, id=id.strip(), text=rest[0].strip(), extra={})


def read_judgments(path: Path) -> dict[str, dict[str, Judgment]]:
    """Query id -> document id -> judgment, of BEIR or TREC qrels; which of both, the first line says.

    BEIR: the header ``query-id corpus-id score``, then three columns with tabs between. TREC: query,
    iteration, document, relevance, with white space between. ``GoldError`` names file and line.
    """
    found: dict[str, dict[str, Judgment]] = {}
    beir: bool | None = None
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        if beir is None:
            beir = line == BEIR_HEAD
            if beir:
                continue
            if len(line.split("\t")) == 3 or len(line.split()) == 3:
                raise GoldError(f"{where}: three columns and no header; allowed: {BEIR_HEAD!r} as the first line")
        columns = line.split("\t") if beir else line.split()
        if len(columns) != (3 if beir else 4):
            form = "query, document, score with tabs between" if beir else "query, iteration, document, relevance"
            raise GoldError(f"{where}: {len(columns)} columns; allowed: {form}")
        query, doc, score = columns[0], columns[-2], columns[-1]
        if not query.strip() or not doc.strip():
            raise GoldError(f"{where}: an id is empty; allowed: a query and a document")
        of_query = found.setdefault(query, {})
        if doc in of_query:
            first = of_query[doc].where.rpartition(":")[2]
            raise GoldError(f"{where}: document {doc!r} is judged twice for query {query!r}; first on line {first}")
        of_query[doc] = Judgment(where=where, doc=doc, score=_whole(where, score))
    return found


def read_paraphrases(path: Path) -> dict[str, list[str]]:
    """Query id -> its three paraphrases, from JSON lines with ``_id`` or ``id`` and ``paraphrases``."""
    found: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        body = read_object(where, line)
        id, texts = _id(where, body), body.get("paraphrases")
        if id in found:
            raise GoldError(f"{where}: {id!r} is given twice")
        if (
            not isinstance(texts, list)
            or not all(isinstance(text, str) and text.strip() for text in texts)
            or not len(texts) == len(set(texts)) == 3
        ):
            raise GoldError(f"{where}: paraphrases: found {kind_of(texts)}; allowed: three texts that differ")
        found[id] = texts
    return found


def corpus_lengths(path: Path) -> Lengths:
    """Characters of documents in a ``corpus.jsonl``; only ``text`` counts. Read line by line, once a call."""

    def lengths(docs: Sequence[str]) -> dict[str, int]:
        wanted, found = set(docs), dict[str, int]()
        for number, line in read_lines(path, widest=MAX_DOCUMENT):
            where = f"{path}:{number}"
            body = read_object(where, line)
            doc = _id(where, body)
            if doc not in wanted:
                continue
            if doc in found:
                raise GoldError(f"{where}: document {doc!r} is given twice")
            found[doc] = len(_text(where, body))
        return found

    return lengths


def import_gold(
    queries: Path, qrels: Path, *, lengths: Lengths, paraphrases: Path | None = None, relevant_from: int = 1
) -> Imported:
    """A gold set from queries and judgments.

    A document judged ``relevant_from`` or higher becomes an answer that spans it whole, one judged lower a
    decoy. Queries that nobody judged, or without a relevant document, are left out and counted, as are
    judgments of queries that are not in ``queries``. A query that stays and has no paraphrases is a
    ``GoldError`` with its file and line; so is a relevant document that ``lengths`` does not know.
    """
    judged = read_judgments(qrels)
    given = read_paraphrases(paraphrases) if paraphrases else {}
    kept: list[tuple[Query, list[Judgment]]] = []
    known: set[str] = set()
    lacking: list[Query] = []
    left = {"without_judgment": 0, "without_relevant": 0}
    for query in read_queries(queries):
        known.add(query.id)
        relevant = [j for j in judged.get(query.id, {}).values() if j.score >= relevant_from]
        if not relevant and query.extra.get("answerable", True) is not False:
            left["without_relevant" if query.id in judged else "without_judgment"] += 1
            continue
        if relevant and query.extra.get("answerable") is False:
            raise GoldError(f"{query.where}: answerable is false, yet {relevant[0].where} judges a document relevant")
        kept.append((query, relevant))
        if query.id not in given and "paraphrases" not in query.extra:
            lacking.append(query)
    if not kept:
        raise GoldError(f"{queries}: no query of it has a document judged {relevant_from} or higher in {qrels}")
    if lacking:
        first, more = lacking[0], len(lacking) - 1
        raise GoldError(
            f"{first.where}: query {first.id!r} has no paraphrases{f', nor have {more} more' if more else ''}; "
            "three each are needed: --paraphrases FILE"
        )
    docs = {judgment.doc: judgment for _, relevant in kept for judgment in relevant}
    sizes = lengths(sorted(docs))
    gone = next((judgment for doc, judgment in docs.items() if not sizes.get(doc)), None)
    if gone is not None:
        raise GoldError(f"{gone.where}: document {gone.doc!r} is judged relevant, but is not in the corpus or empty")
    items = []
    for query, relevant in kept:
        body = {
            "id": query.id,
            "question": query.text,
            "paraphrases": given.get(query.id) or query.extra["paraphrases"],
            "answers": [{"doc": j.doc, "start": 0, "end": sizes[j.doc]} for j in relevant],
            "decoys": [j.doc for j in judged.get(query.id, {}).values() if j.score < relevant_from]
            or query.extra.get("decoys", []),
            "answerable": bool(relevant),
            "tags": query.extra.get("tags", {}),
        }
        items.append(item_of(query.where, body))
    others = sum(len(of_query) for id, of_query in judged.items() if id not in known)
    characters = [sizes[judgment.doc] for _, relevant in kept for judgment in relevant]
    return Imported(items=items, characters=characters, other_judgments=others, **left)


def _id(where: str, body: Mapping[str, Any]) -> str:
    id = body.get("_id", body.get("id"))
    if isinstance(id, int) and not isinstance(id, bool):
        return str(id)
    if not isinstance(id, str) or not id.strip():
        raise GoldError(f"{where}: _id: found {kind_of(id)}; allowed: a text")
    return id


def _text(where: str, body: Mapping[str, Any]) -> str:
    text = body.get("text")
    if not isinstance(text, str):
        raise GoldError(f"{where}: text: found {kind_of(text)}; allowed: a text")
    return text


def _whole(where: str, score: str) -> int:
    if not SCORE.fullmatch(score):
        raise GoldError(f"{where}: score: found {kind_of(score)}; allowed: a whole number")
    return int(score)

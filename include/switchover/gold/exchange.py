"""What other tools write, line by line: queries and relevance judgments of BEIR and TREC, and paraphrases.

The way out is in ``export``; docs/exchange.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchover.errors import GoldError
from switchover.gold.item import DRAFT, MOST_PARAPHRASES, unreviewed
from switchover.gold.jsonl import kind_of, read_lines, read_object

BEIR_HEAD = "query-id\tcorpus-id\tscore"
SCORE = re.compile(r"[+-]?[0-9]{1,9}")
OURS = "switchover"  # the key of our own values in a query's free-form `metadata`


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


def read_paraphrases(path: Path) -> dict[str, dict[str, Any]]:
    """Query id -> its ``paraphrases`` and their ``origin``, from JSON lines with ``_id`` or ``id``.

    Other keys are skipped. A draft of a model (origin ``generated``) is refused: a person reads it first.
    """
    found: dict[str, dict[str, Any]] = {}
    for number, line in read_lines(path):
        where = f"{path}:{number}"
        body = read_object(where, line)
        id, texts = _id(where, body), body.get("paraphrases")
        if id in found:
            raise GoldError(f"{where}: {id!r} is given twice")
        if (
            not isinstance(texts, list)
            or not all(isinstance(text, str) and text.strip() for text in texts)
            or not 1 <= len(texts) == len(set(texts)) <= MOST_PARAPHRASES
        ):
            raise GoldError(f"{where}: paraphrases: found {kind_of(texts)}; allowed: one to three texts that differ")
        if body.get("origin") == DRAFT:
            raise unreviewed(where)
        found[id] = {"paraphrases": texts, **({"origin": body["origin"]} if "origin" in body else {})}
    return found


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

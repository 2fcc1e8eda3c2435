"""Gold sets and runs for other tools: a BEIR folder with TREC qrels, and TREC run files.

Both layouts judge and rank whole documents, so spans become their documents: docs/exchange.md. A folder or
file appears whole or not at all, and nothing that is there is written over.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from switchover.errors import BadInput, GoldError
from switchover.gold.exchange import BEIR_HEAD, OURS
from switchover.gold.goldset import Checked
from switchover.gold.item import Item
from switchover.judge.evidence_row import EvidenceRow, Probe


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """One TREC run that was written: ``unanswered`` counts its questions without a hit, which have no line."""

    name: str
    tag: str
    questions: int
    lines: int
    unanswered: int


def export_gold(gold: Checked, path: Path, out: Path, *, corpus: Iterable[tuple[str, str]] | None = None) -> list[str]:
    """Write the gold set of ``path`` as a BEIR folder with TREC qrels beside; returns the files that were written.

    ``corpus`` (id, text) becomes ``corpus.jsonl``. The TREC file is left out when :func:`spaced_id` finds one.
    """
    with _new(out, folder=True) as folder:
        qrels = folder / "qrels"
        qrels.mkdir()
        with _writing(folder / "queries.jsonl") as queries, _writing(qrels / "test.tsv") as beir:
            beir.write(BEIR_HEAD + "\n")
            for where, item in gold.items:
                queries.write(_line(_query(item)))
                for doc, score in _scores(item):
                    bad = next((id for id in (item.id, doc) if any(mark in id for mark in '\t\r\n"')), None)
                    if bad is not None:
                        raise GoldError(
                            f"{where}: id {bad!r} holds a tab, a line end or a quotation mark; nothing was written"
                        )
                    beir.write(f"{item.id}\t{doc}\t{score}\n")
        if spaced_id(gold) is None:
            with _writing(qrels / "test.trec") as trec:
                for _, item in gold.items:
                    trec.writelines(f"{item.id} 0 {doc} {score}\n" for doc, score in _scores(item))
        if corpus is not None:
            with _writing(folder / "corpus.jsonl") as documents:
                documents.writelines(_line({"_id": doc, "title": "", "text": text}) for doc, text in corpus)
        return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def spaced_id(gold: Checked) -> str | None:
    """The first query or document id that a TREC file cannot hold, for its white space; ``None`` without one."""
    ids = (id for _, item in gold.items for id in (item.id, *(doc for doc, _ in _scores(item))))
    return next((id for id in ids if len(id.split()) != 1), None)


def _scores(item: Item) -> list[tuple[str, int]]:
    """The answers' documents at their grade, decoys at 0; each document once, an answer before a decoy.

    None for an unanswerable question: tools would count it as one whose answer nobody finds. ``GoldError`` for a
    reference text, which names no document.
    """
    if not item.answerable:
        return []
    if any(answer.text is not None for answer in item.answers):
        raise GoldError(f"{item.id}: its answer is a reference text, which names no document; nothing was written")
    answers = dict.fromkeys(item.docs, 1) | {a.id: a.grade or 1 for a in item.answers if a.id is not None}
    return [*answers.items(), *((doc, 0) for doc in dict.fromkeys(item.decoys) if doc not in answers)]


def _query(item: Item) -> dict[str, Any]:
    ours: dict[str, Any] = {"paraphrases": item.paraphrases}
    if item.origin != "people":
        ours["origin"] = item.origin
    if item.tags:
        ours["tags"] = item.tags
    if not item.answerable:
        ours |= {"answerable": False, "decoys": item.decoys}
    return {"_id": item.id, "text": item.question, "metadata": {OURS: ours}}


def newest_probes(rows: Iterable[EvidenceRow]) -> list[Probe]:
    """The newest probe of each question and paraphrase, with its lowest seed; both arms were asked it."""
    newest: dict[tuple[str, int], tuple[int, int]] = {}
    for row in rows:
        key, probe = (row.question, row.paraphrase), (row.tick, -row.seed)
        newest[key] = max(probe, newest.get(key, probe))
    return [(question, tick, paraphrase, -seed) for (question, paraphrase), (tick, seed) in sorted(newest.items())]


def export_run(rows: Iterable[EvidenceRow], out: Path, *, targets: Mapping[str, str]) -> list[RunFile]:
    """Write ``<arm>.p<paraphrase>.trec`` for each arm (role -> target) and paraphrase of the evidence rows.

    One row a question, with its ``hits``. A line is ``question Q0 document rank score tag``: hits in the order
    in which they came, each document at its first hit. The score is 1 / rank: trec_eval orders by score, and a
    store's own may be a distance, or be overruled by a reranker. An id with white space is ``BadInput``.
    """
    groups: dict[tuple[str, int], list[EvidenceRow]] = {}
    for row in sorted(rows, key=lambda row: row.question):
        groups.setdefault((row.arm, row.paraphrase), []).append(row)
    found = []
    with _new(out, folder=True) as folder:
        for (arm, paraphrase), of_file in sorted(groups.items()):
            name, tag = f"{arm}.p{paraphrase}.trec", f"{targets[arm]}.p{paraphrase}"
            lines = [list(_run_lines(row, tag)) for row in of_file]
            with _writing(folder / name) as file:
                file.writelines(line for of_question in lines for line in of_question)
            found.append(
                RunFile(
                    name=name,
                    tag=tag,
                    questions=len(lines),
                    lines=sum(map(len, lines)),
                    unanswered=sum(not of_question for of_question in lines),
                )
            )
    return found


def _run_lines(row: EvidenceRow, tag: str) -> Iterator[str]:
    docs = dict.fromkeys(str(hit.get("doc") or "") for hit in row.hits)
    for id in (row.question, tag, *docs):
        if len(id.split()) != 1:
            raise BadInput(
                f"question {row.question!r}, arm {row.arm}: id {id!r} is empty or holds white space, which a "
                "TREC run cannot; nothing was written"
            )
    for rank, doc in enumerate(docs, start=1):
        yield f"{row.question} Q0 {doc} {rank} {1 / rank:.6f} {tag}\n"


def write_gold(items: Iterable[Item], path: Path) -> None:
    """Write a gold set as JSON lines."""
    with _new(path, folder=False) as unfinished, _writing(unfinished) as file:
        file.writelines(_line(item.model_dump(exclude_none=True)) for item in items)


@contextlib.contextmanager
def _new(path: Path, *, folder: bool) -> Iterator[Path]:
    """Where to write; it becomes ``path`` at the end, and is gone after an error. ``path`` must not be there."""
    if path.exists() and not (folder and path.is_dir() and not any(path.iterdir())):
        raise BadInput(f"{path}: is there already; nothing was written; name a new {'folder' if folder else 'file'}")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if folder:
            unfinished.mkdir()
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}; nothing was written") from error
    finally:
        if folder:
            shutil.rmtree(unfinished, ignore_errors=True)
        else:
            unfinished.unlink(missing_ok=True)


def _writing(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")


def _line(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False) + "\n"

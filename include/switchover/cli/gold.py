"""Commands for gold sets and runs of other tools: ``gold check``, ``gold import``, ``gold export``, ``export``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from switchover.cli.options import Result, ledger_option, runs, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import BadInput, GoldError
from switchover.gold.corpus import sql_corpus, sql_documents
from switchover.gold.exchange import Lengths, corpus_lengths, import_gold
from switchover.gold.export import export_gold, export_run, newest_probes, spaced_id, write_gold
from switchover.gold.goldset import Corpus, check_gold
from switchover.ledger import Ledger
from switchover.planfile.load import load_plan
from switchover.text import counted


def fill_gold(parser: argparse.ArgumentParser) -> None:
    """Add the verbs."""
    verb = verbs_of(parser)
    check = verb(
        "check",
        _check,
        "say everything that is wrong with a gold set, with file and line",
        "switchover gold check include/gold/python_reference.jsonl --plan include/plans/docs.yaml",
    )
    check.add_argument("file", type=Path, metavar="FILE", help="gold set, JSON lines")
    _plan_option(check, "resolve quotes and offsets against this plan's corpus")

    bring = verb(
        "import",
        _import,
        "make a gold set from queries and relevance judgments (BEIR or TREC)",
        "switchover gold import --queries queries.jsonl --qrels qrels/test.tsv --corpus corpus.jsonl "
        "--paraphrases paraphrases.jsonl --out gold.jsonl",
    )
    bring.add_argument("--queries", type=Path, required=True, metavar="FILE", help="queries.jsonl, or id<TAB>text")
    bring.add_argument("--qrels", type=Path, required=True, metavar="FILE", help="judgments, BEIR or TREC")
    source = bring.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", type=Path, metavar="FILE", help="corpus.jsonl with the documents' texts")
    _plan_option(source, "take the documents from this plan's corpus instead")
    bring.add_argument(
        "--paraphrases", type=Path, metavar="FILE", help='JSON lines {"_id", "paraphrases": [three]} for the queries'
    )
    bring.add_argument(
        "--relevant-from", type=int, default=1, metavar="N", help="lowest judgment that means relevant (default: 1)"
    )
    bring.add_argument("--out", type=Path, required=True, metavar="FILE", help="gold set to write; must not exist")

    take = verb(
        "export",
        _export,
        "write a gold set as a BEIR folder with TREC qrels",
        "switchover gold export gold.jsonl --out beir --plan docs.yaml",
    )
    take.add_argument("file", type=Path, metavar="FILE", help="gold set, JSON lines")
    take.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; must not exist")
    _plan_option(take, "check against this plan's corpus, and write corpus.jsonl too")


def fill_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    run = runs(parser, _export_run, "switchover export docs:manual__2026 --out runs")
    run.add_argument("run", metavar="RUN", help="id of the switchover, from `switchover status`")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; must not exist")
    run.add_argument("--phase", choices=("warm", "hold"), help="which evidence (default: hold if there is any)")
    ledger_option(run)


def _plan_option(parser: Any, text: str) -> None:
    parser.add_argument("--plan", type=Path, metavar="FILE", help=text)


def _check(options: argparse.Namespace, edge: Edge) -> Result:
    corpus, minimum, _ = _of_plan(options.plan, edge)
    found = check_gold(options.file, corpus=corpus, minimum=minimum)
    resolved = ", quotes resolved" if corpus else "; quotes not resolved without --plan"
    good = f"{options.file}: ok: {counted(len(found.items), 'question')}{resolved}, digest {found.digest[:12]}"
    data = {
        "file": str(options.file),
        "digest": found.digest,
        "questions": len(found.items),
        "resolved": corpus is not None,
        "problems": found.problems,
    }
    return "\n".join(found.problems) or good, data, 2 if found.problems else 0


def _import(options: argparse.Namespace, edge: Edge) -> Result:
    found = import_gold(
        options.queries,
        options.qrels,
        lengths=_lengths(options, edge),
        paraphrases=options.paraphrases,
        relevant_from=options.relevant_from,
    )
    write_gold(found.items, options.out)
    characters = {"median": median(found.characters or [0]), "longest": max(found.characters, default=0)}
    left_out = {
        "queries without a judgment": found.without_judgment,
        "queries without a relevant document": found.without_relevant,
        "judgments of other queries": found.other_judgments,
    }
    lines = [
        f"{options.out}: {counted(len(found.items), 'question')}, {counted(len(found.characters), 'answer')}",
        *(f"left out: {count} {what}" for what, count in left_out.items() if count),
        f"answers are whole documents (median {characters['median']:g} characters, longest {characters['longest']}): "
        "coverage asks for all of their text; narrow long ones to quotes",
    ]
    data = {
        "file": str(options.out),
        "questions": len(found.items),
        "answers": len(found.characters),
        "left_out": left_out,
        "answer_characters": characters,
    }
    return "\n".join(lines), data, 0


def _export(options: argparse.Namespace, edge: Edge) -> Result:
    corpus, minimum, documents = _of_plan(options.plan, edge)
    gold = check_gold(options.file, corpus=corpus, minimum=minimum)
    if gold.problems:
        raise GoldError(f"{gold.problems[0]}; nothing was written; all: `switchover gold check {options.file}`")
    files = export_gold(gold, options.file, options.out, corpus=documents)
    lines = [f"{options.out}: {counted(len(gold.items), 'question')}: {', '.join(files)}"]
    spaced = spaced_id(gold)
    if spaced is not None:
        lines.append(f"qrels/test.trec: not written: id {spaced!r} holds white space, which TREC separates by")
    return "\n".join(lines), {"folder": str(options.out), "files": files, "not_in_trec": spaced}, 0


def _export_run(options: argparse.Namespace, edge: Edge) -> Result:
    ledger = Ledger(engine=edge.sql(options.ledger))
    row = ledger.runs.get(options.run)
    phase = options.phase or ledger.evidence.newest_phase(row.id)
    probes = newest_probes(ledger.evidence.rows(row.id, phase=phase))
    if not probes:
        raise BadInput(f"switchover {row.id!r}: has no {phase} evidence to export; nothing was written")
    hits = ledger.evidence.hits(row.id, phase=phase, probes=probes)
    files = export_run(hits, options.out, targets={"blue": row.blue, "green": row.green})
    lines = [
        f"{options.out / file.name}: {file.tag}: {counted(file.questions, 'question')}, {counted(file.lines, 'line')}, "
        f"{file.unanswered} without a hit"
        for file in files
    ]
    if any(file.unanswered for file in files):
        lines.append("a question without a hit has no line: score with `trec_eval -c`, which counts it as 0")
    return "\n".join(lines), {"run": row.id, "phase": phase, "files": [asdict(file) for file in files]}, 0


def _of_plan(path: Path | None, edge: Edge) -> tuple[Callable[[Sequence[str]], Corpus] | None, int, Any]:
    """Corpus, fewest questions and all documents of a plan; nothing of each without one."""
    if path is None:
        return None, 0, None
    gold = load_plan(path).gold
    engine = edge.sql(gold.corpus)
    return sql_corpus(engine, gold.table), gold.minimum, sql_documents(engine, gold.table)


def _lengths(options: argparse.Namespace, edge: Edge) -> Lengths:
    corpus, _, _ = _of_plan(options.plan, edge)
    if corpus is None:
        return corpus_lengths(options.corpus)
    return lambda docs: {doc: len(text) for doc, text in corpus(docs).items()}

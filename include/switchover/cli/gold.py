"""Commands for gold sets and runs of other tools: ``gold check | import | paraphrase | export``, ``export``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from switchover.cli.bar import Bar
from switchover.cli.options import Result, ledger_option, runs, verbs_of
from switchover.edge.edge import Edge
from switchover.errors import BadInput, GoldError
from switchover.gold.bring import bring
from switchover.gold.corpus import Documents
from switchover.gold.corpus.file import FileCorpus
from switchover.gold.export import export_gold, export_run, newest_probes, spaced_id, write_gold
from switchover.gold.formats import KINDS, GoldFormat
from switchover.gold.goldset import check_gold
from switchover.gold.item import MOST_PARAPHRASES, REVIEWED
from switchover.gold.jsonl import plain_id
from switchover.gold.spec import Gold
from switchover.judge.by_vectors import worthless
from switchover.judge.calibration import Calibration
from switchover.ledger import Ledger
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.steps.calibrate import calibration_of
from switchover.steps.paraphrase import draft
from switchover.steps.questions import gold_of
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

    bring_in = verb(
        "import",
        _import,
        "make a gold set from another tool's file: BEIR, TREC, ragas, LlamaIndex, Langfuse, LangSmith, promptfoo, any",
        "switchover gold import testset.jsonl --from ragas --plan docs.yaml --out gold.jsonl",
    )
    bring_in.add_argument("file", type=Path, metavar="FILE", help="questions and what answers them")
    bring_in.add_argument("--from", dest="format", choices=[*KINDS], required=True, help="what the file is")
    bring_in.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the format (docs/gold.md); repeat it"
    )
    source = bring_in.add_mutually_exclusive_group()
    source.add_argument("--corpus", type=Path, metavar="FILE", help="the source texts: JSON lines, CSV or Parquet")
    _plan_option(source, "take the source texts from this plan's corpus")
    bring_in.add_argument(
        "--paraphrases", type=Path, metavar="FILE", help='JSON lines {"_id", "paraphrases", "origin"} for the questions'
    )
    bring_in.add_argument("--out", type=Path, required=True, metavar="FILE", help="gold set to write; must not exist")

    write = verb(
        "paraphrase",
        _paraphrase,
        "have a model draft the paraphrases that a plan's gold set lacks, for a person to review, or go on with it;"
        " exit 1 when a reply was refused",
        "switchover gold paraphrase --plan docs.yaml --connection llm --model qwen3:8b --out paraphrases.jsonl",
    )
    write.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file; its gold set is read")
    write.add_argument(
        "--connection", required=True, metavar="ID", help="HTTP connection of a server with OpenAI's chat completions"
    )
    write.add_argument("--model", required=True, metavar="NAME", help="the model, as the server calls it")
    write.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="file of drafts: a new one, or its own earlier drafts"
    )

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
    spec, documents = _of_plan(options.plan, edge)
    of_plan = spec is not None and Path(spec.path) == options.file.resolve()
    found = check_gold(
        options.file,
        corpus=documents.texts if documents else None,
        minimum=spec.minimum if spec else 0,
        format=spec.format if spec and of_plan else None,
        grade=spec.grade if spec else None,
    )
    resolved = ", quotes resolved" if documents else "; quotes not resolved without --plan"
    graded = f", coverage by {found.grade}" if found.grade else ""
    good = f"{options.file}: ok: {counted(len(found.items), 'question')}{resolved}{graded}, digest {found.digest[:12]}"
    data = {
        "file": str(options.file),
        "digest": found.digest,
        "questions": len(found.items),
        "grade": found.grade.value if found.grade else None,
        "resolved": documents is not None,
        "problems": found.problems,
    }
    if found.problems or options.plan is None:
        return "\n".join(found.problems) or good, data, 2 if found.problems else 0
    plan = load_plan(options.plan)
    encoder = plan.judge_encoder.build(edge)
    gold = gold_of(plan, edge, encoder, path=None if of_plan else options.file)
    judge = calibration_of(encoder, gold, pin=encoder.read_back())
    worth = worthless(plan.rules, judge)
    lines = [good, *([worth] if worth else []), *_judged(judge, plan)]
    return "\n".join(lines), {**data, "judge": judge.to_json()}, 2 if worth else 0


def _judged(judge: Calibration, plan: Plan) -> list[str]:
    """What the plan's judge encoder is worth on a gold set, in lines: over all, then for each value of a tag."""
    tags = [
        f"  {tag}: {counted(each.questions, 'question')}, "
        + ("too few to tell" if each.auc is None else f"AUC {each.auc:.3f}")
        for tag, each in judge.tags.items()
    ]
    return [judge.line(plan.rules.ds_question.accept), *tags]


def _import(options: argparse.Namespace, edge: Edge) -> Result:
    _, documents = _of_plan(options.plan, edge)
    if options.corpus is not None:
        documents = FileCorpus(path=str(options.corpus)).build(edge)
    format = _format(options.format, options.set)
    found = bring(options.file, format=format, documents=documents, paraphrases=options.paraphrases)
    write_gold(found.items, options.out)
    few = sum(len(item.paraphrases) < MOST_PARAPHRASES for item in found.items)
    unread = format.left_out(options.file)
    lines = [
        f"{options.out}: {counted(len(found.items), 'question')}, coverage by {found.grade}",
        *(f"placed: {counted(count, 'reference text')} by {how}" for how, count in found.how.items()),
        *(f"left out: {id}: {why}" for id, why in found.left_out.items()),
        *(f"left out: {count} {what}" for what, count in unread.items() if count),
    ]
    if few:
        lines.append(
            f"{counted(few, 'question')} with fewer than {MOST_PARAPHRASES} paraphrases: write them,"
            " or turn off flip_rate and flips_vs_blue in the plan's rules"
        )
    data = {
        "file": str(options.out),
        "questions": len(found.items),
        "grade": found.grade.value,
        "placed": dict(found.how),
        "left_out": dict(found.left_out),
        "not_read": dict(unread),
        "fewer_paraphrases": few,
    }
    return "\n".join(lines), data, 0


def _format(kind: str, settings: Sequence[str]) -> GoldFormat:
    given = dict[str, str]()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting}: allowed: KEY=VALUE")
        given[key] = value
    try:
        found: GoldFormat = KINDS[kind].model_validate({"kind": kind, **given})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "format"
        raise BadInput(f"--from {kind}: {key}: {first['msg'].removeprefix('Value error, ')}; give --set") from None
    return found


def _paraphrase(options: argparse.Namespace, edge: Edge) -> Result:
    try:
        plain_id(options.model)
    except ValueError as error:
        raise BadInput(f"--model: {error}") from None
    found = draft(
        load_plan(options.plan).gold,
        edge,
        connection=options.connection,
        model=options.model,
        out=options.out,
        on_progress=Bar("questions").show,
    )
    data = {"file": str(options.out), **asdict(found)}
    if not found.lacking:
        return f"every question has {MOST_PARAPHRASES} paraphrases: nothing to draft", data, 0
    lines = [
        f"{options.out}: {counted(found.drafted, 'question')} drafted, {found.earlier} drafted before",
        *(f"refused: {id}: {why}" for id, why in found.refused.items()),
    ]
    if found.refused:
        lines.append("what was refused is asked again by the same command")
    if found.drafted or found.earlier:
        lines.append(
            f"next: review each line, change its origin to {REVIEWED!r}, and name the file as gold.paraphrases in the"
            " plan; until then it is refused"
        )
    return "\n".join(lines), data, 1 if found.refused else 0


def _export(options: argparse.Namespace, edge: Edge) -> Result:
    spec, documents = _of_plan(options.plan, edge)
    gold = check_gold(options.file, corpus=documents.texts if documents else None, minimum=spec.minimum if spec else 0)
    if gold.problems:
        raise GoldError(f"{gold.problems[0]}; nothing was written; all: `switchover gold check {options.file}`")
    files = export_gold(gold, options.file, options.out, corpus=documents.each() if documents else None)
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


def _of_plan(path: Path | None, edge: Edge) -> tuple[Gold | None, Documents | None]:
    """A plan's gold part and its corpus; nothing without a plan."""
    if path is None:
        return None, None
    plan = load_plan(path)
    return plan.gold, plan.corpus(edge)

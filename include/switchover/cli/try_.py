"""``switchover try``: ask each seam of a plan once, change nothing, and say the next step for what does not fit."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from switchover.arms.guess import guess
from switchover.arms.spec import HitPaths
from switchover.cli.options import Result, runs
from switchover.edge.edge import Edge
from switchover.edge.paths import compile_path
from switchover.errors import BadInput, ConnectionMissing, Unreachable
from switchover.judge.gates import FEEDS
from switchover.part import connections_in
from switchover.plan import Plan
from switchover.planfile.lines import LinedYaml
from switchover.planfile.load import load_lined
from switchover.steps.controls import Tried, starved_rules
from switchover.steps.seams import Read, look_without_ledger
from switchover.text import one_line, table

PARTS = ("pointer", "arms", "gold", "index", "encoder", "readers", "signals", "writers", "cache", "notify")
REPLY = ("text", "cited", "arm", "index_hash", "tool_calls", "cache")
SHOWN_HITS = 5
MOST_KEYS = 12  # of an answer, that are named
LOGIN_REFUSED = (401, 403, 407)  # statuses of a login that is refused
REPORT = "say under `asking.report` where the arm says what it is, or `report: false` where it cannot"
DOCS = {
    "pointer": "docs/pointers.md",
    "arms": "docs/your-own-service.md",
    "gold": "docs/gold.md",
    "index": "docs/your-own-index.md",
    "encoder": "docs/encoders.md",
    "readers": "docs/your-own-service.md",
    "signals": "docs/signals.md",
    "writers": "docs/writers.md",
    "cache": "docs/cache.md",
    "notify": "docs/notifications.md",
}


class Found(NamedTuple):
    """A read of a part, the next step where it failed, and what an arm's answers hold."""

    part: str
    read: Read
    next: str
    answer: dict[str, Any]


def fill_try(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    asks = runs(parser, _try, "switchover try --plan include/plans/docs.yaml arms")
    asks.add_argument(
        "part", nargs="?", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)} (default: all)"
    )
    asks.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")


def _try(options: argparse.Namespace, edge: Edge) -> Result:
    plan, lines = load_lined(options.plan)
    seams, arms = look_without_ledger(plan, edge)
    parts = seams.parts
    if options.part is not None and options.part not in parts:
        raise BadInput(f"{options.plan}: has no {options.part}; allowed: {', '.join(parts)}")
    told, found = [f"{options.plan}: Blue is {arms.blue!r}, Green is {arms.green!r}"], list[Found]()
    for part in [options.part] if options.part else parts:
        began = time.monotonic()
        _say(f"{part}: asking")
        reads = list(parts[part]())
        _say(f"{part}: asked in {time.monotonic() - began:.1f} s")
        each = _once([_found(part, read, plan, lines, options.plan) for read in reads])
        found += each
        told += [f"\n{part}", *(line for one in each for line in _lines(one))]
        told += [f"  off by the plan: {rule}: {why}" for rule, why in plan.rules.off.items() if part == "arms"]
    told += _ending(found, options.plan)
    data = {"blue": arms.blue, "green": arms.green, "reads": [_json(each) for each in found]}
    return "\n".join(told), data, _code(found)


def _code(found: Sequence[Found]) -> int:
    """2 when the plan must be mended, else 4 when no fit answer came, else 0."""
    failed = [each.read for each in found if not each.read.check.ok]
    return 0 if not failed else 2 if any(read.in_plan for read in failed) else 4


def _found(part: str, read: Read, plan: Plan, lines: LinedYaml, path: Path) -> Found:
    next = "" if read.check.ok else _next(part, read, plan, lines, path)
    trial = read.check.name.startswith("question to") and read.tried is not None and any(read.tried.trial.answers)
    return Found(part, read, next, _answer(read.tried, plan) if trial and read.tried is not None else {})


def _once(found: list[Found]) -> list[Found]:
    """The next step stands beside the first fault that it mends."""
    before = [""]
    for number, each in enumerate(found):
        found[number] = each._replace(next="") if each.next in before else each
        before.append(each.next)
    return found


def _lines(found: Found) -> Iterator[str]:
    check, answer = found.read.check, found.answer
    wanted = "" if check.ok or found.read.error else f"; expected: {check.expected}"
    yield f"  {'ok    ' if check.ok else 'FAILED'}  {check.name}: {one_line(check.found, None)}{wanted}"
    if found.next:
        yield f"          next: {found.next}"
    if not answer:
        return
    if answer["hits"]:
        head = ("hit", "id", "doc", "text", "score")
        rows = [[str(n), *(str(hit[name]) for name in ("id", "doc", "text", "score"))] for n, hit in answer["hits"]]
        yield from (f"          {line}" for line in table([head, *rows]).splitlines())
    for word in ("found", "worked out", "found nothing", "not mapped", "INCONCLUSIVE"):
        if answer[word]:
            yield f"          {word}: {', '.join(answer[word])}"


def _answer(tried: Tried, plan: Plan) -> dict[str, Any]:
    """What the first trial answer holds, what the plan's paths found in all, and which rules go without."""
    first, raw = tried.replies[0], tried.trial.replies
    said = {f"hit.{name}" for name in HitPaths.model_fields if _any(raw, name)}
    said |= {name for name in REPLY if any(getattr(reply, name) not in (None, "") for reply in raw)}
    said |= {"stages_ms"} if any(len(reply.stages_ms) > 1 for reply in raw) else set()
    known = {f"hit.{name}" for name in HitPaths.model_fields if _any(tried.replies, name)}
    every = [*(f"hit.{name}" for name in HitPaths.model_fields), *REPLY, "stages_ms"]
    silent = [path.removeprefix("answer.") for path in tried.trial.silent]
    heard = {path.partition(":")[0] for path in silent}
    starved = starved_rules(tried, plan.rules)
    needs = {rule.name: FEEDS[rule.fed_by] for rule in plan.rules.each if rule.name in starved}
    hits = [
        {"id": hit.id or "-", "doc": hit.doc or "-", "text": _length(hit.text), "score": _score(hit.score)}
        for hit in first.hits[:SHOWN_HITS]
    ]
    return {
        "hits": list(enumerate(hits, start=1)),
        "found": [name for name in every if name in said],
        "worked out": [name for name in every if name in known - said],
        "found nothing": silent,
        "not mapped": [name for name in every if name not in said | known | heard],
        "INCONCLUSIVE": [f"{rule} (needs {what})" for rule, what in needs.items()],
    }


def _any(replies: Sequence[Any], name: str) -> bool:
    return any(getattr(hit, name) is not None for reply in replies for hit in reply.hits)


def _length(text: str | None) -> str:
    return "-" if text is None else f"{len(text):,} characters"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.4g}"


def _next(part: str, read: Read, plan: Plan, lines: LinedYaml, path: Path) -> str:
    """The one next command or line of the plan for a read that failed."""
    ids = ", ".join(_connections(part, read, plan))
    where = f"AIRFLOW_CONN_{ids.upper()}" if ids and "," not in ids else "AIRFLOW_CONN_<ID>"
    key, found = _key(part, read), read.check.found
    unreachable = isinstance(read.error, Unreachable) or (read.tried is None and "did not answer" in found)
    if isinstance(read.error, ConnectionMissing):
        return lines.told(key, f"set {where}, or name a connection that is there (docs/connections.md)")
    if read.finds_nothing:
        return f"is the index of {read.key} filled? switchover try --plan {path} index"
    if read.tried is not None and any(reply.ok for reply in read.tried.trial.replies) and unreachable:
        return lines.told(key, REPORT)
    if read.tried is not None:
        return _next_of_answers(read.tried, plan, ids, where, key, lines)
    if part == "readers" and read.in_plan:
        return lines.told(key, f"say by `path`, `arm` and `index_hash` where it says what it serves ({DOCS[part]})")
    if unreachable:
        return f"does the server behind connection {ids} run, and let you in? {where} says where (docs/connections.md)"
    if part == "gold":
        return f"switchover gold check {plan.gold.path} --plan {path}"
    if part == "index" and read.key:
        return _next_of_index(read, plan, lines, path)
    if part == "pointer":
        return lines.told(("arms",), f"name the arm that is live, or point it at one of these ({DOCS[part]})")
    if part == "signals":
        return lines.told(key, f"must give fresh figures of the arm that serves users now ({DOCS[part]})")
    if read.check.name.endswith(" secrets"):
        return lines.told(("secrets",), "give the arm what is absent, or let it report it; or take it out of this list")
    if part == "arms" and read.check.name.endswith(" arm"):
        return lines.told(key, REPORT)
    if read.check.name == "only declared pins differ":
        return lines.told(("changes",), "name here the pins that may differ")
    if read.check.name.endswith(" pins"):
        return lines.told(("arms", read.key), "say under `promised` what neither manifest nor report says")
    return lines.told(key, f"mend what this line says ({DOCS[part]})")


def _next_of_answers(tried: Tried, plan: Plan, ids: str, where: str, key: tuple[str, ...], lines: LinedYaml) -> str:
    trial = tried.trial
    failed = next((reply for reply in trial.replies if not reply.ok), None)
    status = 200 if failed is None else failed.status
    if status in LOGIN_REFUSED:
        return f"put the service's login, token or header into connection {ids}: {where} (docs/connections.md)"
    if status == 0 or status >= 500:
        return f"does the service behind connection {ids} run? {where} says where; see its own log"
    if 300 <= status < 400:
        return f"let connection {ids} name the address that the service redirects to: {where}"
    if status >= 400:
        return lines.told(("asking", "request"), "method, path or body is not what the service takes")
    if trial.silent:
        places = [path.partition(":")[0] for path in trial.silent]
        place = next((each for each in ("answer.root", "answer.hits") if each in places), places[0])  # others follow it
        return lines.told(("asking", *place.split(".")), f"name what the answer has: {_has(trial.answers)}")
    starved = starved_rules(tried, plan.rules)
    if all(reply.ok for reply in tried.replies) and not starved:
        return lines.told(
            ("asking", "answer", "hit"), f"let `doc` name documents as the gold set does ({DOCS['gold']})"
        )
    if any("not measured" in (reply.error or "") for reply in tried.replies):
        return lines.told(("asking", "answer"), "say in `offsets` what start and end count, as the line above says")
    if starved:
        return lines.told(("rules", "off"), "turn off, with its reason, what the service cannot feed; or map it")
    return lines.told(key, f"mend what this line says ({DOCS['arms']})")


def _has(answers: Sequence[Any]) -> str:
    """What an answer of the service has, as a line of a plan where it can be guessed, else its keys: no values."""
    if not answers:
        return "nothing that is JSON"
    guessed = guess(answers[0])
    if guessed:
        hits = compile_path(guessed["hits"])(answers[0])
        fields = (
            ", ".join(list(hits[0])[:MOST_KEYS])
            if isinstance(hits, list) and hits and isinstance(hits[0], dict)
            else ""
        )
        return f"`answer: {_flow(guessed)}` fits it{f'; a hit has {fields}' if fields else ''}"
    return ", ".join(list(answers[0])[:MOST_KEYS]) if isinstance(answers[0], dict) else "a list"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in value.items()) + "}"
    return str(value)


def _next_of_index(read: Read, plan: Plan, lines: LinedYaml, path: Path) -> str:
    arm, found = read.key, read.check.found
    buildable = plan.build is not None and plan.index_of(arm).buildable
    if "absent" in found or "empty" in found:
        build = f"switchover build --plan {path} --arm {arm}"
        own = lines.told(("index",), f"fill the index of {arm}, or name the one that is filled ({DOCS['index']})")
        return build if buildable else own
    if "manifest" in found or read.check.name.endswith("manifest"):
        return f"switchover index adopt --plan {path} --arm {arm}"
    return lines.told(("index",), f"mend what this line says ({DOCS['index']})")


def _key(part: str, read: Read) -> tuple[str, ...]:
    """Where a part's fault stands in a plan."""
    if read.key and part in ("arms", "encoder"):
        return ("arms", read.key, *(["encoder"] if part == "encoder" else []))
    return ("judge_encoder",) if part == "encoder" else (part,)


def _connections(part: str, read: Read, plan: Plan) -> list[str]:
    """Ids of the connections behind a part."""
    if part == "arms" and read.key:
        return [plan.arms[read.key].connection]
    if part == "index" and read.key in plan.arms:
        return sorted(connections_in(plan.index_of(read.key)))
    if part in ("writers", "notify"):
        mine = next(each for each in getattr(plan, part) if read.key in (getattr(each, "name", None), each.connection))
        return [mine.connection]
    held = getattr(plan, "judge_encoder" if part == "encoder" else part) or plan.index  # no reader: the manifest's
    return sorted(set().union(*map(connections_in, held if isinstance(held, list) else [held])))


def _ending(found: Sequence[Found], path: Path) -> list[str]:
    failed = [each for each in found if not each.read.check.ok]
    if failed:
        return [f"\n{len(failed)} of {len(found)} reads failed; next: {failed[0].next}"]
    return [
        f"\nall {len(found)} reads are well; next: `switchover eval --plan {path}`, then a dry run (docs/starting.md)"
    ]


def _json(found: Found) -> dict[str, Any]:
    check = found.read.check
    told = {"part": found.part, "name": check.name, "ok": check.ok, "found": check.found, "expected": check.expected}
    answer = {name.lower().replace(" ", "_"): value for name, value in found.answer.items()}
    answer |= {"hits": [hit for _, hit in found.answer["hits"]]} if answer else {}
    return {**told, "next": found.next or None, **({"answer": answer} if answer else {})}


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

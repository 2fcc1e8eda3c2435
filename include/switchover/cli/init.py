"""``switchover init``: look at a stack, reads only, and write a first plan for it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from switchover.cli.options import Result, runs
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.indexes import KINDS as INDEXES
from switchover.planfile.draft import block, gaps, kind_block, merged
from switchover.planfile.lines import LinedYaml
from switchover.pointers import KINDS as POINTERS
from switchover.signals import KINDS as SIGNALS
from switchover.steps.fit import Fit, fit

SCHEMA = "# yaml-language-server: $schema={}\n"


class Question(NamedTuple):
    """One thing to know: option, default, example, and why it is asked."""

    name: str
    default: str
    example: str
    why: str


QUESTIONS = (
    Question("service", "docs", "docs", "the name of your service; it names the DAG switchover__<service>"),
    Question(
        "blue", "", "docs_v1=docs_service", "the arm that serves now, NAME=CONNECTION (HTTP) under which it is asked"
    ),
    Question("green", "", "docs_v2=docs_service", "the arm that is to serve, NAME=CONNECTION (HTTP)"),
    Question("header", "", "X-Arm: {arm}", "the header that chooses an arm, where both have one address"),
    Question("ask", "", "POST /search", "method and path that answer a question; without it known shapes are tried"),
    Question(
        "body", "", '{"query": "{question}", "top": "{k}"}', "the JSON that is sent; {question} and {k} stand for them"
    ),
    Question(
        "question", "How do I begin?", "When is a variable bound?", "one question, asked once of Blue to see its answer"
    ),
    Question("pointer", "pgvector", "kv_etcd=etcd", "what says which arm is live, KIND=CONNECTION"),
    Question("index", "pgvector", "opensearch=search", "the store of the indexes, KIND=CONNECTION"),
    Question("signals", "sql", "prometheus=prometheus", "where live requests are counted, KIND=CONNECTION"),
    Question("gold", "gold.jsonl", "../gold/docs.jsonl", "the file with your test questions, relative to the plan"),
)


def fill_init(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    example = (
        'switchover init --blue docs_v1=docs --green docs_v2=docs --header "X-Arm: {arm}" --out include/plans/docs.yaml'
    )
    init = runs(parser, _init, example)
    for each in QUESTIONS:
        default = f"; default: {each.default}" if each.default else ""
        init.add_argument(
            f"--{each.name}", metavar="TEXT", help=f"{each.why} (example: {each.example}{default})".replace("%", "%%")
        )
    init.add_argument("--out", type=Path, required=True, metavar="FILE", help="plan to write; what stands in it stays")
    init.add_argument("--non-interactive", action="store_true", help="ask nothing; take the defaults")


def _init(options: argparse.Namespace, edge: Edge) -> Result:
    given = _answers(options)
    blue, green = (_arm(side, given[side]) for side in ("blue", "green"))
    if blue[0] == green[0]:
        raise BadInput(f"--green {given['green']}: has the name of Blue; allowed: two names")
    found = _look(edge, given, blue)
    old, there = _old(options.out)
    text, added = merged(old, there, _blocks(given, blue, green, found, options.out))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    left = gaps(text)
    lines = [*found.lines]
    if found.asking is None:
        lines.append(
            "no answer could be read: say --ask and --body, or write `asking` by hand (docs/your-own-service.md)"
        )
    lines.append(f"{options.out}: {'added ' + ', '.join(added) if added else 'nothing to add; every key is there'}")
    lines += [f"{options.out}:{number}: to fill in: {what}" for number, what in left]
    lines.append(f"next: switchover plan check {options.out}")
    data = {
        "file": str(options.out),
        "added": added,
        "gaps": [{"line": n, "what": w} for n, w in left],
        "hits": found.hits,
    }
    return "\n".join(lines), data, 0


def _answers(options: argparse.Namespace) -> dict[str, str]:
    """What each question comes to: the option, else what a person at the terminal says, else the default."""
    asked = sys.stdin.isatty() and not options.non_interactive and not options.json
    found: dict[str, str] = {}
    for each in QUESTIONS:
        value = getattr(options, each.name)
        if value is None and asked:
            sys.stderr.write(f"\n{each.why}\n  example: {each.example}\n  {each.name} [{each.default}]: ")
            sys.stderr.flush()
            value = sys.stdin.readline().strip() or None
        found[each.name] = each.default if value is None else value
    return found


def _arm(side: str, given: str) -> tuple[str, str]:
    name, _, connection = given.partition("=")
    if not name or not connection:
        raise BadInput(f"--{side}: found {given!r}; allowed: NAME=CONNECTION, for example docs_v1=docs_service")
    return name, connection


def _headers(given: Mapping[str, str], arm: str) -> dict[str, str]:
    name, _, value = given["header"].partition(":")
    return {name.strip(): value.strip().replace("{arm}", arm)} if name.strip() else {}


def _look(edge: Edge, given: Mapping[str, str], blue: tuple[str, str]) -> Fit:
    request: dict[str, Any] | None = None
    if given["ask"]:
        method, _, path = given["ask"].partition(" ")
        if method not in ("GET", "POST", "PUT") or not path.startswith("/"):
            raise BadInput(
                f"--ask: found {given['ask']!r}; allowed: GET, POST or PUT and a path, for example POST /search"
            )
        request = {"method": method, "path": path}
        if given["body"]:
            try:
                request["body"] = json.loads(given["body"])
            except ValueError as error:
                raise BadInput(f'--body: is no JSON ({error}); braces of words stand in quotes: "{{k}}"') from None
            if not isinstance(request["body"], dict | list):
                raise BadInput(f"--body: found {given['body'][:60]!r}; allowed: a JSON object or list")
    return fit(
        edge,
        connection=blue[1],
        arm=blue[0],
        headers=_headers(given, blue[0]),
        question=given["question"],
        request=request,
    )


def _old(path: Path) -> tuple[str, set[str]]:
    """What stands in the file, and its keys."""
    if not path.exists():
        return "", set()
    data = LinedYaml.read(path).data
    if data is not None and not isinstance(data, dict):
        raise BadInput(f"{path}: is no plan; allowed: a file with a plan, or a new one")
    return path.read_text(encoding="utf-8"), set(data or {})


def _blocks(
    given: Mapping[str, str], blue: tuple[str, str], green: tuple[str, str], found: Fit, out: Path
) -> list[tuple[str, str]]:
    """Every key of the plan with its text, in the order in which people read it."""
    arms = {name: {"connection": conn, **_with("headers", _headers(given, name))} for name, conn in (blue, green)}
    names = list(arms)
    asking = found.asking or {"preset": "ours"}
    seen = "seen in an answer" if found.asking else "NOT SEEN: no answer could be read"
    return [
        ("service", (SCHEMA.format("plan.schema.json")) + block("service", given["service"])),
        ("pointer", kind_block("pointer", given["pointer"], POINTERS, why="What says which arm is live.", arms=names)),
        (
            "readers",
            "# What follows the pointer, and can be asked which arm it serves. None: the weaker proof.\nreaders: []\n",
        ),
        ("index", kind_block("index", given["index"], INDEXES, why="The store of the indexes.")),
        ("asking", block("asking", asking, why=f"How an arm is asked, and where in its answer things stand: {seen}.")),
        ("arms", block("arms", arms, why="The two stacks.")),
        ("green", block("green", green[0])),
        (
            "changes",
            block("changes", ["EMBED_SCHEMA", "CHUNK_SCHEMA_VER"], why="Pins that may differ between the arms."),
        ),
        ("writers", "# What writes into the index and must stand still; see docs/writers.md.\nwriters: []\n"),
        ("signals", kind_block("signals", given["signals"], SIGNALS, why="Where live requests are counted.")),
        (
            "gold",
            block("gold", {"path": given["gold"]}, why="Your test questions and what answers them: docs/gold.md."),
        ),
        ("hold", block("hold", {"minutes": 20, "tick_s": 15}, why="How long Green is watched.")),
    ]


def _with(key: str, value: Mapping[str, str]) -> dict[str, Any]:
    return {key: dict(value)} if value else {}

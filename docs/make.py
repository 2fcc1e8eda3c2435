"""Write the reference pages that are made from the code: docs/plan.md, docs/commands.md, the plan's schema.

``python docs/make.py`` writes them; ``python docs/make.py --check`` fails when one is out of date.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from switchover.cli.entry import build_parser
from switchover.judge.rules import RULE_KINDS, Rule
from switchover.plan import Plan, plan_schema
from switchover.protocol import TRANSITIONS, Decision, Observation, Record, State, decide

ROOT = Path(__file__).parents[1]
os.environ["COLUMNS"] = "100"  # help texts do not depend on the terminal

PLAN_INTRO = """# The plan

Made by `python docs/make.py` from `include/switchover/plan.py`. One YAML file a service in
`include/plans/` (`*.yaml` or `*.yml`); connections are named by id, never written out. Unknown keys are refused. Check
plans with `switchover plan check FILE` or, also against each other, `switchover plan check FOLDER`; editors complete
them with `include/plans/plan.schema.json`.

- A plan that is wrong is an import error of that plan in Airflow, with file, line and key. The DAGs of all other plans
  stay as they are.
- A service belongs to one plan. A pointer or a writer that stands in two plans needs `shared: true` in both; else both
  plans are import errors that name each other.
- A plan is data: nothing of it is rendered by Airflow. A file has at most 128 KiB, 5,000 values and 20 levels; a text
  at most 2,000 characters; a number at most 1,000,000,000.
- Files that a plan names (`gold.path`, `cache.popular`, `notify.template`) lie in the plan's folder, in the folder
  `gold` beside it, or in the folder that the deployment names in the environment variable `SWITCHOVER_FILES` (without
  it: the project's `include/gold`). A link that leads elsewhere is refused.
- A plan holds no secret, because ledger and page keep it. A header or an address that looks like a credential is
  refused: put it into the connection.
"""

COMMANDS_INTRO = """# Commands

Made by `python docs/make.py` from the commands' own help. Connections come from the same `AIRFLOW_CONN_<ID>`
variables that Airflow reads. Exit codes: 0 well or pass, 1 refused by a rule, a target or the
state of the run, 2 bad input
(nothing was changed), 3 inconclusive, 4 could not measure or a server did not answer, 5 the pointer is not
where it was expected: somebody else moved it or holds its lease (nothing was changed).
"""

TABLE_BEGIN, TABLE_END = "<!-- made by `make capabilities`: {} -->\n", "<!-- end -->\n"
POINTERS_HEAD = """| kind | atomic | compare-and-set | epoch compared | a reader follows within (p95) | measured on |
| --- | --- | --- | --- | --- | --- |
"""
WRITERS_HEAD = """| kind | proof | waits for work | as found | foreign change | old epoch refused | measured on |
| --- | --- | --- | --- | --- | --- | --- |
"""
ENCODERS_HEAD = """| kind | exact | known again by its | a text that is too long | measured on |
| --- | --- | --- | --- | --- |
"""
INDEXES_HEAD = """| kind | mark sees an update | made again, it has | manifest goes too | alias keeps it | measured on |
| --- | --- | --- | --- | --- | --- |
"""
WRITER_FACTS = ("waits_for_work", "resumed_as_found", "foreign_change_seen", "epoch_compared")

SIGNALS_HEAD = """| case | %s |
| --- |%s
"""

FIRES = "## When it fires\n"

PEERS_BEGIN = "<!-- made by `make bench-peers` -->\n"
CRASH_BEGIN = "<!-- made by `make test-crash` -->\n"
CRASH_HEAD = """| killed or clicked | at | ended | recovered by | seconds | moves | twice, lost | seen wrong | right |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

STATES_INTRO = """# States

Made by `python docs/make.py` from `include/switchover/protocol.py`. What each means is in
[protocol.md](protocol.md).
"""

DECISIONS_INTRO = """
## What is done

What `decide` answers, by what the ledger says and what the pointer says. Whoever asks gets the same answer: the run's
own task while the lease is alive; once nobody drives, the watchdog (a flip begun, or writers frozen), the run's
teardown, or a person with `switchover restore`. On neither arm it is always `stop`: a person must look, nothing is
changed. When the pointer cannot be read it is always `retry`: nothing is changed. An ended run is `nothing`.

| state | decision | driven, Blue live | driven, Green live | nobody drives, Blue live | nobody drives, Green live |
| --- | --- | --- | --- | --- | --- |
"""


def main() -> int:
    """Write or check every page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a page is out of date")
    options = parser.parse_args()
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date; run `make docs`' if options.check else 'written'}")
        if not options.check:
            path.write_text(pages()[path])
    return 1 if stale and options.check else 0


def pages() -> dict[Path, str]:
    """Every page that is made from the code."""
    return {
        ROOT / "docs" / "plan.md": PLAN_INTRO + "\n" + "\n\n".join(_once(_sections(Plan, ""))) + "\n",
        ROOT / "docs" / "commands.md": COMMANDS_INTRO + "\n" + "\n\n".join(_helps(build_parser())) + "\n",
        ROOT / "docs" / "pointers.md": _with_table("pointers", POINTERS_HEAD + _pointer_rows()),
        ROOT / "docs" / "writers.md": _with_table("writers", WRITERS_HEAD + _writer_rows()),
        ROOT / "docs" / "encoders.md": _with_table("encoders", ENCODERS_HEAD + _encoder_rows()),
        ROOT / "docs" / "your-own-index.md": _with_table("your-own-index", INDEXES_HEAD + _index_rows()),
        ROOT / "docs" / "signals.md": _with_table("signals", _signal_rows()),
        ROOT / "docs" / "crash.md": _with_crashes((ROOT / "docs" / "crash.md").read_text()),
        ROOT / "docs" / "peers.md": _with_peers((ROOT / "docs" / "peers.md").read_text()),
        ROOT / "docs" / "states.md": STATES_INTRO + "\n" + _states() + DECISIONS_INTRO + _decisions(),
        ROOT / "include" / "plans" / "plan.schema.json": json.dumps(plan_schema(), indent=2) + "\n",
        **{ROOT / "docs" / "rules" / f"{rule.name}.md": _with_first_steps(rule) for rule in RULE_KINDS.values()},
    }


def _with_table(name: str, table: str) -> str:
    """A page with its table made again from what the contract suite measured."""
    page, begin = (ROOT / "docs" / f"{name}.md").read_text(), TABLE_BEGIN.format(name)
    before, rest = page.split(begin, 1)
    return before + begin + table + TABLE_END + rest.split(TABLE_END, 1)[1]


def _with_first_steps(rule: type[Rule]) -> str:
    """The rule's page with its last section made again from the rule's first steps."""
    before = (ROOT / "docs" / "rules" / f"{rule.name}.md").read_text().split(FIRES)[0]
    return before + FIRES + "\n" + "\n".join(f"{n}. {step}" for n, step in enumerate(rule.first_steps, 1)) + "\n"


def _measured(name: str) -> list[tuple[str, dict[str, Any]]]:
    found: dict[str, dict[str, Any]] = json.loads((ROOT / "docs" / "capabilities.json").read_text())[name]
    return sorted(found.items())


def _pointer_rows() -> str:
    return "".join(
        f"| [`{kind}`](pointers/{_page(kind)}.md) | {_yes(facts['atomic'])} | {_yes(facts['compare_and_set'])}"
        f" | {facts['fencing']} | {facts['followed_p95_ms']:g} ms | {facts['against']} |\n"
        for kind, facts in _measured("pointers")
    )


def _writer_rows() -> str:
    return "".join(
        f"| [`{kind}`](#{kind}) | {facts['proof']} | "
        + " | ".join(_told(facts.get(fact)) for fact in WRITER_FACTS)
        + f" | {facts['against']} |\n"
        for kind, facts in _measured("writers")
    )


def _encoder_rows() -> str:
    return "".join(
        f"| `{kind}` | {_yes(facts['exact'])} | {facts['known_by']} | {facts['long_text']} | {facts['against']} |\n"
        for kind, facts in _measured("encoders")
    )


def _index_rows() -> str:
    return "".join(
        f"| `{kind}` | {_yes(facts['update_moves_the_mark'])} | {facts['made_again']} | {_yes(facts['manifest_goes'])}"
        f" | {_told(facts['kept_while_used'])} | {facts['against']} |\n"
        for kind, facts in _measured("indexes")
    )


def _signal_rows() -> str:
    """A column a kind, a row a case; below it why a kind has no such case, and what each was measured on."""
    kinds = _measured("signals")
    names = dict.fromkeys(name for _, facts in kinds for name in (*facts, *facts["not_here"]))
    cases = [name for name in sorted(names) if name not in ("against", "not_here")]
    rows = [
        f"| {case.replace('_', ' ')} | {' | '.join(_told(facts.get(case)) for _, facts in kinds)} |\n" for case in cases
    ]
    head = SIGNALS_HEAD % (" | ".join(f"`{kind}`" for kind, _ in kinds), " --- |" * len(kinds))
    told = [f"- `{kind}`: measured on {facts['against']}.{_lacking(facts['not_here'])}\n" for kind, facts in kinds]
    return head + "".join(rows) + "\n" + "".join(told)


def _lacking(not_here: Mapping[str, str]) -> str:
    """The cases that a kind does not have, by their reason."""
    found: dict[str, list[str]] = {}
    for case, why in sorted(not_here.items()):
        found.setdefault(why, []).append(case.replace("_", " "))
    return "".join(f" No {', no '.join(cases)}: {why}." for why, cases in found.items())


def _told(fact: bool | None) -> str:
    """``None``: the case does not apply to this kind; its section says why."""
    return "–" if fact is None else _yes(fact)


def _with_crashes(page: str) -> str:
    """The page with the table of what the kill matrix showed last."""
    cells = json.loads((ROOT / "docs" / "crash.json").read_text())
    rows = [
        f"| {cell['what']} | {cell['moment']} {cell['at']} | {_ended(cell)} | {cell['by']}"
        f" | {cell['seconds']:g} | {cell['moves']} | {cell['duplicated']}, {cell['lost']}"
        f" | {'; '.join(cell['wrong']) or 'nothing'} | {_yes(cell['right'])} |"
        for cell in cells
    ]
    before, rest = page.split(CRASH_BEGIN, 1)
    return before + CRASH_BEGIN + CRASH_HEAD + "\n".join(rows) + "\n" + TABLE_END + rest.split(TABLE_END, 1)[1]


def _with_peers(page: str) -> str:
    """The page with a table for each cell of what the benchmark of peers found last."""
    cells: dict[str, list[Any]] = {}
    for line in json.loads((ROOT / "docs" / "peers.json").read_text()):
        cells.setdefault(line["cell"], []).append(line)
    tables = "\n".join(_peers(cell, lines) for cell, lines in cells.items())
    before, rest = page.split(PEERS_BEGIN, 1)
    return before + PEERS_BEGIN + tables + TABLE_END + rest.split(TABLE_END, 1)[1]


def _peers(cell: str, lines: list[Any]) -> str:
    heads = {"false_stops_per_1000": "false stops of 1,000"}
    heads |= {"within_3": "caught in 3", "median_looks": "looks", "missed": "missed"}
    shown = [key for key in heads if any(line[key] is not None for line in lines)]
    head = f"| {cell} | {' | '.join(heads[key] for key in shown)} |\n{'| --- ' * (1 + len(shown))}|\n"
    rows = (f"| {line['method']} | {' | '.join(_peer_figure(key, line[key]) for key in shown)} |\n" for line in lines)
    return head + "".join(rows)


def _peer_figure(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.3g} %" if key in ("within_3", "missed") else f"{value:g}"


def _ended(cell: Mapping[str, Any]) -> str:
    back = "" if cell["blue_again_s"] is None else f", Blue live again after {cell['blue_again_s']:g} s"
    return str(cell["end"]).replace("_", " ") + back


def _page(kind: str) -> str:
    return "kv" if kind in ("kv_sql", "kv_etcd") else "opensearch" if kind == "elasticsearch" else kind


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _sections(model: type[BaseModel], prefix: str) -> list[str]:
    """One table a part of the plan, then the parts below it."""
    title = f"## `{prefix}`" if prefix else "## Top level"
    lines = [title, "", _docline(model), "", "| key | default | meaning |", "| --- | --- | --- |"]
    below: list[str] = []
    for name, field in model.model_fields.items():
        lines.append(f"| `{name}` | {_default(field)} | {_meaning(field)} |")
        for part in _parts(field.annotation):
            kind = part.model_fields.get("kind")
            tag = f" ({get_args(kind.annotation)[0]})" if kind is not None else ""
            below += _sections(part, f"{prefix}.{name}{tag}".lstrip("."))
    return ["\n".join(lines), *below]


def _once(sections: list[str]) -> list[str]:
    """A part that several kinds share stands once, under a title without a kind."""
    bodies = [section.split("\n", 1)[1] for section in sections]
    return [
        re.sub(r" \([a-z0-9_]+\)(?=\.)", "", section, count=1) if bodies.count(body) > 1 else section
        for place, (section, body) in enumerate(zip(sections, bodies, strict=True))
        if body not in bodies[:place]
    ]


def _docline(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "see below"
    return f"`{json.dumps(value)}`"


def _meaning(field: FieldInfo) -> str:
    text = field.description or "; ".join(_docline(part) for part in _parts(field.annotation)) or "names the kind"
    return text.replace("|", "\\|")


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """The models inside an annotation, each once."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for argument in get_args(annotation):
        found += [part for part in _parts(argument) if part not in found]
    return found


def _helps(parser: argparse.ArgumentParser) -> list[str]:
    """The help of a command and of every command below it."""
    parts = [f"## `{parser.prog}`\n\n```text\n{parser.format_help().rstrip()}\n```"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                parts += _helps(sub)
    return parts


def _states() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> planned"]
    for state in State:
        for target in State:
            if target in TRANSITIONS[state]:
                lines.append(f"    {state.value} --> {target.value}")
        if state.ended:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```"]) + "\n"


def _decisions() -> str:
    """What ``decide`` says of every open state and decision, with the lease alive and run out."""
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    rows = []
    for state in (each for each in State if not each.ended):
        for decision in (None, *Decision):
            if decision is Decision.PROMOTE and (state.before_flip or state is State.FLIPPING):
                continue  # only a hold is accepted
            record = Record(id="", service="", state=state, blue="blue", green="green", decision=decision)
            seen = [Observation(target=on, lease_alive=alive) for alive in (True, False) for on in ("blue", "green")]
            said = [f"`{decide(record, each, now).kind.value}`" for each in seen]
            rows.append(f"| {state.value} | {decision.value if decision else ''} | {' | '.join(said)} |\n")
    return "".join(rows)


if __name__ == "__main__":
    sys.exit(main())

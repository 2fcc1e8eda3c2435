"""``switchover calibrate``: Blue against itself, what every bar says of it, and the bars that fit."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from switchover.cli.bar import Bar
from switchover.cli.options import Result, runs
from switchover.edge.edge import Edge
from switchover.encoders.once import Once
from switchover.gold.goldset import gold_json
from switchover.judge.analysis import Analysis
from switchover.judge.evidence import Evidence
from switchover.judge.fitting import Said, calibrate, proposal
from switchover.judge.outcome import figure
from switchover.planfile.load import load_plan
from switchover.steps.calibrate import calibration_of
from switchover.steps.questions import gold_of, without_paraphrases
from switchover.steps.smoke import ask_blue_twice, judge_smoke
from switchover.text import table


def fill_calibrate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser = runs(parser, _calibrate, "switchover calibrate --plan docs.yaml > rules.yaml")
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds over the gold set (default: warm.min_rounds)")


def _calibrate(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan)
    encoder = Once(plan.judge_encoder.build(edge))
    gold = gold_of(plan, edge, encoder, lacking_is_error=False)
    rules = without_paraphrases(plan.rules, gold)
    show = Bar("probes").show
    live, rows = ask_blue_twice(plan, edge, gold=gold, encoder=encoder, rounds=options.rounds, on_progress=show)
    judge = calibration_of(encoder, gold, pin=encoder.read_back())
    verdicts = judge_smoke(rows, gold, rules=rules, both=True, judge=judge)
    evidence = Evidence.from_rows(rows, gold.ids, grade=gold.grade.value, wordings=gold.asked)
    said = calibrate(verdicts, Analysis(evidence), rules)
    block = proposal(said)
    if rules.off:
        block["off"] = {**rules.off, **block.get("off", {})}
    sys.stderr.write(f"{live} against itself, {len(gold.items)} questions, coverage by {gold.grade}\n{_table(said)}\n")
    body = yaml.safe_dump({"rules": block}, sort_keys=False, allow_unicode=True) if block else "rules: {}\n"
    reasons = [f"# {each.rule}: {each.reason}" for each in said if each.proposed]
    data = {"arm": live, "gold": gold_json(gold), "rules": block, "said": [each.to_json() for each in said]}
    return "\n".join([*reasons, body.rstrip("\n")]), data, 0


def _table(said: list[Said]) -> str:
    head = ["rule", "says", "Blue against itself", "bound", "noise", "proposed", "why"]
    return table([head, *([_cell(cell) for cell in _row(each)] for each in said)])


def _row(each: Said) -> list[object]:
    proposed = ", ".join(f"{key} {value}" for key, value in each.proposed.items()) or "as it is"
    return [each.rule, each.outcome, each.value, each.bound, each.noise, proposed, each.reason[:80]]


def _cell(value: object) -> str:
    return "–" if value is None else figure(value) if isinstance(value, float) else str(value)

"""The judge's commands: ``eval`` and ``replay``. Exit 0 pass, 1 fail, 3 inconclusive, 4 could not measure."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from switchover.cli.bar import Bar
from switchover.cli.options import Result, ledger_option, runs
from switchover.compare.arms import compare_arms, of_probes
from switchover.compare.text import compared_text
from switchover.edge.edge import Edge
from switchover.encoders.once import Once
from switchover.errors import BadInput
from switchover.gold.goldset import gold_json
from switchover.judge.calibration import Calibration
from switchover.judge.gates import judge_acceptance
from switchover.judge.outcome import Verdict, worst
from switchover.judge.rules import Rules
from switchover.ledger import Ledger
from switchover.planfile.lines import LinedYaml
from switchover.planfile.load import load_plan
from switchover.report.summary import load_evidence, rule_table
from switchover.steps.calibrate import calibration_of
from switchover.steps.questions import gold_of
from switchover.steps.smoke import EXIT_CODES, arms_of, evaluate, judge_smoke


def fill_eval(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    smoke = runs(parser, _eval, "switchover eval --plan docs.yaml --arm green")
    _plan_option(smoke)
    smoke.add_argument("--arm", choices=("green", "blue", "both"), default="both", help="whom to ask (default: both)")
    smoke.add_argument("--gold", type=Path, metavar="FILE", help="another gold set than the plan's")
    smoke.add_argument("--min-cov", type=float, metavar="X", help="accept coverage from X on")
    smoke.add_argument("--max-ds", type=float, metavar="X", help="accept a median ΔS up to X")
    smoke.add_argument("--rounds", type=int, metavar="N", help="rounds over the gold set (default: warm.min_rounds)")


def fill_replay(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    replay = runs(parser, _replay, "switchover replay docs:manual__2026 --rules stricter.yaml")
    replay.add_argument("run", metavar="RUN", help="id of the switchover, from `switchover status`")
    replay.add_argument("--rules", type=Path, metavar="FILE", help="YAML with the keys of `rules:` in a plan")
    replay.add_argument("--phase", choices=("warm", "hold"), help="which evidence (default: hold if there is any)")
    ledger_option(replay)


def _plan_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")


def _eval(options: argparse.Namespace, edge: Edge) -> Result:
    plan = load_plan(options.plan)
    rules = _changed(plan.rules, min_cov=options.min_cov, max_ds=options.max_ds)
    rounds = plan.warm.min_rounds if options.rounds is None else options.rounds
    if rounds < 1:
        raise BadInput(f"--rounds: found {rounds}; allowed: at least 1")
    encoder = Once(plan.judge_encoder.build(edge))
    gold = gold_of(plan, edge, encoder, path=options.gold)
    targets = arms_of(plan, edge, options.arm)
    show = Bar("probes").show
    asking = evaluate(
        plan=plan, edge=edge, gold=gold, encoder=encoder, targets=targets, rounds=rounds, on_progress=show
    )
    rows, failures = asyncio.run(asking)
    judge = calibration_of(encoder, gold, pin=encoder.read_back())
    verdicts = judge_smoke(rows, gold, rules=rules, both=len(targets) > 1, judge=judge)
    head = f"{', '.join(targets.values())}: {len(rows)} probes, {len(gold.items)} questions"
    if failures.lines():
        head = "\n".join([head, "not answered, the commonest first:", *(f"  {line}" for line in failures.lines())])
    told = {"gold": gold_json(gold), "judge": judge.to_json()}
    data = {"arms": targets, **told, "probes": len(rows), "errors": failures.to_json()}
    if len(targets) == 1:
        return _told(verdicts, data, head=head)
    compared = compare_arms(
        rows,
        gold.ids,
        rules=rules,
        items={item.id: item for item in gold.items},
        wordings=gold.asked,
        hits_of=lambda probes: of_probes(rows, probes),
    )
    return _told(verdicts, {**data, "comparison": compared.to_json()}, head=head, more=compared_text(compared))


def _replay(options: argparse.Namespace, edge: Edge) -> Result:
    ledger = Ledger(engine=edge.sql(options.ledger))
    row = ledger.runs.get(options.run)
    plan = row.read_plan()
    phase = options.phase or ledger.evidence.newest_phase(row.id)
    recording = load_evidence(ledger, row.id, phase=phase)
    if recording is None:
        raise BadInput(f"switchover {row.id!r}: has no {phase} evidence to judge")
    rules = LinedYaml.read(options.rules).validate(Rules) if options.rules else plan.rules
    verdicts = judge_acceptance(
        recording.evidence,
        rules=rules,
        signals=ledger.journal.samples(row.id) if phase == "hold" else None,
        rehearsal_ttr_s=ledger.rehearsals.counted_seconds(row, plan),
        traffic=phase == "hold",
        judge=None if row.judge is None else Calibration.from_json(row.judge),
    )
    gate = "hold" if phase == "hold" else "acceptance"
    before = {v["rule"]: v["outcome"] for v in ledger.journal.verdicts(row.id, gate=gate, latest=True)}
    changed = [
        f"{v.rule}: {before[v.rule]} -> {v.outcome}" for v in verdicts if before.get(v.rule, v.outcome) != v.outcome
    ]
    head = f"{row.id}, {phase}: {'; '.join(changed) if changed else 'no verdict changes'}"
    return _told(verdicts, {"run": row.id, "phase": phase, "before": before, "changed": changed}, head=head)


def _told(verdicts: Sequence[Verdict], data: Mapping[str, Any], *, head: str, more: str = "") -> Result:
    outcome = worst(verdicts)
    bodies = [verdict.to_json() for verdict in verdicts]
    open_lines = [f"{v.rule}: {v.detail}" for v in verdicts if v.outcome.value != "PASS"]
    text = "\n".join([head, rule_table(bodies), *open_lines, *([f"\n{more}\n"] if more else []), f"{outcome}"])
    return text, {**data, "outcome": outcome.value, "verdicts": bodies}, EXIT_CODES[outcome]


def _changed(rules: Rules, *, min_cov: float | None, max_ds: float | None) -> Rules:
    """The plan's rules with the bounds that the command line sets."""
    body = rules.model_dump()
    if min_cov is not None:
        stop = body["coverage"]["stop"]
        body["coverage"] |= {"accept": min_cov, "stop": None if stop is None else min(stop, min_cov)}
    if max_ds is not None:
        body["ds_question"] |= {"accept": max_ds}
    try:
        return Rules.model_validate(body)
    except ValueError as error:
        raise BadInput(f"--min-cov {min_cov}, --max-ds {max_ds}: allowed: 0 to 1 each") from error

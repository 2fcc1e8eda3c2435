"""``switchover power``: what a gold set and its traffic can tell; with ``--ask`` beside the service's own noise."""

from __future__ import annotations

import argparse
from pathlib import Path

from switchover.cli.bar import Bar
from switchover.cli.options import Result, runs
from switchover.edge.edge import Edge
from switchover.encoders.once import Once
from switchover.errors import BadInput
from switchover.gold.goldset import gold_json
from switchover.gold.item import Grade
from switchover.judge.by_vectors import worthless
from switchover.judge.evidence import Evidence
from switchover.judge.figures import Figures
from switchover.judge.identical import Identical, identical
from switchover.judge.outcome import figure, percent
from switchover.judge.power import Setup
from switchover.planfile.load import load_plan
from switchover.steps.calibrate import calibration_of
from switchover.steps.questions import gold_of
from switchover.steps.smoke import ask_blue_twice, judge_smoke
from switchover.text import table


def fill_power(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    power = runs(parser, _power, "switchover power --plan docs.yaml --rate 20 --ask")
    power.add_argument("--plan", type=Path, required=True, metavar="FILE", help="plan file")
    power.add_argument("--rate", type=float, default=0.0, metavar="N", help="live requests a second (default: 0)")
    power.add_argument(
        "--ask", action="store_true", help="ask Blue against itself, and say what can be told beside its noise"
    )
    power.add_argument("--rounds", type=int, metavar="N", help="rounds of --ask (default: warm.min_rounds)")


def _power(options: argparse.Namespace, edge: Edge) -> Result:
    if options.rounds is not None and not options.ask:
        raise BadInput("--rounds: needs --ask: without it nothing is asked")
    plan = load_plan(options.plan)
    encoder = Once(plan.judge_encoder.build(edge))
    gold = gold_of(plan, edge, encoder)
    judge = calibration_of(encoder, gold, pin=encoder.read_back())
    setup = Setup(
        questions=len(gold.items),
        answerable=sum(item.answerable for item in gold.items),
        rounds=plan.warm.min_rounds,
        seeds=plan.probes.seeds,
        tick_s=plan.hold.tick_s,
        hold_s=plan.hold.minutes * 60,
        requests_per_s=options.rate,
        paraphrases=gold.asked,
        by_ids=gold.grade is Grade.ID,
        cache=plan.cache is not None,
    )
    found = plan.rules.sufficiency(setup)
    rows = [[each.rule, each.side, "yes" if each.enough else "NO", each.text] for each in found]
    worth = worthless(plan.rules, judge)
    head = f"{setup.questions} questions, {plan.hold.minutes:g} min hold, {options.rate:g} requests/s"
    head += f"\n{worth or judge.line(plan.rules.ds_question.accept)}"
    data = {"gold": gold_json(gold), "judge": judge.to_json(), "rules": [each.to_json() for each in found]}
    text = f"{head}\n{table([['rule', 'side', 'enough', 'what it can tell'], *rows])}"
    enough = all(each.enough for each in found) and not worth
    if options.ask:
        show = Bar("probes").show
        live, probes = ask_blue_twice(plan, edge, gold=gold, encoder=encoder, rounds=options.rounds, on_progress=show)
        plain = Figures.plain(Evidence.from_rows(probes, gold.ids, grade=gold.grade.value, wordings=gold.asked))
        measured = identical(
            probes,
            plain,
            rules=plan.rules,
            judged=lambda drawn: judge_smoke(drawn, gold, rules=plan.rules, both=True, judge=judge),
        )
        data["asked"] = {"arm": live, "probes": len(probes), "rules": [each.to_json() for each in measured]}
        text += f"\n\n{live} against itself, {len(probes)} probes:\n{_measured(measured)}"
        enough = enough and all(each.enough for each in measured)
    return text, data, 0 if enough else 3


def _measured(found: list[Identical]) -> str:
    head = ["rule", "enough", "a Green that is Blue", "a question moves by", "what it shows"]
    return table([head, *(_row(each) for each in found)])


def _row(each: Identical) -> list[str]:
    gets = "" if each.worst is None or each.bound is None else f", {figure(each.worst)} to {figure(each.bound)}"
    shows = each.needs
    if each.questions is not None:
        loss = "no loss" if each.shows is None else f"a loss of {figure(each.shows)} on each"
        shows = "; ".join(filter(None, (f"of {each.questions} questions {loss}", each.needs)))
    moves = "–" if each.spread is None else figure(each.spread)
    return [each.rule, "yes" if each.enough else "NO", f"passes in {percent(each.passes)}{gets}", moves, shows]

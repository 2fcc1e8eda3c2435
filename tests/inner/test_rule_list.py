"""Adding a rule is one file and one line: whatever must know a rule is made from the list, or held against it here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from judge_cases import by_rule, evidence, hold_rows, number, on_green, probes, sample
from pydantic import Field, ValidationError

from switchover.judge import gates
from switchover.judge.accept import Acceptance
from switchover.judge.canaries import Canary
from switchover.judge.gates import Outcome, judge_acceptance, judge_stop
from switchover.judge.holdings import Holdings
from switchover.judge.outcome import Harm, Measured
from switchover.judge.power import Setup, Sufficiency
from switchover.judge.rules import RULE_KINDS, Rules
from switchover.judge.rules.base import Rule, RuleList, listed
from switchover.judge.settings import Count, Statistics
from switchover.judge.stop import HoldSoFar

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "include" / "switchover" / "judge" / "rules"
SETUP = Setup(
    by_ids=True, questions=40, answerable=40, rounds=3, seeds=2, tick_s=15, hold_s=1200, requests_per_s=20, cache=True
)


class Slow(Rule):
    """A rule that an installation might add: its file."""

    name = "slow_probes"
    short = "Probes that took long."
    measures = "probes of Green above a second"
    minimum_of = "requests"
    false_stop_share = 0.0
    first_steps = ("Which question is it?",)

    accept: Count = Field(default=3, description="Slow probes that are accepted.")
    stop: Count | None = Field(default=100, description="Slow probes above which the hold stops; null: never.")

    def measured(self, seen: Acceptance) -> Measured:
        """The probes above a second."""
        found = float((seen.both_ways.plain.green["ms_total"] > 1000).sum())
        return Measured(value=found, strict=found, n=seen.both_ways.plain.green.n)

    def judge_hold(self, hold: HoldSoFar) -> Any:
        """As many as at the end."""
        raise AssertionError(f"asked with {hold.green.n} probes")

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """Any setup shows them."""
        return Sufficiency(rule=self.name, side="accept", enough=True, smallest=None, text=f"{setup.warm_probes} asked")


class More(Rules):
    """The list with its line."""

    slow_probes: Slow = listed(Slow)


def test_one_file_and_one_line_are_a_rule_everywhere() -> None:
    rules = More.model_validate({"slow_probes": {"accept": 2}})
    spec = next(spec for spec in rules.table() if spec.name == "slow_probes")
    assert (spec.side, spec.bound, spec.minimum_of) == ("accept", 2.0, "requests")
    assert More.kinds() == {**RULE_KINDS, "slow_probes": Slow}
    assert [each.text for each in rules.sufficiency(SETUP) if each.rule == "slow_probes"] == ["720 asked"]
    assert "slow_probes" in More.model_json_schema()["properties"]

    slow = on_green(lambda r: {**r, "ms_total": 2000.0}, lambda r: number(r) + r["paraphrase"] + r["tick"] == 0)
    rows = probes(spoil=slow)  # with both seeds
    verdict = by_rule(judge_acceptance(evidence(rows), rules=rules, rehearsal_ttr_s=1.0, traffic=False))["slow_probes"]
    assert (verdict.outcome, verdict.value, verdict.n) == (Outcome.PASS, 2.0, 720)
    with pytest.raises(AssertionError, match="asked with"):
        judge_stop(evidence(hold_rows()), rules=rules, signals=[sample(900)])
    with pytest.raises(ValidationError, match="slow_probes: stop 1 is below accept 3"):
        More.model_validate({"slow_probes": {"stop": 1}})


def test_a_rule_of_which_something_is_not_said_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"Silent: says nothing about short, .*, first_steps, measured, power_to"):

        class Silent(Rule):
            name = "silent"

    with pytest.raises(TypeError, match="Harmless: says nothing about harm"):

        class Harmless(Rule):
            name = short = measures = minimum_of = not_in_power = "harmless"
            first_steps = ("Look.",)
            stop: Count | None = 0

            def measured(self, seen: Acceptance) -> Measured:
                return Measured(value=0, strict=0, n=1)


def test_a_stop_rule_without_a_share_of_false_stops_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="rule greedy: can stop a hold and has no share of its false stops"):

        class Greedy(Rule):
            name = short = measures = minimum_of = not_in_power = "greedy"
            first_steps = ("Look.",)
            stop: Count | None = 0

            def measured(self, seen: Acceptance) -> Measured:
                return Measured(value=0, strict=0, n=1)

            def harm(self, hold: HoldSoFar) -> Harm:
                return Harm(value=0, strict=0, evidence=0, n=1)


def test_all_rules_together_stop_no_more_good_holds_than_a_plan_tolerates() -> None:
    class Costly(Slow):
        false_stop_share = 0.01

    with pytest.raises(TypeError, match="the shares of false stops add up to 1.01; allowed: up to 1 in all"):

        class Overdrawn(Rules):
            slow_probes: Costly = listed(Costly)

    with pytest.raises(TypeError, match="listed under another name than their own: Slow as quick"):

        class Misnamed(RuleList):
            quick: Slow = listed(Slow)


def test_each_file_is_one_rule_and_each_rule_is_in_the_list() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base", "beside_blue"}  # bases
    assert files == set(RULE_KINDS)
    assert {name: kind.__module__.rsplit(".", 1)[1] for name, kind in RULE_KINDS.items()} == {n: n for n in files}


def test_every_table_has_the_order_of_the_list() -> None:
    names = list(RULE_KINDS)
    pages = (ROOT / "docs" / "rules" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[(\w+)\]", pages, re.MULTILINE) == names
    reference = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `rules\.(\w+)`", reference, re.MULTILINE) == [*names, "statistics"]
    specs = Rules().table()
    assert [spec.name for spec in specs if spec.side == "accept"] == names
    stops = [spec.name for spec in specs if spec.side == "stop"]
    assert stops == [name for name in names if name in stops]
    seen = evidence(probes())
    canaries: list[Canary] = []
    counted: dict[str, Any] = {"canaries": canaries, "holdings": Holdings(green=1, blue=1)}
    at_end = judge_acceptance(seen, rules=Rules(), rehearsal_ttr_s=1, traffic=True, signals=None, **counted)
    assert [verdict.rule for verdict in at_end] == names
    at_tick = judge_stop(seen, rules=Rules(), signals=None, canaries=canaries)
    assert [verdict.rule for verdict in at_tick] == stops


@pytest.mark.parametrize("kind", RULE_KINDS.values(), ids=lambda kind: kind.name)
def test_whatever_must_know_a_rule_knows_it(kind: type[Rule]) -> None:
    page = (ROOT / "docs" / "rules" / f"{kind.name}.md").read_text(encoding="utf-8")
    assert page.split("## When it fires\n\n")[1] == "".join(f"{n}. {s}\n" for n, s in enumerate(kind.first_steps, 1))
    assert f"def test_{kind.name}(" in (ROOT / "tests" / "inner" / "test_rules_examples.py").read_text(encoding="utf-8")
    said = {each.rule for each in Rules().sufficiency(SETUP)}
    assert (kind.name in said) != bool(kind.not_in_power), "power says what it tells, or the rule why not"


def test_canaries_are_judged_by_the_bounds_of_the_plan_and_only_when_they_were_asked() -> None:
    served = [Canary(seeded="blue", asked="green", cached=True, served=True)]
    rules = Rules.model_validate({"cache_poison": {"accept": 1, "stop": None}})
    seen = evidence(probes())
    given: dict[str, Any] = {"rehearsal_ttr_s": 1.0, "traffic": False}
    found = [
        by_rule(gates.judge_acceptance(seen, rules=each, canaries=canaries, **given)).get("cache_poison")
        for each, canaries in ((Rules(), served), (rules, served), (Rules(), None))
    ]
    assert [verdict and verdict.outcome for verdict in found] == [Outcome.FAIL, Outcome.PASS, None]
    stops = by_rule(judge_stop(seen, rules=rules, signals=[sample(900)], canaries=served))
    assert "cache_poison" not in stops


def test_a_plan_knows_the_rules_without_what_works_them_out() -> None:
    code = "import sys, switchover.judge.rules; print(sorted({'numpy', 'sqlalchemy', 'httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

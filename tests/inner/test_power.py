"""What a setup can show is what the judge then does."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from judge_cases import by_rule, evidence, number, on_green, probes, sample
from scipy.stats import binom

from switchover.judge.gates import Outcome, judge_acceptance, judge_stop
from switchover.judge.power import Setup, Sufficiency
from switchover.judge.rules import Rules

RULES = Rules()
SETUP = Setup(questions=40, answerable=40, rounds=3, seeds=2, tick_s=15, hold_s=1200, requests_per_s=20)


def said(rule: str, side: str, setup: Setup = SETUP) -> Sufficiency:
    return next(s for s in RULES.sufficiency(setup) if (s.rule, s.side) == (rule, side))


def test_the_usual_setup_is_enough_for_every_rule() -> None:
    found = RULES.sufficiency(SETUP)
    assert [s.rule for s in found if not s.enough] == []
    assert json.loads(json.dumps([s.to_json() for s in found], allow_nan=False))


def test_probes_before_the_warm_gate() -> None:
    # 40 · 3 · 2 · 3 = 720, of which none may fail (598 needed), as one failure needs 947
    assert said("error_rate", "accept").text.startswith("0.5 % needs 598 clean requests; the warm rounds ask 720 and")
    assert "may fail 0 times" in said("error_rate", "accept").text
    two_rounds = said("error_rate", "accept", dataclasses.replace(SETUP, rounds=2))
    assert not two_rounds.enough and "ask 480" in two_rounds.text


def test_too_few_questions_are_said() -> None:
    few = dataclasses.replace(SETUP, questions=12, answerable=10)
    assert "20 questions are needed" in said("ds_p95_drift", "accept", few).text
    assert "20 answerable questions are needed" in said("coverage", "accept", few).text
    assert not said("coverage", "accept", few).enough


@pytest.mark.parametrize("rule", ["coverage_vs_blue", "flips_vs_blue"])
def test_the_judge_fails_from_the_number_of_lost_questions_on_that_was_said(rule: str) -> None:
    lost = round((said(rule, "accept").smallest or 0) * 40)

    def outcome(questions: int) -> Outcome:
        worse = {"coverage": 0.0} if rule == "coverage_vs_blue" else {}
        spoil = on_green(
            lambda r: {**r, **(worse or ({"cited": "elsewhere"} if r["paraphrase"] == 2 else {}))},
            lambda r: number(r) < questions,
        )
        rows = probes(ticks=1, spoil=spoil)
        return by_rule(judge_acceptance(evidence(rows), rules=RULES, rehearsal_ttr_s=1, traffic=False))[rule].outcome

    assert outcome(lost) is Outcome.FAIL
    assert outcome(lost - 1) is Outcome.INCONCLUSIVE


def test_the_judge_stops_at_the_flip_rate_that_was_said() -> None:
    smallest = said("flip_rate", "stop").smallest or 0

    def outcome(flips: int) -> Outcome:
        spoil = on_green(
            lambda r: {**r, "cited": "elsewhere"} if r["paraphrase"] == 2 else r, lambda r: number(r) < flips
        )
        rows = probes(ticks=3, seeds=lambda tick: (0,), spoil=spoil)
        return by_rule(judge_stop(evidence(rows), rules=RULES, signals=[sample(900)]))["flip_rate"].outcome

    assert outcome(math.ceil(smallest * 40)) is Outcome.FAIL
    assert outcome(math.ceil(smallest * 40) - 2) is Outcome.INCONCLUSIVE


def test_the_judge_catches_the_5xx_that_was_said_with_the_chance_that_was_said() -> None:
    share = said("http_5xx", "stop").smallest or 0
    n = 3 * (300 + 120)
    rng = np.random.default_rng(3)
    rows = evidence(probes(ticks=3, seeds=lambda tick: (0,)))
    stops = {}
    for errors in range(45):
        live = [sample(300, errors if tick == 2 else 0, start=15 * tick, end=15 * tick + 15) for tick in range(3)]
        stops[errors] = by_rule(judge_stop(rows, rules=RULES, signals=live))["http_5xx"].outcome is Outcome.FAIL
    fewest = min(errors for errors, stopped in stops.items() if stopped)
    assert binom.sf(fewest - 1, n, share) >= 0.90  # all errors in one tick need a few more than spread over three
    assert np.mean(rng.binomial(n, share, 4000) >= fewest) >= 0.90


def test_more_traffic_shows_smaller_harm() -> None:
    busy = dataclasses.replace(SETUP, requests_per_s=200)
    assert (said("http_5xx", "stop", busy).smallest or 1) < (said("http_5xx", "stop").smallest or 0)


def test_no_traffic_at_all_is_said() -> None:
    silent = Setup(questions=2, answerable=2, rounds=1, seeds=1, tick_s=5, hold_s=60, requests_per_s=0)
    assert not said("http_5xx", "stop", silent).enough or (said("http_5xx", "stop", silent).smallest or 0) > 0.1

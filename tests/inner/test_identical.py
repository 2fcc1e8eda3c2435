"""What Blue against itself says before a run is what the judge then does."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from judge_cases import RULES, by_rule, evidence, number, on_green, probes, typed

from switchover.judge import power
from switchover.judge.evidence import Evidence
from switchover.judge.figures import Figures
from switchover.judge.gates import judge_acceptance
from switchover.judge.identical import DRAWS, Identical, drawn, identical
from switchover.judge.intervals import mean_lower
from switchover.judge.outcome import Outcome, Verdict
from switchover.judge.rules import RULE_KINDS

ASKED = [name for name, rule in RULE_KINDS.items() if rule.from_probes]


def judged(rows: Any) -> list[Verdict]:
    found = Evidence.from_rows(rows, [f"q{i}" for i in range(40)])
    verdicts = judge_acceptance(found, rules=RULES, rehearsal_ttr_s=1, traffic=False)
    return [verdict for verdict in verdicts if verdict.rule in ASKED]


def noisy(spread: float, seed: int = 1) -> Any:
    """Blue's coverage of a question moves by so much from one arm's turn to the other's."""
    random = np.random.default_rng(seed)
    moves = {(arm, question): random.normal(0, spread) for arm in ("blue", "green") for question in range(40)}
    return lambda row: {**row, "coverage": float(np.clip(0.7 + moves[row["arm"], number(row)], 0, 1))}


def of(rows: Any) -> dict[str, Identical]:
    found = typed(rows)
    plain = Figures.plain(Evidence.from_rows(found, [f"q{i}" for i in range(40)]))
    return {each.rule: each for each in identical(found, plain, rules=RULES, judged=judged)}


def test_a_service_that_always_answers_alike_passes_and_shows_what_the_judge_shows() -> None:
    found = of(probes())
    assert {rule: each.passes for rule, each in found.items() if not each.enough} == {}
    assert (found["coverage_vs_blue"].spread, found["coverage_vs_blue"].questions) == (0, 40)
    assert json.loads(json.dumps([each.to_json() for each in found.values()], allow_nan=False))
    shows = found["coverage_vs_blue"].shows or 0

    def outcome(loss: float) -> Outcome:
        rows = probes(spoil=on_green(lambda row: {**row, "coverage": 1 - loss}))
        found = judge_acceptance(evidence(rows), rules=RULES, rehearsal_ttr_s=1, traffic=False)
        return by_rule(found)["coverage_vs_blue"].outcome

    assert outcome(shows) is Outcome.FAIL
    assert outcome(shows - 0.002) is Outcome.INCONCLUSIVE
    assert (found["latency_p95"].spread, found["latency_p95"].shows) == (None, None), "no mean is compared"


def test_noise_makes_a_green_that_is_blue_fail_to_pass_and_hides_a_loss() -> None:
    quiet, loud = (of(probes(ticks=1, spoil=noisy(spread)))["coverage_vs_blue"] for spread in (0.01, 0.2))
    assert quiet.enough and quiet.passes == 1
    assert not loud.enough and 0.5 < loud.passes < 0.95, (
        "the mean of 40 moves by 0.2 · √2 / √40 = 0.045, the margin is 0.02"
    )
    assert loud.spread == pytest.approx(0.2 * 2**0.5, rel=0.25)
    assert (loud.worst or 0) < (loud.bound or 0) == -0.02
    assert (quiet.shows or 1) < (loud.shows or 0)


def test_the_loss_that_is_shown_is_caught_with_other_luck_and_half_of_it_is_not() -> None:
    """Ten measurements of the same noise, each held against forty new ones."""
    random = np.random.default_rng(100)
    margin = RULES.coverage_vs_blue.margin

    def noise() -> np.ndarray[Any, np.dtype[np.float64]]:
        found: np.ndarray[Any, np.dtype[np.float64]] = random.normal(0, 0.2, 40) - random.normal(0, 0.2, 40)
        return found

    def caught(loss: float) -> float:
        return float(np.mean([mean_lower(np.clip(noise() + loss, -1, 1), 0.025, -1, 1) > margin for _ in range(40)]))

    shown = [power.loss_shown(noise(), margin, 0.95) or 0 for _ in range(10)]
    assert power.loss_shown(np.zeros(40), margin, 0.95) == pytest.approx(0.15, abs=0.005)
    assert np.mean(shown) == pytest.approx(0.25, abs=0.02)
    assert np.mean([caught(loss) for loss in shown]) >= 0.9  # 0.93
    assert np.mean([caught(loss / 2) for loss in shown]) <= 0.2


def test_too_few_questions_show_no_loss_at_all() -> None:
    assert power.loss_shown(np.zeros(40), 0.02, 0.95) is not None
    assert power.loss_shown(np.zeros(4), 0.02, 0.95) is None
    assert power.loss_shown(np.zeros(0), 0.02, 0.95) is None


def test_a_draw_exchanges_the_names_of_whole_questions() -> None:
    rows = typed(probes(ticks=2))
    kept = {"same": 0, "exchanged": 0}
    for before, after in zip(rows, drawn(rows, 3), strict=True):
        assert before.probe == after.probe and before.ms_total == after.ms_total
        kept["same" if before.arm == after.arm else "exchanged"] += 1
    exchanged = {row.question for row, new in zip(rows, drawn(rows, 3), strict=True) if row.arm != new.arm}
    assert kept["exchanged"] == len(exchanged) * len(rows) / 40 and 8 < len(exchanged) < 32
    assert drawn(rows, 3) == drawn(rows, 3) != drawn(rows, 4)


def test_a_rule_that_is_noise_alone_passes_by_luck() -> None:
    """Half of the questions flip, on either arm as it happens: who flips more is chance."""
    coin = np.random.default_rng(5).random((2, 40)) < 0.5
    spoil = lambda row: (  # noqa: E731
        {**row, "cited": "elsewhere"}
        if row["paraphrase"] == 2 and coin[int(row["arm"] == "green"), number(row)]
        else row
    )
    found = of(probes(ticks=1, spoil=spoil))["flips_vs_blue"]
    assert 0.25 <= found.passes <= 0.8 and not found.enough
    assert found.passes * DRAWS == pytest.approx(round(found.passes * DRAWS))
    assert found.shows is not None and found.shows > 0.3

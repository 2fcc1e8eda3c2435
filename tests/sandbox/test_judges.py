"""Both bundled judges on the sandbox's gold set: one bound stays what it was, and they come to the same end."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from tests.inner.test_calibration import verdicts
from tests.sandbox.test_gold_set import gold

from switchover.encoders import Encoder
from switchover.encoders.multilingual import MultilingualEncoder
from switchover.encoders.once import Once
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.judge import measure
from switchover.judge.calibration import Calibration
from switchover.judge.outcome import Outcome
from switchover.steps.calibrate import calibration_of

ARMS = 60


@cache
def measured(kind: type[Any]) -> tuple[Calibration, np.ndarray[Any, Any]]:
    """A judge's calibration, and ΔS (3, n, n): of each wording of question i to the answer of question j."""
    encoder: Encoder = Once(kind())
    rows = [row for row, item in enumerate(gold().items) if item.answerable]
    answers = encoder.encode([gold().anchors[row] for row in rows])
    asked = [encoder.encode([gold().items[row].paraphrases[p] for row in rows]) for p in range(3)]
    return calibration_of(encoder, gold(), pin=encoder.read_back()), np.array([*asked, answers])


def end(kind: type[Any], seed: int, share_wrong: float) -> Outcome:
    """The verdict of ``ds_question`` on an arm that finds the wrong texts for a share of the questions."""
    judge, (*asked, answers) = measured(kind)
    random, n = np.random.default_rng(seed), len(answers)
    wrong = random.random(n) < share_wrong
    first = np.where(wrong, random.permutation(n), np.arange(n))
    context = answers[first] + 0.3 * answers[random.permutation(n)]  # a second hit is never as near
    ds = np.array([measure.delta_s(texts, context) for texts in asked])
    return verdicts(judge, ds)["ds_question"].outcome


def test_the_reference_keeps_its_bound() -> None:
    judge, _ = measured(WordLlamaEncoder)
    assert (judge.bound, judge.blind, judge.questions) == (0.45, "", 45)
    assert judge.auc is not None and judge.auc > 0.99
    assert judge.judge["pin"].startswith("sha256:")


def test_the_second_judge_reads_the_gold_set_on_a_scale_of_its_own() -> None:
    judge, _ = measured(MultilingualEncoder)
    assert not judge.blind and judge.bound is not None and 0.48 <= judge.bound <= 0.58


def test_the_same_arms_come_to_the_same_end_under_either_judge() -> None:
    """Half are good (at most one question in ten is wrong), half are bad (at least eight in ten are)."""
    random = np.random.default_rng(7)
    shares = [random.uniform(0, 0.1) if seed % 2 else random.uniform(0.8, 1) for seed in range(ARMS)]
    ends = [
        tuple(end(kind, seed, shares[seed]) for kind in (WordLlamaEncoder, MultilingualEncoder)) for seed in range(ARMS)
    ]
    same = sum(one is other for one, other in ends)
    assert same >= 0.95 * ARMS

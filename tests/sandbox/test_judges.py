"""Both bundled judges on the sandbox's gold set: their bounds, and which arms come to the same end under either.

An *end* is the worst verdict of the two rules on ΔS at the warm gate, beside a good Blue. An arm is answers of the good
Green, but for some questions, which an index of another encoder answers. The figures stand in docs/encoders.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from typing import Any

import numpy as np
from tests.sandbox.test_gold_set import BLUE, GREEN, ROUND, gold, replies

from switchover.arms.probe import Asked, evidence_rows
from switchover.arms.spec import Probes
from switchover.encoders import Encoder
from switchover.encoders.multilingual import MultilingualEncoder
from switchover.encoders.once import Once
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.judge.calibration import Calibration
from switchover.judge.evidence import Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.gates import judge_acceptance
from switchover.judge.outcome import Outcome, worst
from switchover.judge.rules import RULE_KINDS, Rules
from switchover.steps.calibrate import calibration_of

ARMS = 200  # half of them good
GOOD_UP_TO, BAD_FROM = 1, 5  # questions of 48 that are answered wrongly: two in a hundred, one in ten
BAR = 0.95
OF_VECTORS = ("ds_question", "ds_p95_drift")
JUDGES = (WordLlamaEncoder, MultilingualEncoder)
AT = datetime(2026, 1, 1, tzinfo=timezone.utc)


@cache
def judge(kind: type[Any]) -> Encoder:
    return Once(kind())


@cache
def calibrated(kind: type[Any]) -> Calibration:
    return calibration_of(judge(kind), gold(), pin=judge(kind).read_back())


@cache
def measured(kind: type[Any], variant: str) -> dict[str, list[EvidenceRow]]:
    """What one judge measures of Blue's build and of a variant of Green's, probe by probe in one order."""
    both = {"blue": replies(BLUE), "green": replies(GREEN, variant)}
    asked = [
        Asked(arm=role, question=question, paraphrase=paraphrase, seed=seed, reply=reply, at=AT)
        for role, answers in both.items()
        for (question, paraphrase, seed), reply in answers.items()
        if seed == 0  # an offline build answers every seed alike
    ]
    rows = evidence_rows(asked, ROUND, gold=gold(), encoder=judge(kind), probes=Probes())
    return {role: [row for row in rows if row.arm == role] for role in both}


def arms(wrong: Sequence[int]) -> list[frozenset[str]]:
    """Seeded arms by how many questions of each are answered wrongly: which ones."""
    random = np.random.default_rng(7)
    return [frozenset(random.choice(gold().ids, count, replace=False).tolist()) for count in wrong]


def ends(kind: type[Any], wrong: Sequence[frozenset[str]]) -> list[Outcome]:
    """What each arm comes to under one judge."""
    off = {name: "not of vectors" for name in RULE_KINDS if name not in (*OF_VECTORS, "rollback_path")}
    rules, found = Rules.model_validate({"off": off}), []
    right, foreign = measured(kind, "good"), measured(kind, "wrong-encoder")
    for questions in wrong:
        pairs = zip(right["green"], foreign["green"], strict=True)
        green = [other if other.question in questions else one for one, other in pairs]
        evidence = Evidence.from_rows(right["blue"] + green, gold().ids)
        verdicts = judge_acceptance(evidence, rules=rules, rehearsal_ttr_s=1, traffic=False, judge=calibrated(kind))
        found.append(worst([verdict for verdict in verdicts if verdict.rule in OF_VECTORS]))
    return found


def same(wrong: int) -> float:
    """The share of arms with so many wrong questions that come to the same end under both judges."""
    made = arms([wrong] * (ARMS // 2))
    return float(np.mean([one is other for one, other in zip(*(ends(kind, made) for kind in JUDGES), strict=True)]))


def test_the_reference_keeps_its_bound() -> None:
    found = calibrated(WordLlamaEncoder)
    assert (found.bound, found.blind, found.questions) == (0.45, "", 45)
    assert found.auc is not None and found.auc > 0.99
    assert found.judge["pin"].startswith("sha256:")


def test_the_second_judge_reads_the_gold_set_on_a_scale_of_its_own() -> None:
    found = calibrated(MultilingualEncoder)
    assert not found.blind and found.bound is not None and 0.48 <= found.bound <= 0.58


def test_decoys_are_read_and_are_the_harder_wrong_answers() -> None:
    for kind in JUDGES:
        found, without = calibrated(kind), calibration_of(judge(kind), replace(gold(), decoys=()), pin="")
        assert found.decoys > 80 and without.decoys == 0
        assert without.auc is not None and found.auc is not None and found.auc < without.auc
        assert found.bound == without.bound, "decoys say nothing of right answers"
        assert f"on 45 questions with {found.decoys} decoys" in found.line()


def test_good_and_bad_arms_come_to_their_own_end_under_either_judge_in_95_of_100() -> None:
    """Good: at most one question of 48 is wrong. Bad: from five on up to all of them are. All 200 here."""
    random, n = np.random.default_rng(3), len(gold().ids)
    made = arms([*random.integers(0, GOOD_UP_TO + 1, ARMS // 2), *random.integers(BAD_FROM, n + 1, ARMS // 2)])
    right = [Outcome.PASS] * (ARMS // 2) + [Outcome.FAIL] * (ARMS // 2)
    one, other = (ends(kind, made) for kind in JUDGES)
    assert sum(a is b for a, b in zip(one, other, strict=True)) >= BAR * ARMS
    for found in (one, other):
        assert sum(a is b for a, b in zip(found, right, strict=True)) >= BAR * ARMS


def test_between_good_and_bad_the_judges_differ_as_the_docs_say() -> None:
    """The p95 of 48 questions rests on the three farthest: each judge draws its line elsewhere among two to four."""
    assert same(GOOD_UP_TO) >= BAR and same(BAD_FROM) >= BAR
    assert same(2) < 0.6 and same(3) < 0.9

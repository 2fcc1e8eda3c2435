"""The gold set: a good build passes every rule of quality with it, and each kind of bad build fails.

No database: both arms answer through ``sandbox.service.retrieval``, the probe code measures them and the judge decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import pytest

from sandbox.service import build, corpus
from sandbox.service.retrieval import Offline
from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.shape import Shape
from switchover.arms.spec import Arm, Probes
from switchover.edge.answers import Reply
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.goldset import GoldSet, Item, load_gold, read_items
from switchover.judge.evidence import Evidence
from switchover.judge.gates import judge_acceptance
from switchover.judge.outcome import Outcome, Verdict
from switchover.judge.rules import Rules

GOLD = Path(__file__).parents[2] / "include" / "gold" / "python_reference.jsonl"
TOPICS = {"statements", "expressions", "data-model", "types", "debugger-or-misc"}
QUALITY = ("ds_question", "ds_p95_drift", "coverage", "coverage_vs_blue", "flip_rate", "flips_vs_blue")
ROUND = Round(phase="warm", tick=0, seeds=(0, 1))
BLUE, GREEN = "docs_v1", "docs_v2"
MUST_RESOLVE = 30


@cache
def texts() -> Mapping[str, str]:
    return {document.doc: document.text for document in corpus.documents()}


@cache
def items() -> list[Item]:
    return read_items(GOLD)[0]


@cache
def judge_encoder() -> WordLlamaEncoder:
    return WordLlamaEncoder(dimension=256)


@cache
def gold() -> GoldSet:
    return load_gold(GOLD, corpus=lambda _: texts(), encoder=judge_encoder(), minimum=1)


@cache
def replies(target: str, variant: str = "good", inverted: bool = False) -> Mapping[tuple[int, int, int], Reply]:
    """What a build answers to every question (position), paraphrase and seed."""
    arm = Offline(build.spec_for(target, variant))
    shape = Shape.of(target, Arm(connection="c"))
    found = {}
    for question, item in enumerate(gold().items):
        for paraphrase in range(3):
            for seed in ROUND.seeds:
                answer = arm.ask(item.paraphrases[paraphrase], seed=seed, inverted=inverted)
                found[question, paraphrase, seed] = shape.reply(answer, status=200, elapsed_ms=1.0)
    return found


def verdicts(green: Mapping[tuple[int, int, int], Reply]) -> dict[str, Verdict]:
    """The warm gate's verdicts on ``green`` beside the good Blue, at the default bounds."""
    asked = [
        Asked(
            arm=role,
            question=question,
            paraphrase=paraphrase,
            seed=seed,
            reply=reply,
            at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        )
        for role, answers in (("blue", replies(BLUE)), ("green", green))
        for (question, paraphrase, seed), reply in answers.items()
    ]
    rows = evidence_rows(asked, ROUND, gold=gold(), encoder=judge_encoder(), probes=Probes())
    evidence = Evidence.from_rows(rows, gold().ids)
    found = judge_acceptance(evidence, rules=Rules(), rehearsal_ttr_s=1.0, traffic=False)
    return {verdict.rule: verdict for verdict in found if verdict.rule in QUALITY}


def test_items_are_well_formed() -> None:
    assert len(items()) >= 45
    assert len({item.id for item in items()}) == len(items())
    assert sum(item.answerable for item in items()) >= 40
    assert {item.tags["topic"] for item in items()} == TOPICS


def test_wordings_differ_from_the_question_and_from_each_other() -> None:
    seen: dict[str, str] = {}
    for item in items():
        for wording in (item.question, *item.paraphrases):
            plain = " ".join(wording.lower().split()).rstrip("?.")
            assert plain not in seen, f"{item.id} and {seen[plain]} ask the same: {wording}"
            seen[plain] = item.id


def test_answers_and_decoys_fit_the_corpus() -> None:
    for item in items():
        answering = {answer.doc for answer in item.answers}
        assert bool(item.answers) == item.answerable, item.id
        assert 1 <= len(item.decoys) <= 2, item.id
        assert set(item.decoys) <= texts().keys() - answering, item.id
        assert all(answer.quote and 60 <= len(answer.quote) <= 400 for answer in item.answers), item.id


def test_the_lines_are_plain_utf8_json() -> None:
    lines = GOLD.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [item.id for item in items()]


def test_enough_quotes_resolve_on_this_interpreter() -> None:
    resolving = [item for item in gold().items if item.answerable]
    unresolved = "; ".join(f"{item}: {why}" for item, why in gold().invalid.items())
    assert len(resolving) >= MUST_RESOLVE, unresolved
    # An ambiguous quote would be looked for in one place while the other is as right.
    twice = [i.id for i in resolving for a in i.answers if a.quote and texts()[a.doc].count(a.quote) > 1]
    assert twice == []


@pytest.mark.parametrize("target", [GREEN, BLUE])
def test_a_good_build_passes_every_rule_of_quality(target: str) -> None:
    found = verdicts(replies(target))
    assert set(found) == set(QUALITY)
    assert [str(verdict) for verdict in found.values() if verdict.outcome is not Outcome.PASS] == []


def test_no_good_build_finds_everything() -> None:
    """Round figures hide what breaks on others: three answers are longer than one passage of either build."""
    found = {target: verdicts(replies(target))["coverage"].value for target in (BLUE, GREEN)}
    assert 0.7 < found[BLUE] < 0.95 < found[GREEN] < 1
    assert round(found[GREEN], 3) != found[GREEN]


def test_a_truncated_build_fails() -> None:
    found = verdicts(replies(GREEN, "truncated"))
    for rule in ("coverage", "coverage_vs_blue"):
        assert found[rule].outcome is Outcome.FAIL, str(found[rule])


def test_an_inverted_rerank_fails() -> None:
    found = verdicts(replies(GREEN, inverted=True))
    for rule in ("coverage", "coverage_vs_blue", "flip_rate", "flips_vs_blue"):
        assert found[rule].outcome is Outcome.FAIL, str(found[rule])

"""What `calibrate` proposes on a collection with document judgments only, and which Greens pass with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from passages import PASSAGES, QUESTIONS, Collection, Store, collection

from switchover.arms.probe import Asked, Round, evidence_rows
from switchover.arms.spec import Probes
from switchover.edge.answers import Hit, Reply
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.goldset import GoldSet, read_items
from switchover.judge.analysis import Analysis
from switchover.judge.evidence import Evidence
from switchover.judge.fitting import calibrate, proposal
from switchover.judge.outcome import Outcome, Verdict, worst
from switchover.judge.rules import Rules
from switchover.steps.questions import without_paraphrases
from switchover.steps.smoke import judge_smoke

GOLD = Path(__file__).parents[2] / "include" / "gold" / "python_reference.jsonl"
JUDGE = WordLlamaEncoder()
SMALL = WordLlamaEncoder(dimension=64)
K = 5


class Shuffled(WordLlamaEncoder):
    """An encoder of the same dimension whose axes mean something else."""

    def encode(self, texts: Any, **options: Any) -> Any:
        return super().encode(texts, **options)[:, np.random.default_rng(3).permutation(self.dimension)]


@pytest.fixture(scope="module")
def passages() -> Collection:
    return collection(read_items(GOLD)[0])


@pytest.fixture(scope="module")
def gold(passages: Collection, tmp_path_factory: pytest.TempPathFactory) -> GoldSet:
    return passages.load(tmp_path_factory.mktemp("beir") / "set", JUDGE)


Arm = Callable[[str], list[tuple[str, str]]]


def asked(gold: GoldSet, blue: Arm, green: Arm) -> list[Any]:
    """Evidence rows of five rounds with two seeds (600 probes of each arm); an arm always answers the same."""
    at, rows = datetime.now(timezone.utc), []
    probes = Probes(k=K)
    for tick in range(5):
        given = []
        for number, item in enumerate(gold.items):
            for role, arm in (("blue", blue), ("green", green)):
                hits = [Hit(id=id, doc=id, text=text, section=id) for id, text in arm(item.question)]
                for seed in range(2):
                    total = 20 + (number * 7 + tick * 3 + seed) % 11 / 10
                    reply = Reply(status=200, hits=hits, cited=hits[0].id, stages_ms={"total": total}, tool_calls=())
                    given.append(Asked(arm=role, question=number, paraphrase=0, seed=seed, reply=reply, at=at))
        round = Round(phase="eval", tick=tick, seeds=range(2))
        rows += evidence_rows(given, round, gold=gold, encoder=JUDGE, probes=probes)
    return rows


def judged(rows: list[Any], gold: GoldSet, rules: Rules) -> dict[str, Verdict]:
    return {verdict.rule: verdict for verdict in judge_smoke(rows, gold, rules=rules, both=True)}


CANNOT = ("cited_right", "cited_retrieved", "no_citation", "answer_match", "ds_anchor")


@pytest.fixture(scope="module")
def arms(passages: Collection) -> dict[str, Arm]:
    texts = passages.texts
    half = {id: text for number, (id, text) in enumerate(texts.items()) if number % 2}
    ids = list(texts)
    mixed = {id: texts[ids[(at * 71 + 13) % len(ids)]] for at, id in enumerate(ids)}
    stores = {
        "blue": Store(texts, SMALL),
        "identical": Store(dict(texts), SMALL),
        "better": Store(texts, JUDGE),
        "half-empty": Store(half, JUDGE),
        "shuffled": Store(mixed, SMALL),
        "foreign": Store(texts, SMALL, query=Shuffled(dimension=64)),
    }
    found: dict[str, dict[str, list[tuple[str, str]]]] = {name: {} for name in stores}

    def arm(name: str) -> Arm:
        def ask(question: str) -> list[tuple[str, str]]:
            if question not in found[name]:
                found[name][question] = stores[name].hits(question, K)
            return found[name][question]

        return ask

    return {name: arm(name) for name in stores}


@pytest.fixture(scope="module")
def proposed(gold: GoldSet, arms: dict[str, Arm]) -> Rules:
    """The bars that follow from Blue against itself, and from nothing else."""
    off = dict.fromkeys(CANNOT, "the service says no answer")
    rules = without_paraphrases(Rules.model_validate({"off": off}), gold)
    rows = asked(gold, arms["blue"], arms["blue"])
    verdicts = judge_smoke(rows, gold, rules=rules, both=True)
    evidence = Evidence.from_rows(rows, gold.ids, grade=gold.grade.value, wordings=gold.asked)
    block = proposal(calibrate(verdicts, Analysis(evidence), rules))
    return Rules.model_validate({**block, "off": {**rules.off, **block.get("off", {})}})


def test_the_collection_is_what_it_says(passages: Collection, gold: GoldSet) -> None:
    assert (len(passages.texts), len(gold.items), gold.grade.value) == (PASSAGES, QUESTIONS, "id")
    assert (gold.paraphrases, gold.asked) == (0, 1)
    assert {grade for judged in gold.relevant for grade in judged.values()} == {1, 2}


@pytest.mark.parametrize("green", ["identical", "better"])
def test_a_good_green_passes_with_what_calibrate_proposes(
    green: str, gold: GoldSet, arms: dict[str, Arm], proposed: Rules
) -> None:
    verdicts = judged(asked(gold, arms["blue"], arms[green]), gold, proposed)
    assert worst(list(verdicts.values())) is Outcome.PASS, [v.detail for v in verdicts.values() if v.outcome != "PASS"]
    assert {"recall_at_k", "ndcg_at_k", "mrr"} <= set(verdicts)


@pytest.mark.parametrize("green", ["half-empty", "shuffled", "foreign"])
def test_a_bad_green_fails_with_them(green: str, gold: GoldSet, arms: dict[str, Arm], proposed: Rules) -> None:
    verdicts = judged(asked(gold, arms["blue"], arms[green]), gold, proposed)
    failed = {name for name, verdict in verdicts.items() if verdict.outcome is Outcome.FAIL}
    assert failed & {"recall_at_k", "ndcg_at_k", "mrr", "coverage"}, {n: v.detail for n, v in verdicts.items()}

"""The judge encoder on a gold set: AUC, bound, blindness, and what the rules of ΔS make of it.

``tests/languages``: twenty questions of a house's handbook and their answers, in seven languages; our own sentences.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from tests.inner.judge_cases import QUESTIONS, by_rule, evidence, number, on_green, probes

from switchover.encoders import Encoder
from switchover.encoders.multilingual import MultilingualEncoder
from switchover.encoders.once import Once
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.gold.goldset import GoldSet, load_gold
from switchover.judge import measure
from switchover.judge.by_vectors import worthless
from switchover.judge.calibration import FEWEST, FEWEST_OF_TAG, Calibration, auc, calibrate
from switchover.judge.gates import judge_acceptance
from switchover.judge.outcome import Outcome, Verdict
from switchover.judge.rules import Rules
from switchover.steps.calibrate import calibration_of

LANGUAGES = Path(__file__).parents[1] / "languages"
JUDGE = {"name": "judge", "revision": "1", "dimension": 2, "pin": "sha256:abc"}
OF_VECTORS = ("ds_question", "ds_p95_drift")
READS = {
    "wordllama": {"en": True, "de": False, "ru": False, "zh": True, "ar": False, "hi": False, "th": False},
    "multilingual": {"en": True, "de": True, "ru": True, "zh": True, "ar": True, "hi": False, "th": True},
}


@cache
def encoder(kind: str) -> Encoder:
    return Once(WordLlamaEncoder() if kind == "wordllama" else MultilingualEncoder())


def rows_of(language: str) -> list[list[str]]:
    lines = (LANGUAGES / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines]


def gold_of(folder: Path, *languages: str, twice: str = "") -> GoldSet:
    """A gold set of these languages; ``twice``: each question again, with this before it."""
    texts, items = {}, []
    for language in languages:
        for place, (question, answer) in enumerate(rows_of(language)):
            doc = f"{language}-{place}"
            texts[doc] = answer
            for again, opening in enumerate(("", twice) if twice else ("",)):
                asked = opening + question
                item = {"id": f"{doc}-{again}", "question": asked, "tags": {"language": language}}
                item |= {"paraphrases": [asked, f"« {asked} »", f"– {asked}"]}
                items.append({**item, "answers": [{"doc": doc, "start": 0, "end": len(answer)}]})
    path = folder / "gold.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return load_gold(path, corpus=lambda docs: texts, encoder=WordLlamaEncoder(), minimum=1)


def of(ds: Any, tags: Any = None) -> Calibration:
    found = np.asarray(ds, dtype=float)
    n = found.shape[-1]
    return calibrate(found, np.eye(n) > 1, tags or [{}] * n, judge=JUDGE, gold="digest")


def test_auc_is_the_chance_that_a_right_one_is_smaller() -> None:
    assert auc(np.array([0.1, 0.4]), np.array([0.2, 0.4, 0.9])) == pytest.approx((3 + 1.5) / 6)
    random = np.random.default_rng(1)
    right, wrong = random.integers(0, 9, 40).astype(float), random.integers(2, 12, 70).astype(float)
    assert auc(right, wrong) == pytest.approx(mannwhitneyu(wrong, right).statistic / (40 * 70))


def test_the_bound_lies_where_nine_of_ten_right_answers_pass() -> None:
    ds = np.full((1, 20, 20), 0.9)
    ds[0][np.eye(20, dtype=bool)] = np.arange(20) / 100 + 0.101
    found = of(ds)
    assert (found.auc, found.bound, found.wrong) == (1.0, 0.28, 0.0)  # the 18th is 0.271
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_answers_that_share_a_text_are_no_wrong_ones() -> None:
    ds = np.full((1, 20, 20), 0.9)
    ds[0][np.eye(20, dtype=bool)] = 0.3
    ds[0, 0, 1] = ds[0, 1, 0] = 0.1
    same = np.zeros((20, 20), dtype=bool)
    assert calibrate(ds, same, [{}] * 20, judge=JUDGE, gold="x").auc < 1  # type: ignore[operator]
    same[0, 1] = same[1, 0] = True
    assert calibrate(ds, same, [{}] * 20, judge=JUDGE, gold="x").auc == 1


def told_apart(decoys: Any) -> Calibration:
    """A judge that tells every question's answer from the other questions' answers without fault."""
    n = len(decoys)
    ds = np.where(np.eye(n, dtype=bool), 0.3, 0.9)[None]
    return calibrate(ds, np.eye(n) > 1, [{}] * n, judge=JUDGE, gold="digest", decoys=np.asarray(decoys)[None])


def test_a_judge_that_does_not_tell_decoys_from_answers_is_refused() -> None:
    nothing, far, near = ([[value, value, value]] * 12 for value in (np.nan, 0.9, 0.2))
    assert (told_apart(nothing).auc, told_apart(nothing).decoys) == (1, 0)
    assert (told_apart(far).auc, told_apart(far).decoys, told_apart(far).blind) == (1, 36, "")
    refused = told_apart(near)
    assert refused.auc == pytest.approx(11 / 14)  # of 11 other answers and 3 decoys the decoys are nearer
    assert "AUC 0.786, at least 0.95 is needed" in refused.blind
    assert worthless(Rules(), refused)
    assert (refused.bound, refused.wrong) == (0.3, pytest.approx(3 / 14))
    assert "AUC 0.786 on 12 questions with 36 decoys" in refused.line()


def test_a_question_may_have_fewer_decoys_than_another() -> None:
    found = told_apart([[0.2, np.nan]] + [[np.nan, np.nan]] * 11)
    assert (found.decoys, found.auc) == (1, pytest.approx(1 - 1 / (12 * 11 + 1)))


def test_decoys_of_a_tag_count_for_that_tag() -> None:
    n = 2 * FEWEST_OF_TAG
    tags = [{"language": "en" if row < FEWEST_OF_TAG else "de"} for row in range(n)]
    ds = np.where(np.eye(n, dtype=bool), 0.3, 0.9)[None]
    near = np.full((1, n, 1), 0.9)
    near[0, FEWEST_OF_TAG:] = 0.1
    found = calibrate(ds, np.eye(n) > 1, tags, judge=JUDGE, gold="digest", decoys=near)
    assert found.auc is not None and found.auc > 0.95
    assert (found.tags["language=en"].auc, found.tags["language=de"].auc) == (1, pytest.approx(14 / 15))
    assert "where language=de" in found.blind


class Topics:
    """Hand-made vectors: the first axis is a question's own topic, so that a decoy of the topic lies near."""

    name, revision, dimension, exact = "topics", "1", 40, True

    def encode(self, texts: Any, *, query: bool = False) -> Any:
        return np.array([np.eye(self.dimension)[int(text.split()[1])] for text in texts]).reshape(-1, self.dimension)

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return [(0, len(text))]


@pytest.mark.parametrize(("topic", "blind"), [(0, True), (20, False)])
def test_decoys_come_from_the_corpus(topic: int, blind: bool, tmp_path: Path) -> None:
    """``topic`` 0: each decoy is of its question's topic; 20: of another one."""
    texts = {f"a{n}": f"topic {n} is answered here" for n in range(12)}
    texts |= {f"d{n}-{each}": f"topic {n + topic} is named only, at length" for n in range(12) for each in range(5)}
    items = [
        {
            "id": f"q{n}",
            "question": f"what {n} ?",
            "answers": [{"doc": f"a{n}", "start": 0, "end": len(texts[f"a{n}"])}],
            "decoys": ["gone", f"a{n}", *(f"d{n}-{each}" for each in range(5))],
        }
        for n in range(12)
    ]
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    asked: list[str] = []

    def corpus(docs: Any) -> dict[str, str]:
        asked.extend(docs)
        return {doc: texts[doc] for doc in docs if doc in texts}

    gold = load_gold(path, corpus=corpus, encoder=Topics(), minimum=1)  # type: ignore[arg-type]
    assert [len(each) for each in gold.decoys] == [2] * 12, "three are read, of which one is gone; an answer is none"
    assert len(gold.decoys[0][0]) == len(gold.anchors[0])
    assert "d0-4" not in asked, "a set of TREC has a thousand of a question"
    found = calibration_of(Topics(), gold, pin="")  # type: ignore[arg-type]
    assert (found.decoys, bool(found.blind)) == (24, blind)


@pytest.mark.parametrize("n", [0, 1, FEWEST - 1])
def test_too_few_questions_give_no_bound_and_no_pass(n: int) -> None:
    found = of(np.full((3, n, n), 0.3))
    assert (found.auc, found.bound, found.blind) == (None, None, "")
    assert f"{n} questions have an answer, {FEWEST} are needed" in found.unknown
    assert Calibration.from_json(found.to_json()) == found
    assert worthless(Rules(), found) and not worthless(Rules.model_validate({"ds_question": {"accept": 0.4}}), found)


def test_a_tag_that_is_not_read_makes_the_judge_blind() -> None:
    """Over all, the judge is good; within one language all answers look alike."""
    n = 2 * FEWEST_OF_TAG
    tags = [{"language": "en" if row < FEWEST_OF_TAG else "ar"} for row in range(n)]
    ds = np.full((1, n, n), 0.95)
    ds[0][np.eye(n, dtype=bool)] = 0.2
    ds[0, FEWEST_OF_TAG:, FEWEST_OF_TAG:] = np.random.default_rng(1).uniform(0.1, 0.3, (FEWEST_OF_TAG, FEWEST_OF_TAG))
    found = of(ds, tags)
    assert found.tags["language=en"].auc == 1 and found.tags["language=ar"].auc < 0.8  # type: ignore[operator]
    assert "where language=ar" in found.blind
    assert of(ds[:, :-1, :-1], tags[:-1]).tags["language=ar"].auc is None


def verdicts(calibration: Calibration | None, ds: Any = None, rules: Rules | None = None) -> dict[str, Verdict]:
    """The ΔS verdicts at the warm gate; ``ds`` (3, questions): what Green has."""
    questions = len(QUESTIONS) if ds is None else ds.shape[1]
    spoil = on_green(lambda row: {**row, "ds_question": float(ds[row["paraphrase"], number(row)])})
    rows = probes(questions=questions, **({} if ds is None else {"spoil": spoil}))
    seen = evidence(rows, questions)
    found = judge_acceptance(seen, rules=rules or Rules(), rehearsal_ttr_s=1, traffic=False, judge=calibration)
    return {rule: verdict for rule, verdict in by_rule(found).items() if rule in OF_VECTORS}


def good(bound: float = 0.5) -> Calibration:
    return Calibration(judge=JUDGE, gold="digest", questions=40, auc=0.99, bound=bound)


def test_each_verdict_on_vectors_carries_judge_digest_auc_and_bound() -> None:
    for verdict in verdicts(good()).values():
        assert verdict.outcome is Outcome.PASS
        assert "judge judge 1 (sha256:abc), AUC 0.990 on 40 questions, its bound 0.5" in verdict.detail
    assert verdicts(good())["ds_question"].bound == 0.5
    assert verdicts(None)["ds_question"].bound == 0.45


def test_the_judge_s_own_bound_decides_unless_the_plan_says_one() -> None:
    never = Rules.model_validate({"ds_question": {"margin": None}})
    assert verdicts(good(0.3), rules=never)["ds_question"].outcome is Outcome.FAIL  # medians are 0.339
    assert "its bound 0.3" in verdicts(good(0.3))["ds_question"].detail  # Blue is beyond it as well: its second form
    said = verdicts(good(0.3), rules=Rules.model_validate({"ds_question": {"accept": 0.4}}))["ds_question"]
    assert (said.outcome, said.bound) == (Outcome.PASS, 0.4)
    assert "its bound 0.3, 0.4 by the plan's word" in said.detail


@pytest.mark.parametrize("accept", [None, 0.6])
def test_a_blind_judge_says_neither_pass_nor_fail(accept: float | None) -> None:
    blind = Calibration(judge=JUDGE, gold="digest", questions=40, auc=0.9, bound=0.5)
    rules = Rules.model_validate({"ds_question": {"accept": accept}})
    for ds in (None, np.full((3, 40), 0.99)):
        for verdict in verdicts(blind, ds, rules).values():
            assert verdict.outcome is Outcome.INCONCLUSIVE
            assert "cannot tell right answers from wrong ones: AUC 0.900, at least 0.95 is needed" in verdict.detail


def test_no_rule_on_vectors_needs_no_judge() -> None:
    blind = Calibration(judge=JUDGE, gold="digest", questions=40, auc=0.9, bound=0.5)
    assert worthless(Rules(), blind)
    assert not worthless(Rules.model_validate({"off": dict.fromkeys(OF_VECTORS, "the service gives no text")}), blind)


@pytest.mark.parametrize("language", READS["wordllama"])
@pytest.mark.parametrize("kind", READS)
def test_which_judge_reads_which_language(kind: str, language: str, tmp_path: Path) -> None:
    """The table of docs/encoders.md."""
    found = calibration_of(encoder(kind), gold_of(tmp_path, language), pin="")
    assert (not found.blind) == READS[kind][language], found.auc


def test_an_arabic_green_that_is_wrong_on_all_forty_questions_never_passes(tmp_path: Path) -> None:
    """Under the English judge all Arabic lies near all Arabic: every bound would let it through."""
    gold = gold_of(tmp_path, "ar", twice="من فضلك، ")
    assert len(gold.items) == 40
    for kind, expected in (("wordllama", Outcome.INCONCLUSIVE), ("multilingual", Outcome.FAIL)):
        vectors = encoder(kind).encode(gold.anchors)
        asked = [encoder(kind).encode([item.paraphrases[p] for item in gold.items]) for p in range(3)]
        right = np.array([measure.delta_s(texts, vectors) for texts in asked])
        wrong = np.array([measure.delta_s(texts, np.roll(vectors, 4, axis=0)) for texts in asked])
        judge = calibration_of(encoder(kind), gold, pin="")
        assert verdicts(judge, wrong)["ds_question"].outcome is expected
        assert verdicts(None, wrong)["ds_question"].outcome is (Outcome.PASS if kind == "wordllama" else Outcome.FAIL)
        if kind == "multilingual":
            assert verdicts(judge, right)["ds_question"].outcome is Outcome.PASS

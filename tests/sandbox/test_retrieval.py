"""Ranking and the extractive answer, without a database."""

from __future__ import annotations

import pytest

from sandbox.service import build, ranking
from sandbox.service.retrieval import Offline

ASKED = {
    "What happens to an exception when __exit__ returns true?": "with",
    "How can a number be shown with a comma as thousands separator?": "formatstrings",
    "Which string method strips leading whitespace?": "string-methods",
    "What does the with statement do?": "with",
    "What does the nonlocal statement do?": "nonlocal",
    "Set a breakpoint in the debugger": "debugger",
}


@pytest.fixture(scope="module")
def green() -> Offline:
    return Offline(build.DOCS_V2)


def without_times(answer: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in answer.items() if key != "stages_ms"}


@pytest.mark.parametrize("question", ASKED)
def test_an_answer_cites_the_right_section(green: Offline, question: str) -> None:
    answer = green.ask(question)
    assert answer["cited"] == ASKED[question]
    assert any(answer["answer"] in " ".join(hit["text"].split()) for hit in answer["hits"])


def test_the_same_question_gives_the_same_answer_whatever_the_seed(green: Offline) -> None:
    question = next(iter(ASKED))
    assert without_times(green.ask(question, seed=0)) == without_times(green.ask(question, seed=1))
    assert without_times(green.ask(question)) == without_times(Offline(build.DOCS_V2).ask(question))


def test_hits_carry_their_place_and_their_build(green: Offline) -> None:
    answer = green.ask("What does the with statement do?", k=5)
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3, 4, 5]
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    for hit in answer["hits"]:
        assert hit["snippet_id"] == f"{hit['doc']}:{hit['start']}-{hit['end']}"
        assert hit["index_hash"] == answer["index_hash"] == green.manifest.index_hash
        assert hit["end"] - hit["start"] == len(hit["text"])
        assert hit["tokens"] > 0


def test_an_inverted_rerank_gives_the_worst_candidates(green: Offline) -> None:
    question = next(iter(ASKED))
    best = {hit["snippet_id"] for hit in green.ask(question)["hits"]}
    worst = {hit["snippet_id"] for hit in green.ask(question, inverted=True)["hits"]}
    assert not best & worst


def test_a_question_without_known_words_is_not_answered(green: Offline) -> None:
    answer = green.ask("?!")
    assert (answer["answer"], answer["cited"]) == (ranking.NOT_FOUND, None)


def test_stages_are_timed(green: Offline) -> None:
    stages = green.ask("What is a generator?")["stages_ms"]
    assert set(stages) == {"retrieve", "rerank", "reason", "total"}
    parts = stages["retrieve"] + stages["rerank"] + stages["reason"]
    assert parts == pytest.approx(stages["total"], abs=0.01)

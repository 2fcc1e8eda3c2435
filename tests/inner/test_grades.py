"""Coverage by each grade of a gold set, and the figures of a ranking, by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from switchover.arms.coverage import Covered, covered, is_unknown
from switchover.edge.answers import Hit
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import GoldError
from switchover.gold.goldset import GoldSet, load_gold
from switchover.gold.item import Grade
from switchover.judge import ranking

ENCODER = WordLlamaEncoder(dimension=8)
TEXTS = {"d1": "The alias is moved by one request.", "d2": "Nothing else is moved.", "d3": "A third one."}
OPEN = {"id": "open", "question": "?", "answers": [], "answerable": False}


def gold(path: Path, *answers: dict[str, Any], **keys: Any) -> GoldSet:
    items = [{"id": "q", "question": "Who?", "answers": list(answers)}, OPEN]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    corpus = keys.pop("corpus", TEXTS)
    return load_gold(
        path,
        corpus=None if corpus is None else lambda docs: {doc: corpus[doc] for doc in docs if doc in corpus},
        encoder=ENCODER,
        minimum=1,
        **keys,
    )


def measured(gold: GoldSet, *replies: Sequence[Mapping[str, Any]], k: int = 5) -> Covered:
    """Each reply to the first question, then to the one without an answer."""
    hits = [[Hit(**hit) for hit in each] for each in replies for _ in (0, 1)]
    return covered([0, 1] * len(replies), hits, gold, encoder=ENCODER, k=k)


def test_by_text_the_words_of_the_reference_that_were_retrieved(tmp_path: Path) -> None:
    found = gold(tmp_path / "g", {"text": "The alias is moved."}, corpus=None)
    assert (found.grade.value, found.anchors) == ("text", ["The alias is moved.", ""])
    nothing, half, whole = [], [{"text": "ALIAS, the"}], [{"text": "is it moved"}, {"text": "the alias"}]
    shares = measured(found, nothing, half, whole).coverage
    assert shares[::2].tolist() == [0.0, 0.5, 1.0]
    assert np.isnan(shares[1::2]).all(), "an unanswerable question has no coverage"


def test_by_id_recall_and_ranking(tmp_path: Path) -> None:
    found = gold(tmp_path / "g", {"id": "d1", "grade": 2}, {"id": "d2"})
    assert (found.grade.value, found.relevant) == ("id", [{"d1": 2, "d2": 1}, {}])
    assert found.anchors[0] == f"{TEXTS['d1']}\n{TEXTS['d2']}"
    twice = [{"doc": "d3"}, {"doc": "d3"}, {"doc": "d1"}, {"doc": "d1"}]  # a document counts where it stands first
    figures = measured(found, twice, [{"doc": "d1"}, {"doc": "d2"}], [])
    assert figures.coverage[::2].tolist() == [0.5, 1.0, 0.0]
    assert figures.reciprocal_rank[::2].tolist() == [0.5, 1.0, 0.0]
    best = 2 + 1 / math.log2(3)
    assert figures.ndcg[::2] == pytest.approx([2 / math.log2(3) / best, 1.0, 0.0])
    assert np.isnan(figures.ndcg[1::2]).all()


def test_chunks_are_judged_by_the_hits_own_ids(tmp_path: Path) -> None:
    found = gold(tmp_path / "g", {"id": "c7"}, corpus=None, judged="chunks")
    figures = measured(found, [{"doc": "c7", "id": "c1"}, {"doc": "x", "id": "c7"}])
    assert (figures.coverage[0], figures.reciprocal_rank[0]) == (1.0, 0.5)


def test_a_hit_that_does_not_say_what_it_is_judged_by_is_unknown(tmp_path: Path) -> None:
    place, text, id = (
        gold(tmp_path / "g", answer) for answer in ({"doc": "d1", "quote": "one"}, {"text": "one"}, {"id": "d1"})
    )
    assert [is_unknown(Hit(text="one"), each) for each in (place, text, id)] == [False, False, True]
    assert [is_unknown(Hit(doc="d1"), each) for each in (place, text, id)] == [True, True, False]
    assert [is_unknown(Hit(id="c"), each) for each in (place, text, id)] == [True, True, False]


def test_a_lower_grade_can_be_asked_for_and_a_higher_one_not(tmp_path: Path) -> None:
    place = {"doc": "d1", "quote": "one request"}
    assert gold(tmp_path / "g", place).grade.value == "span"
    by_id = gold(tmp_path / "g", place, grade=Grade.ID)
    assert (by_id.relevant[0], len(by_id.token_doc)) == ({"d1": 1}, 0)
    assert gold(tmp_path / "g", place, grade=Grade.TEXT).anchors[0] == "one request"
    with pytest.raises(GoldError, match="no grade span: 'q' has an answer that cannot be measured so"):
        gold(tmp_path / "g", {"id": "d1"}, grade=Grade.SPAN)


def test_what_the_corpus_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(GoldError, match="answers stand in documents, and the plan names no gold.corpus"):
        gold(tmp_path / "g", {"doc": "d1", "quote": "one request"}, corpus=None)
    found = gold(tmp_path / "g", {"id": "gone"})
    assert found.invalid == {"q": "document 'gone' is not in the corpus"}


# Figures of trec_eval (ndcg_cut.5, recall.5, recip_rank), made once by the package pytrec-eval-terrier 0.5.11.
TREC = [
    (["a", "b", "c", "d", "e"], {"a": 3, "c": 2, "e": 1}, 0.921248, 1.0, 1.0),
    (["x", "y", "a", "z", "b"], {"a": 1, "b": 1, "c": 1, "d": 1}, 0.346210, 0.5, 1 / 3),
    (["x", "b"], {"a": 2, "b": 1}, 0.239812, 0.5, 0.5),
    (["x", "y"], {"a": 1}, 0.0, 0.0, 0.0),
    (["d9", "d10", "d8"], {"d4": 3, "d11": 1}, 0.0, 0.0, 0.0),
    (["d4", "d7", "d6", "d9", "d1"], {"d3": 3, "d5": 3, "d10": 2}, 0.0, 0.0, 0.0),
    (["d8", "d10", "d4"], {"d0": 1, "d10": 1}, 0.386853, 0.5, 0.5),
    (["d0", "d1", "d4", "d3", "d6"], {"d9": 1, "d7": 3, "d11": 2, "d1": 1}, 0.121507, 0.25, 0.5),
    (["d8", "d10", "d3", "d4", "d7"], {"d3": 1, "d7": 1, "d4": 1, "d8": 3, "d9": 3}, 0.695219, 0.800000, 1.0),
    (["d0", "d2", "d6"], {"d10": 1}, 0.0, 0.0, 0.0),
    (["d7", "d10", "d2", "d8", "d6"], {"d4": 4, "d7": 1, "d10": 3, "d6": 4}, 0.525194, 0.750000, 1.0),
    (["d3", "d7", "d9", "d10", "d1"], {"d2": 4, "d7": 4, "d4": 1, "d10": 3, "d0": 3}, 0.393271, 0.400000, 0.5),
]


@pytest.mark.parametrize(("ranked", "relevant", "ndcg", "recall", "rank"), TREC)
def test_the_figures_are_those_of_trec_eval(
    ranked: list[str], relevant: dict[str, int], ndcg: float, recall: float, rank: float
) -> None:
    assert ranking.ndcg(ranked, relevant, k=5) == pytest.approx(ndcg, abs=1e-6)
    assert ranking.recall(ranked, relevant) == pytest.approx(recall)
    assert ranking.reciprocal_rank(ranked, relevant) == pytest.approx(rank)

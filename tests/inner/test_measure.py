"""The measures on cases that were worked out by hand; the arithmetic stands beside each."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cosine
from scipy.stats.mstats import mquantiles

from switchover.judge import measure
from switchover.judge.groups import FICKLE, NOT_ASKED, agreed, distinct, places, together

NAN, INF = float("nan"), float("inf")


def test_delta_s_by_hand() -> None:
    a = [[3, 4], [1, 0], [1, 0], [1, 1]]
    b = [[4, 3], [0, 2], [-5, 0], [2, 2]]
    # (12 + 12) / (5 · 5) = 0.96 -> 0.04; right angle -> 1; opposite: 1 - (-1) = 2, cut to 1; same way -> 0
    assert measure.delta_s(a, b) == pytest.approx([0.04, 1.0, 1.0, 0.0], abs=1e-15)


def test_delta_s_against_one_vector() -> None:
    assert measure.delta_s([[1, 0], [0, 1]], [1, 0]) == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("bad", [[0.0, 0.0], [NAN, 1.0], [INF, 0.0], [-INF, INF]])
def test_what_has_no_direction_is_as_far_as_can_be(bad: list[float]) -> None:
    assert measure.delta_s([bad], [[1.0, 0.0]]) == [1.0]
    assert measure.delta_s([[1.0, 0.0]], [bad]) == [1.0]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_delta_s_does_not_overflow(scale: float) -> None:
    assert measure.delta_s([[3 * scale, 4 * scale]], [[4.0, 3.0]]) == pytest.approx([0.04])


def test_delta_s_sums_in_float64() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal((5000, 64)).astype(np.float32) for _ in range(2))
    expected = [min(max(cosine(x, y), 0.0), 1.0) for x, y in zip(a.astype(float), b.astype(float), strict=True)]
    assert measure.delta_s(a, b) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [((2, 3), (2, 4)), ((2, 3), (3, 3))])
def test_delta_s_refuses_shapes_that_do_not_fit(a: tuple[int, int], b: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        measure.delta_s(np.ones(a), np.ones(b))


def test_delta_s_of_no_rows() -> None:
    assert measure.delta_s(np.zeros((0, 4)), np.zeros((0, 4))).shape == (0,)


def test_context_vectors_by_hand() -> None:
    vectors = [[2, 0], [0, 5], [0, 1]]  # at length 1: (1, 0), (0, 1), (0, 1)
    tokens, row = [3, 4, 1], [0, 0, 2]
    # joined: 3 (1, 0) + 4 (0, 1) = (3, 4), at length 1 (0.6, 0.8). Row 1 has no hits.
    assert measure.context_vectors(vectors, tokens, row, 3) == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, 1]]))
    # mean: (1, 1) / 2, at length 1 (0.7071, 0.7071)
    half = math.sqrt(0.5)
    assert measure.context_vectors(vectors, tokens, row, 3, "mean")[0] == pytest.approx([half, half])
    assert measure.context_vectors(vectors, tokens, row, 3, "top1")[0] == pytest.approx([1, 0])


def test_context_vectors_take_hits_in_any_order_of_rows() -> None:
    together = measure.context_vectors([[1, 0], [0, 1], [1, 1]], [1, 2, 3], [1, 0, 1], 2, "top1")
    assert together == pytest.approx(np.array([[0, 1], [1, 0]]))  # row 1's first hit is the first in rank


def test_hits_that_cancel_out_or_have_no_tokens_give_the_zero_vector() -> None:
    assert not measure.context_vectors([[1, 0], [-1, 0]], [2, 2], [0, 0], 1).any()
    assert not measure.context_vectors([[1, 0]], [0], [0], 1).any()
    assert not measure.context_vectors([[NAN, 0]], [1], [0], 1).any()
    assert measure.context_vectors(np.zeros((0, 5)), [], [], 2).shape == (2, 5)


@pytest.mark.parametrize(
    ("tokens", "row", "message"),
    [
        ([1], [0, 0], "unequal lengths"),
        ([1, -1], [0, 0], "token count"),
        ([1, NAN], [0, 0], "token"),
        ([1, 1], [0, 2], "outside"),
    ],
)
def test_context_vectors_refuse_what_does_not_fit(tokens: list[float], row: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure.context_vectors([[1, 0], [0, 1]], tokens, row, 2)


def cover(
    gold: list[tuple[int, int, int, int]], spans: list[tuple[int, int, int, int]], asked: list[int]
) -> list[float]:
    g, s = np.array(gold).reshape(-1, 4).T, np.array(spans).reshape(-1, 4).T
    return list(measure.coverage(*g, *s, asked, 3))


# Question 0: four tokens of document 0 at 0-3, 4-7, 8-11, 12-15. Question 1: one of document 1. Question 2: none.
GOLD = [(0, 0, 0, 3), (0, 0, 4, 7), (0, 0, 8, 11), (0, 0, 12, 15), (1, 1, 0, 5)]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 0, 0, 7)], 2 / 4),  # two tokens whole
        ([(0, 0, 0, 6)], 1 / 4),  # the second sticks out by one character
        ([(0, 0, 1, 7)], 1 / 4),  # the first sticks out in front
        ([(0, 0, 0, 7), (0, 0, 0, 7), (0, 0, 2, 7)], 2 / 4),  # overlapping hits count once
        ([(0, 0, 0, 5), (0, 0, 5, 7)], 2 / 4),  # the spans touch at 5: 4-7 lies in their union
        ([(0, 0, 0, 5), (0, 0, 6, 7)], 1 / 4),  # they do not touch: 4-7 is cut
        ([(0, 0, 6, 15), (0, 0, 0, 7)], 4 / 4),  # out of order
        ([(0, 1, 0, 15)], 0.0),  # the right offsets of the wrong document
        ([(0, 0, 0, 100), (0, 0, 2, 5)], 4 / 4),  # a span inside another does not shorten it
        ([], 0.0),  # nothing was retrieved
    ],
)
def test_coverage_by_hand(spans: list[tuple[int, int, int, int]], expected: float) -> None:
    assert cover(GOLD, spans, [0]) == [expected]


def test_coverage_keeps_rows_and_questions_apart() -> None:
    spans = [(0, 0, 0, 7), (1, 1, 0, 5), (2, 0, 0, 15)]
    found = cover(GOLD, spans, [0, 1, 1, 2])
    assert found[:3] == [0.5, 1.0, 0.0]
    assert math.isnan(found[3])  # question 2 has no gold tokens: unanswerable


def test_a_gold_token_that_is_given_twice_counts_once() -> None:
    # 0-3 twice and 4-7: one of two, not two of three
    assert cover([(0, 0, 0, 3), (0, 0, 0, 3), (0, 0, 4, 7)], [(0, 0, 0, 3)], [0]) == [0.5]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 9)), max_size=8), st.data())
def test_coverage_agrees_with_sets_of_characters(spans: list[tuple[int, int, int]], data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 36), st.integers(1, 4)), min_size=1))
    characters = {(doc, i) for doc, start, size in spans for i in range(start, start + size)}
    gold = {(doc, start, start + size) for doc, start, size in tokens}
    inside = sum(all((doc, i) in characters for i in range(start, end)) for doc, start, end in gold)
    found = cover([(0, *token) for token in gold], [(0, d, a, a + n) for d, a, n in spans], [0])
    assert found == [inside / len(gold)]


def states(runs: dict[int, list[int]], seeds: int = 1) -> str:
    """λ state of one question whose paraphrases cited these sections (-1: none), one run a seed."""
    flat = [(p, s, c) for p, cited in runs.items() for s, c in enumerate(cited)]
    p, s, c = (list(column) for column in zip(*flat, strict=True))
    return measure.STATE_SYMBOLS[measure.lambda_states([0] * len(p), p, s, c, 1)[0]]


@pytest.mark.parametrize(
    ("runs", "symbol"),
    [
        ({0: [7, 7], 1: [7, 7], 2: [7, 8]}, "→"),  # 5 of 6 = 0.83
        ({0: [7, 7], 1: [7, 7], 2: [8, 8]}, "<>"),  # 4 of 6 = 0.67
        ({0: [7], 1: [7], 2: [8]}, "<>"),  # 2 of 3
        ({0: [1, 2, 3, 4], 1: [1, 1, 1, 1], 2: [1, 1, 1, 1]}, "<>"),  # 9 of 12 = 0.75
        ({0: [2, 1, 1, 1, 1], 1: [1, 3, 1, 1, 1], 2: [1, 1, 4, 1, 1]}, "→"),  # 12 of 15 = 0.8 exactly
        ({0: [7, 8], 1: [7, 9], 2: [7, 6]}, "<>"),  # 3 of 6 = 0.5 exactly
        ({0: [7, 8], 1: [7, 9], 2: [5, 6]}, "←"),  # 2 of 6 = 0.33, but paraphrases 0 and 1 agree on 7
        ({0: [7, 7], 1: [8, 8], 2: [9, 9]}, "×"),  # no two paraphrases agree
        ({0: [7, 7], 1: [8, 9], 2: [5, 6]}, "×"),
        ({0: [-1], 1: [-1], 2: [-1]}, "×"),  # three runs that cite nothing do not agree
        ({0: [7], 1: [7], 2: [-1]}, "<>"),  # a failed run is a run: 2 of 3
        ({0: [7], 1: [-1], 2: [-1]}, "×"),
        ({0: [7, 7]}, "→"),  # one paraphrase cannot disagree
    ],
)
def test_lambda_states_by_hand(runs: dict[int, list[int]], symbol: str) -> None:
    assert states(runs) == symbol


def test_a_question_without_runs_is_chaotic() -> None:
    assert list(measure.lambda_states([1, 1], [0, 1], [0, 0], [3, 3], 3)) == [3, 0, 3]


def test_an_inert_seed_is_found_and_is_not_a_run() -> None:
    question, paraphrase = [0, 0, 0, 0], [0, 1, 0, 1]
    assert list(measure.inert_seeds(question, paraphrase, [0, 0, 1, 1], [5, 6, 5, 6])) == [1]
    assert list(measure.inert_seeds(question, paraphrase, [0, 0, 1, 1], [5, 6, 5, 7])) == []
    assert list(measure.inert_seeds([0], [0], [0], [5])) == []
    # Seeds 0 and 1 always cite 5; seed 2 cites 6. With seed 1 left out 5 has 2 of 4 = 0.5, else 4 of 6.
    runs = ([0] * 6, [0, 1] * 3, [0, 0, 1, 1, 2, 2], [5, 5, 5, 5, 6, 6])
    assert list(measure.inert_seeds(*runs)) == [1]
    assert measure.lambda_states(*runs, 1)[0] == measure.SPLIT
    lonely = ([0] * 9, [0, 1, 2] * 3, [0] * 3 + [1] * 3 + [2] * 3, [5, 5, 5, 5, 5, 5, 6, 6, 7])
    assert measure.lambda_states(*lonely, 1)[0] == measure.SPLIT  # 3 of 6 = 0.5; with the inert seed 6 of 9


def test_a_seed_of_an_arm_that_contradicts_itself_is_not_inert() -> None:
    # The same question was asked twice with each seed and cited 5, then 6: chance, not the seed.
    assert list(measure.inert_seeds([0] * 4, [0] * 4, [0, 0, 1, 1], [5, 6, 5, 6])) == []


runs_of_five = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(-1, 3)), min_size=1, max_size=40)


def test_what_runs_agree_on_by_hand() -> None:
    # Cell 0 cites 5 twice, cell 1 cites 5 and 6, cell 2 failed twice, cell 3 has no run.
    cell, cited = np.array([0, 1, 2, 0, 1, 2]), np.array([5, 5, -1, 5, 6, -1])
    assert list(agreed(cell, cited, 4)) == [5, FICKLE, -1, NOT_ASKED]
    table = np.array([[5, 5, FICKLE, NOT_ASKED, NOT_ASKED, -1], [5, 6, FICKLE, FICKLE, 7, 7]])
    assert list(together(table, axis=(0,))) == [5, FICKLE, FICKLE, FICKLE, 7, FICKLE]
    assert together(np.array([[NOT_ASKED, NOT_ASKED]]), axis=(0, 1)) == NOT_ASKED


@given(runs_of_five, st.lists(st.integers(0, 2), min_size=40, max_size=40))
def test_cells_taken_together_agree_as_their_runs_do(runs: list[tuple[int, int, int]], seeds: list[int]) -> None:
    q, p, c = (np.array(column) for column in zip(*runs, strict=True))
    which, table = measure.citations(q * 3 + p, np.array(seeds[: len(q)]), c, 15)
    assert list(which) == sorted(set(seeds[: len(q)]))
    whole = together(table.reshape(len(which), 5, 3), axis=(0, 2))
    assert list(whole) == list(agreed(q, c, 5))


@given(st.lists(st.integers(-5, 50), max_size=30))
def test_distinct_values_and_their_places(values: list[int]) -> None:
    column = np.array(values, dtype=np.int64)
    ranked = distinct(column)
    assert list(ranked) == sorted(set(values))
    assert list(ranked[places(column, ranked)]) == values


@given(runs_of_five)
def test_the_most_cited_section_is_counted(runs: list[tuple[int, int, int]]) -> None:
    q, _, c = (list(column) for column in zip(*runs, strict=True))
    top, n = measure.most_cited(q, c, 5)
    for question in range(5):
        cites = [section for number, section in zip(q, c, strict=True) if number == question]
        assert n[question] == len(cites)
        assert top[question] == max((cites.count(section) for section in cites if section >= 0), default=0)


@given(runs_of_five)
def test_lambda_states_agree_with_counting(runs: list[tuple[int, int, int]]) -> None:
    q, p, c = (list(column) for column in zip(*runs, strict=True))
    found = measure.lambda_states(q, p, [0] * len(q), c, 5)
    for question in range(5):
        mine = [(par, sec) for number, par, sec in runs if number == question]
        cites = [sec for _, sec in mine if sec >= 0]
        top = max((cites.count(sec) for sec in cites), default=0)
        agree = any(len({par for par, sec in mine if sec == one}) > 1 for one in set(cites))
        if not cites or (len({par for par, _ in mine}) > 1 and not agree):
            expected = "×"
        else:
            expected = "→" if top >= 0.8 * len(mine) else "<>" if top >= 0.5 * len(mine) else "←"
        assert measure.STATE_SYMBOLS[found[question]] == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: measure.lambda_states([0, 0], [0], [0, 0], [1, 1], 1),
        lambda: measure.inert_seeds([0, 0], [0, 0], [0], [1, 1]),
        lambda: measure.most_cited([0, 0], [1], 1),
        lambda: measure.coverage([0], [0], [0, 1], [3], [], [], [], [], [0], 1),
        lambda: measure.coverage([0], [0], [0], [3], [0], [0], [0, 2], [4], [0], 1),
    ],
)
def test_unequal_lengths_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="unequal lengths"):
        call()


def test_nothing_at_all_has_no_state_and_no_coverage() -> None:
    assert list(measure.lambda_states([], [], [], [], 2)) == [measure.CHAOTIC] * 2
    assert list(measure.inert_seeds([], [], [], [])) == []
    assert measure.coverage([], [], [], [], [], [], [], [], [], 0).shape == (0,)
    assert math.isnan(measure.coverage([], [], [], [], [], [], [], [], [0], 1)[0])


def test_flip_rate() -> None:
    assert measure.flip_rate([0, 1, 2, 3, 0]) == pytest.approx(3 / 5)
    assert math.isnan(measure.flip_rate([]))


def test_quantile_by_hand() -> None:
    # 5 values: place 0.95 · 4 = 3.8 -> 4 + 0.8 · (5 - 4) = 4.8
    assert measure.quantile([5, 1, 4, 2, 3], 0.95) == pytest.approx(4.8)
    assert list(measure.quantile([1.0, 2.0], [0.0, 0.5, 1.0])) == [1.0, 1.5, 2.0]
    assert measure.quantile([3.0], 0.95) == 3.0
    assert math.isnan(measure.quantile([], 0.5))
    assert math.isnan(measure.quantile([1.0, NAN], 0.5))


def test_quantile_of_a_request_that_never_ended() -> None:
    assert measure.quantile([1.0, 2.0, INF], 0.5) == 2.0  # exactly on a value: its neighbour does not matter
    assert measure.quantile([1.0, 2.0, INF], 0.95) == INF
    assert measure.quantile([INF, INF], 0.5) == INF


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)), st.lists(st.floats(0, 1), min_size=1))
def test_quantiles_are_numpys_and_scipys(values: np.ndarray, q: list[float]) -> None:
    before = values.copy()
    found = measure.quantile(values, q)
    assert found == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-9)
    assert found == pytest.approx(mquantiles(values, q, alphap=1, betap=1), rel=1e-9, abs=1e-9)
    assert (values == before).all()
    assert measure.quantile(values, q, reorder=True) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_quantile_of_ties_is_their_value(value: float) -> None:
    assert list(measure.quantile([value] * 7, [0.0, 0.33, 0.95, 1.0])) == [value] * 4


def test_statuses() -> None:
    assert list(measure.failed([200, 204, 299, 300, 404, 500, 0, 199])) == [False] * 3 + [True] * 5
    assert list(measure.server_errors([499, 500, 599, 600, 0])) == [False, True, True, False, False]

"""Blue against Green on every measure, by hand, and the questions that moved most with their hits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from judge_cases import Row, failed, number, on_green, probes, typed

from switchover.compare.arms import ArmsCompared, Measure, compare_arms, of_probes
from switchover.compare.text import compared_text
from switchover.gold.goldset import Item
from switchover.judge.rules import Rules

RULES = Rules()


def item(question: int, **changes: Any) -> Item:
    answers = [{"doc": "d", "start": 0, "end": 1}]
    body = {"id": f"q{question}", "question": "?", "paraphrases": ["one", "two", "three"], "answers": answers}
    return Item.model_validate({**body, **changes})


def compared(rows: Sequence[Row], questions: int = 4, **tags: dict[str, str]) -> ArmsCompared:
    """Both arms over the first questions; each row's hit is named after the probe it belongs to."""
    shown = [
        {**r, "hits": [{"doc": f"{r['arm']} {r['paraphrase']}", "start": 0, "end": 9, "section_id": r["cited"]}]}
        for r in rows
    ]
    return compare_arms(
        typed(rows),
        [f"q{i}" for i in range(questions)],
        rules=RULES,
        items={f"q{i}": item(i, tags=tags.get(f"q{i}", {})) for i in range(questions)},
        hits_of=lambda probes: of_probes(typed(shown), probes),
    )


def green(question: int, change: Callable[[Row], Row]) -> Callable[[Row], Row]:
    return on_green(change, lambda row: number(row) == question)


def spoilt(*spoils: Callable[[Row], Row], questions: int = 4) -> list[Row]:
    rows = probes(ticks=1, questions=questions)
    for spoil in spoils:
        rows = [spoil(row) for row in rows]
    return rows


def by_name(found: ArmsCompared) -> dict[str, Measure]:
    return {measure.name: measure for measure in found.measures}


def counts(measure: Measure) -> tuple[int, int, int, int]:
    c = measure.against_blue
    return c.wins, c.ties, c.losses, c.n


LOST = green(0, lambda r: {**r, "coverage": 0.0} if r["paraphrase"] == 2 else r)
FARTHER = green(1, lambda r: {**r, "ds_question": r["ds_question"] + 0.1})
NEARER = green(3, lambda r: {**r, "ds_question": r["ds_question"] - 0.2})
FLIPS = green(2, lambda r: {**r, "cited": f"section {r['paraphrase']}"})
SLOWER = on_green(lambda r: {**r, "ms_total": r["ms_total"] + (10.0 if number(r) == 3 else 2.0)})


def test_every_measure_by_hand() -> None:
    found = by_name(compared(spoilt(LOST, FARTHER, NEARER, FLIPS, SLOWER)))
    assert list(found) == ["flips", "ds_question", "coverage", "ms_total"]
    # q0 keeps two thirds of its coverage on Green: (-1/3 + 0 + 0 + 0) / 4
    assert found["coverage"].against_blue.effect == pytest.approx(-1 / 12)
    assert counts(found["coverage"]) == (0, 3, 1, 4)
    # (0 + 0.1 + 0 - 0.2) / 4; lower is better
    assert found["ds_question"].against_blue.effect == pytest.approx(-0.025)
    assert counts(found["ds_question"]) == (1, 2, 1, 4)
    assert found["flips"].against_blue.effect == 0.25
    assert counts(found["flips"]) == (0, 3, 1, 4)
    # 2, 2, 2 and 10 ms more: the median is 2, the mean would be 4; four questions bound no median
    assert found["ms_total"].against_blue.effect == pytest.approx(2.0)
    assert counts(found["ms_total"]) == (0, 0, 4, 4)
    assert found["ms_total"].against_blue.interval == (-math.inf, math.inf)
    # q0: 10.0, 10.3, 10.6 ms on three paraphrases, twice
    assert found["ms_total"].blue[0] == pytest.approx(10.3)


def test_the_stage_is_the_one_that_the_latency_rule_asks_for() -> None:
    rules = Rules.model_validate({"latency_p95": {"stage": "reason"}})
    found = compare_arms(
        typed(probes(ticks=1, questions=2)), ["q0", "q1"], rules=rules, items={}, hits_of=lambda probes: []
    )
    assert found.measures[-1].name == "ms_reason"


def test_movers_come_worst_first_then_those_that_got_better() -> None:
    found = compared(spoilt(LOST, FARTHER, NEARER, FLIPS)).movers
    # trouble = flip + ΔS + 1 - coverage: q2 +1, q0 +1/3, q1 +0.1, q3 -0.2
    assert [m.question for m in found] == ["q2", "q0", "q1", "q3"]
    assert [m.change for m in found] == pytest.approx([1.0, 1 / 3, 0.1, -0.2])
    assert found[1].figures["coverage"] == (1.0, pytest.approx(2 / 3))


def test_a_mover_shows_the_probe_that_moved_most_with_both_arms_hits() -> None:
    mover = next(m for m in compared(spoilt(LOST, FLIPS)).movers if m.question == "q0")
    assert mover.probe == ("q0", 0, 2, 0), "only the third paraphrase lost its coverage; seed 0 before seed 1"
    assert mover.asked == "three"
    assert {arm: hits[0]["doc"] for arm, hits in mover.hits.items()} == {"blue": "blue 2", "green": "green 2"}


def test_one_that_got_better_shows_the_probe_that_got_better_most() -> None:
    def nearer(row: Row) -> Row:
        return {**row, "ds_question": row["ds_question"] - {0: 0.1, 1: 0.2, 2: -0.05}[row["paraphrase"]]}

    assert [m.probe for m in compared(spoilt(green(1, nearer))).movers] == [("q1", 0, 1, 0)]


def test_hits_stand_side_by_side_only_for_a_probe_that_both_arms_were_asked() -> None:
    rows = [r for r in spoilt(LOST) if (r["arm"], r["question"], r["paraphrase"]) != ("blue", "q0", 2)]
    assert compared(rows).movers[0].probe == ("q0", 0, 0, 0)
    rows = [r for r in spoilt(LOST) if (r["arm"] == "blue") != (r["question"] == "q0" and r["seed"] == 0)]
    found = next(m for m in compared(rows).movers if m.question == "q0")
    assert (found.probe, found.asked, found.hits) == (None, None, {})


def test_latency_is_the_median_of_an_even_number_and_a_stage_without_times_compares_nothing() -> None:
    def times(row: Row) -> Row:
        return {**row, "ms_total": 10.0 + 6 * row["seed"], "ms_rerank": None}

    rows = spoilt(times)
    assert by_name(compared(rows))["ms_total"].blue.tolist() == [13.0] * 4
    rules = Rules.model_validate({"latency_p95": {"stage": "rerank"}})
    found = compare_arms(typed(rows), [f"q{i}" for i in range(4)], rules=rules, items={}, hits_of=lambda probes: [])
    assert found.measures[-1].against_blue.n == 0


def test_a_mover_says_what_each_arm_cites() -> None:
    mover = compared(spoilt(FLIPS)).movers[0]
    assert mover.cited == {"blue": {"section 2": 6}, "green": {"section 0": 2, "section 1": 2, "section 2": 2}}


def test_equal_arms_move_nothing() -> None:
    found = compared(spoilt())
    assert found.movers == []
    assert all(counts(measure) == (0, 4, 0, 4) for measure in found.measures)


def test_a_question_that_blue_did_not_answer_is_left_out_and_one_of_green_is_the_worst() -> None:
    no_blue = spoilt(lambda r: failed(r) if r["arm"] == "blue" and number(r) == 0 else r, green(1, failed))
    found = compared(no_blue)
    assert {measure.against_blue.n for measure in found.measures} == {3}
    assert [m.question for m in found.movers] == ["q1"]
    # flips, ΔS 1 instead of 0.302, coverage 0 instead of 1
    assert found.movers[0].change == pytest.approx(1 + (1 - 0.302) + 1)
    assert found.movers[0].figures["ms_total"][1] == math.inf
    body = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert body["moved"][0]["figures"]["ms_total"][1] is None


def test_a_blue_that_never_answered_compares_nothing_and_survives_json() -> None:
    found = compared(spoilt(lambda r: failed(r) if r["arm"] == "blue" else r))
    assert found.movers == []
    body = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {name: (m["n"], m["effect"]) for name, m in body["measures"].items()} == dict.fromkeys(
        ("flips", "ds_question", "coverage", "ms_total"), (0, None)
    )
    assert "flips" in compared_text(found)


def test_an_unanswerable_question_moves_by_its_distance_alone() -> None:
    found = compared(spoilt(lambda r: {**r, "coverage": None} if number(r) == 1 else r, FARTHER))
    assert by_name(found)["coverage"].against_blue.n == 3
    assert [(m.question, m.change) for m in found.movers] == [("q1", pytest.approx(0.1))]


def test_segments_are_there_when_questions_carry_tags() -> None:
    rows = spoilt(green(0, lambda r: {**r, "coverage": 0.0}))
    assert compared(rows).segments == []
    found = compared(rows, q0={"topic": "a"}, q1={"topic": "b"}).segments
    assert [(s.value, s.against_blue.effect) for s in found] == [("a", -1.0), ("b", 0.0)]


def test_the_text_shows_measures_tags_and_both_arms_side_by_side() -> None:
    text = compared_text(compared(spoilt(LOST, FLIPS, NEARER), q0={"topic": "a"}))
    assert "measure      effect    interval" in text
    assert "topic = a" in text
    assert "q2: worse by 1 (flips 0 -> 1, ds_question 0.304 -> 0.304, coverage 1 -> 1, ms_total" in text
    assert "q3: better by 0.2" in text
    assert "asked (tick 0, paraphrase 2, seed 0): three" in text
    assert "green cites: section 0 ×2, section 1 ×2, section 2 ×2" in text
    assert "  1     blue 2 0-9 (section 0)  green 2 0-9 (section 0)" in text.splitlines()


def test_the_worst_ten_and_the_best_five_are_kept_and_fewer_are_printed() -> None:
    def spoil(row: Row) -> Row:
        return {**row, "coverage": 0.0} if (row["arm"] == "green") == (number(row) < 12) else row

    found = compared(spoilt(spoil, questions=20), questions=20)
    assert [m.change for m in found.movers] == [1.0] * 10 + [-1.0] * 5
    text = compared_text(found)
    assert (text.count("worse by 1"), text.count("better by 1")) == (5, 2)
    assert "8 more that moved: --json" in text


def test_what_a_service_answers_cannot_break_the_lines() -> None:
    rows = spoilt(green(0, lambda r: {**r, "coverage": 0.0, "cited": "two\nlines"}))
    assert "green cites: two lines ×6" in compared_text(compared(rows))

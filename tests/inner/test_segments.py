"""Segments: a loss that the mean hides is seen, and many segments do not make one look bad by chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from judge_cases import Row, evidence, failed, number, on_green, probes

from switchover.compare.segments import Segment, judge_segments
from switchover.judge.analysis import Analysis
from switchover.judge.gates import Outcome
from switchover.judge.rules import Rules

RULES = Rules()
TAGS = [{"language": "de" if i < 30 else "fr", "tenant": f"t{i % 2}"} for i in range(40)]


def segments(rows: list[Row], tags: list[dict[str, str]] = TAGS) -> dict[str, Segment]:
    return {f"{s.tag}={s.value}": s for s in judge_segments(Analysis(evidence(rows)), tags, rules=RULES)}


def test_equal_arms_pass_in_every_segment() -> None:
    found = segments(probes(ticks=1))
    assert {name: s.outcome for name, s in found.items()} == dict.fromkeys(
        ["language=de", "language=fr", "tenant=t0", "tenant=t1"], Outcome.PASS
    )
    assert found["language=fr"].against_blue.n == 10


def test_a_lost_language_is_named_first() -> None:
    lost = probes(ticks=1, spoil=on_green(lambda r: {**r, "coverage": 0.0}, lambda r: number(r) >= 30))
    first = judge_segments(Analysis(evidence(lost)), TAGS, rules=RULES)[0]
    assert (first.tag, first.value, first.coverage, first.against_blue.effect) == ("language", "fr", 0.0, -1.0)
    assert first.outcome is Outcome.FAIL
    assert segments(lost)["language=de"].outcome is Outcome.PASS
    assert "language = fr: coverage 0, against Blue -1" in first.detail


def test_the_more_segments_the_wider_the_intervals() -> None:
    rows = probes(
        ticks=1, spoil=on_green(lambda r: {**r, "coverage": 0.0}, lambda r: number(r) in (30, 31, 32, 33, 34))
    )
    alone = segments(rows, [{"language": tags["language"]} if tags["language"] == "fr" else {} for tags in TAGS])
    among = segments(rows, [{**tags, "id": str(i)} for i, tags in enumerate(TAGS)])
    narrow, wide = alone["language=fr"].against_blue.interval, among["language=fr"].against_blue.interval
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert among["language=fr"].against_blue.effect == -0.5


def test_one_question_is_too_few_to_fail() -> None:
    rows = probes(ticks=1, spoil=on_green(lambda r: {**r, "coverage": 0.0}, lambda r: number(r) == 3))
    found = segments(rows, [{"id": str(i)} for i in range(40)])["id=3"]
    assert (found.against_blue.effect, found.outcome) == (-1.0, Outcome.INCONCLUSIVE)


def test_no_segment_fails_by_chance_among_many() -> None:
    # 20 tags of 20 questions each, drawn at random, on arms that differ by noise alone: 95 % of the runs
    # must not name a single one.
    rng = np.random.default_rng(5)
    named = 0
    for _ in range(60):
        noise = {("blue", q): rng.random() for q in range(40)} | {("green", q): rng.random() for q in range(40)}
        rows = [{**r, "coverage": noise[r["arm"], number(r)]} for r in probes(ticks=1, seeds=lambda tick: (0,))]
        tags = [{f"tag {t}": "yes" for t in range(20) if rng.random() < 0.5} for _ in range(40)]
        named += any(s.outcome is Outcome.FAIL for s in judge_segments(Analysis(evidence(rows)), tags, rules=RULES))
    assert named <= 0.05 * 60


def test_a_segment_without_blue_is_an_error_and_survives_json() -> None:
    rows = probes(ticks=1, spoil=lambda r: failed(r) if r["arm"] == "blue" and number(r) >= 30 else r)
    found = segments(rows)["language=fr"]
    assert found.outcome is Outcome.ERROR
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["against_blue"] is None


def test_tags_must_match_the_questions() -> None:
    with pytest.raises(ValueError, match="tags 1, questions 40"):
        judge_segments(Analysis(evidence(probes(ticks=1))), [{}], rules=RULES)

"""What a run leaves in the ledger for its report: pins, questions, texts; and evidence read two ways."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from switchover.errors import BadInput
from switchover.judge.evidence import COLUMNS, Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.pins import PIN_NAMES
from switchover.plan import Warm
from switchover.steps import finish
from switchover.steps.freeze import freeze
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import World


@pytest.fixture
def run(world: World) -> Switch:
    """A run through one round of warm: enough for what it leaves."""
    switch = world.open(plan=world.plan.model_copy(update={"warm": Warm(min_rounds=1, max_rounds=1)}))
    freeze(switch)
    verify(switch)
    warm(switch)
    finish.abort(switch)
    return switch


def test_a_run_leaves_all_that_its_report_needs(run: Switch) -> None:
    arms = run.ledger.subjects.arms(run.id)
    assert {role: (arm["target"], sorted(arm["pins"])) for role, arm in arms.items()} == {
        "blue": ("docs_v1", sorted(PIN_NAMES)),
        "green": ("docs_v2", sorted(PIN_NAMES)),
    }
    assert all(arm["pins"] == arm["reported"] for arm in arms.values())
    questions = run.ledger.subjects.questions(run.id)
    assert [row["id"] for row in questions] == run.gold.ids
    assert questions[0]["quote"] == run.gold.anchors[0]
    assert questions[0]["spans"][0]["end"] == run.gold.spans[0][0].end
    row = next(iter(run.ledger.evidence.hits(run.id, phase="warm", probes=[(run.gold.ids[0], 0, 0, 0)])))
    wanted = [(row.arm, hit["snippet_id"]) for hit in row.hits]
    texts = run.ledger.subjects.snippets(run.id, wanted)
    assert sorted(texts) == sorted(wanted)
    first = row.hits[0]
    assert len(texts[row.arm, first["snippet_id"]]) == first["end"] - first["start"]


def test_another_gold_set_than_the_one_that_was_asked_is_refused(run: Switch, world: World) -> None:
    asked = run.rounds.evidence("warm")
    assert (len(asked.questions), asked.whole) == (len(run.gold.ids), True)
    world.sql(f"UPDATE switchover_evidence SET question = 'gone' WHERE question = '{run.gold.ids[0]}'")
    lost = len(asked) // len(asked.questions)
    with pytest.raises(BadInput, match=rf"{lost} warm evidence rows are of no question of the gold set"):
        run.rounds.evidence("warm")


def test_columns_are_those_of_the_rows(run: Switch, world: World) -> None:
    world.sql(
        "UPDATE switchover_evidence SET status = CASE id % 4 WHEN 0 THEN 0 WHEN 1 THEN 503 ELSE 200 END,"
        " cited = NULL, coverage = NULL, ms_total = NULL"
        " WHERE id % 7 = 0"
    )
    rows = run.ledger.evidence.rows(run.id, phase="warm")
    plain = Evidence.from_rows(sorted(rows, key=_key), run.gold.ids)
    quick = run.ledger.evidence.load(run.id, phase="warm", questions=run.gold.ids).evidence
    keys = ("tick", "arm", "question", "paraphrase", "seed")
    order = {e: np.lexsort([getattr(found, k) for k in keys]) for e, found in (("p", plain), ("q", quick))}
    for name in [field.name for field in fields(Evidence) if field.name in COLUMNS and field.name != "cited"]:
        left, right = getattr(plain, name)[order["p"]], getattr(quick, name)[order["q"]]
        np.testing.assert_array_equal(left, right, err_msg=name)
    same = {(int(a), int(b)) for a, b in zip(plain.cited[order["p"]], quick.cited[order["q"]], strict=True)}
    assert len(same) == len({a for a, _ in same}) == len({b for _, b in same}), "the codes name the same sections"
    few = run.ledger.evidence.load(run.id, phase="warm", questions=run.gold.ids[:2]).evidence
    assert set(few.question) == {0, 1}


def _key(row: EvidenceRow) -> tuple[object, ...]:
    return row.tick, row.arm, row.probe

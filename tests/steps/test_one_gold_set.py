"""One gold set a run: what verify has found is what every later step asks, or it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from switchover.errors import GoldError
from switchover.steps import finish
from switchover.steps.flip import flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.verify import verify
from switchover.steps.warm import warm
from tests.steps.conftest import GOLD, World


def test_a_file_that_changes_after_verify_is_refused_and_the_run_aborts(world: World, tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    lines = GOLD.read_text().splitlines()
    gold.write_text("\n".join(lines[:21]))
    plan = world.plan.model_copy(update={"gold": world.plan.gold.model_copy(update={"path": str(gold)})})
    switch = world.open(plan=plan)
    freeze(switch)
    verify(switch)
    first = json.loads(lines[0])
    other = [json.loads(line) | {key: first[key] for key in ("question", "paraphrases")} for line in lines[:21]]
    gold.write_text("\n".join(map(json.dumps, other)))
    again = world.again(switch)
    with pytest.raises(GoldError, match="gold.jsonl: changed since verify .*; put back what the run began with"):
        warm(again)
    assert flip_or_abort(world.again(switch)) is False
    assert "changed since verify" in switch.read().reason
    finish.restore(world.again(switch))
    assert world.live == "docs_v1"


def test_a_corpus_that_moves_the_answers_is_refused(world: World) -> None:
    switch = world.open()
    freeze(switch)
    verify(switch)
    (doc,) = {answer.doc for answer in world.again(switch).gold.items[0].answers}
    world.sql(f"UPDATE documents SET text = '.' || text WHERE doc = '{doc}'")
    try:
        with pytest.raises(GoldError, match="the corpus changed since verify: the answers of .* questions stand"):
            _ = world.again(switch).gold
    finally:
        world.sql(f"UPDATE documents SET text = substr(text, 2) WHERE doc = '{doc}'")
    assert world.again(switch).gold.digest == switch.read().gold_digest

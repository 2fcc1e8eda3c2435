"""A new prompt over the index that serves: two arms, one place. The index is Blue's, and only the pins differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from sandbox.service.build import stand_over
from sandbox.service.prompts import BETTER, COPIES_ITS_EXAMPLE
from switchover.errors import BadInput, InvariantBroken
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.steps.attest import attest_green
from switchover.steps.back import go_back
from switchover.steps.build import builder_of
from switchover.steps.finish import restore, unfreeze
from switchover.steps.flip import flip
from switchover.steps.freeze import freeze
from switchover.steps.preflight import preflight
from switchover.steps.verify import verify
from tests.world import World

GREEN = "docs_prompt"


def prompt(world: World, version: str) -> None:
    with psycopg.connect(world.db_url, autocommit=True) as conn:
        stand_over(conn, GREEN, prompt=version)


@pytest.fixture
def shared(world: World) -> Iterator[World]:
    """Green answers from Blue's own table, with a prompt of its own."""
    prompt(world, BETTER)
    arms = {"docs_v1": world.plan.arms["docs_v1"], GREEN: world.plan.arms["docs_v2"]}
    arms[GREEN] = arms[GREEN].model_copy(update={"headers": {"X-Switchover-Arm": GREEN}})
    told = world.plan.model_dump(mode="json")
    told |= {"arms": {name: arm.model_dump(mode="json") for name, arm in arms.items()}, "green": GREEN}
    told |= {
        "changes": ["PROMPT_VER"],
        "build": None,
        "index": {**told["index"], "targets": dict.fromkeys(arms, "docs_v1")},
    }
    yield replace(world, plan=Plan.model_validate(told))
    world.sql(f"DROP VIEW IF EXISTS {GREEN}")
    world.sql(f"DELETE FROM switchover_manifest WHERE target = '{GREEN}'")


def test_it_is_verified_flipped_and_brought_back(shared: World) -> None:
    switch = shared.open()
    assert "shares its index with docs_v1" in attest_green(switch)
    freeze(switch)
    checks = {check.name: check for check in verify(switch)}
    assert checks["the arms differ"].found == "one index; PROMPT_VER differs"
    assert "Green audit" not in checks and checks["Green content"].found == "the index of 'docs_v1'"
    assert switch.ledger.subjects.arms(switch.id)["green"]["pins"]["PROMPT_VER"] == BETTER
    body = {"rule": "by_hand", "outcome": "PASS", "detail": ""}
    switch.ledger.journal.judged(switch.id, gate="acceptance", tick=0, verdicts=[body])
    switch.move(State.WARMED)
    flip(switch)
    assert shared.live == GREEN
    restore(switch)
    assert (shared.live, switch.read().state) == ("docs_v1", State.ROLLED_BACK)

    with pytest.raises(InvariantBroken, match="Green was not taken back: found build"):
        verified(shared, "docs:2")
    with pytest.raises(InvariantBroken, match="1 of .* reads failed, .*: Green was not taken back: build"):
        dry(shared)
    prompt(shared, COPIES_ITS_EXAMPLE)
    assert any("its pins decide" in line for line in dry(shared))
    verified(shared, "docs:3")


def dry(world: World) -> tuple[str, ...]:
    return tuple(preflight(plan=world.plan, edge=world.edge, id="docs:dry", actor="test", dry_run=True).lines)


def test_a_promotion_over_one_index_is_taken_back_and_nothing_is_applied_twice(shared: World) -> None:
    told = shared.plan.model_dump(mode="json")
    told["writers"][0]["queue"] = {"connection": "docs_db", "stream": "of no table", "replay": True}
    plan = Plan.model_validate(told)
    switch = shared.warmed(plan=plan)
    flip(switch)
    switch.leadership.take()
    switch.decide(Decision.PROMOTE, reason="by hand")
    unfreeze(switch)
    restore(switch)
    came = go_back(plan=plan, edge=shared.edge, actor="test", person="ada")
    assert (shared.live, shared.frozen, came.row.state) == ("docs_v1", False, State.PROMOTED)
    assert came.lines[0] == "'docs_v1' and 'docs_prompt' stand over one index: no write is missing"


def verified(world: World, id: str) -> None:
    switch = world.open(id)
    try:
        freeze(switch)
        verify(switch)
    finally:
        restore(switch)


def test_arms_that_do_not_differ_are_one_arm(shared: World) -> None:
    blue = shared.sql("SELECT manifest -> 'pins' ->> 'PROMPT_VER' FROM switchover_manifest WHERE target = 'docs_v1'")
    prompt(shared, str(blue[0][0]))
    with pytest.raises(InvariantBroken, match="the arms differ: found one index; no pin of `changes` differs"):
        verified(shared, "docs:1")


def test_a_dry_run_says_it_too(shared: World) -> None:
    assert any("one index; PROMPT_VER differs" in line for line in dry(shared))


def test_it_is_neither_built_nor_said_of_one_arm_alone(shared: World) -> None:
    build = Plan.model_validate({**shared.plan.model_dump(mode="json"), "build": BUILD})
    with pytest.raises(BadInput, match="arm 'docs_prompt': its index 'docs_v1' is the index of 'docs_v1' too"):
        builder_of(build, shared.edge, actor="test", arm=GREEN, say=print)
    told = {**shared.plan.model_dump(mode="json"), "changes": []}
    with pytest.raises(ValueError, match="index: 'docs_v1' and 'docs_prompt' are one index, 'docs_v1'; allowed where"):
        Plan.model_validate(told)


BUILD = {"documents": {"connection": "docs_db"}, "chunking": "fixed-300/1"}

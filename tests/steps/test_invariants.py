"""Verify makes every check that can be made, and believes nothing that it can read for itself."""

from __future__ import annotations

import pytest

from switchover.errors import InvariantBroken
from switchover.steps.arm_checks import look_at_arms
from switchover.steps.finish import restore
from switchover.steps.freeze import freeze
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from tests.steps.conftest import World


def checked(switch: Switch) -> dict[str, tuple[bool, str]]:
    return {row["name"]: (row["ok"], row["found"]) for row in switch.ledger.journal.checks(switch.id)}


def test_every_other_check_runs_when_one_arm_does_not_answer(world: World) -> None:
    switch = world.open()
    freeze(switch)
    silent = switch.plan.arms["docs_v2"].model_copy(update={"version": "/nowhere"})
    deaf = switch.plan.model_copy(update={"arms": {**switch.plan.arms, "docs_v2": silent}})
    switch.__dict__["plan"] = deaf
    with pytest.raises(InvariantBroken, match="^1 of 2. checks failed: Green arm: found"):
        verify(switch)
    found = checked(switch)
    assert [name for name, (ok, _) in found.items() if not ok] == ["Green arm"]
    assert {"Blue pins", "Blue encoder", "Green manifest", "Green store", "Green audit", "gold set"} <= found.keys()
    assert "signals answer" in found and "Blue is the promoted build" in found
    restore(switch)


def test_a_readiness_that_cannot_say_no_is_no_proof(world: World) -> None:
    switch = world.open()
    arms = switch.plan.arms
    trusting = arms["docs_v2"].model_copy(update={"ready": "/version?arm={arm}", "headers": {}})
    away = arms["docs_v1"].model_copy(update={"ready": "/nowhere"})
    switch.__dict__["plan"] = switch.plan.model_copy(update={"arms": {"docs_v1": away, "docs_v2": trusting}})
    found = {check.name: check for check in look_at_arms(switch, switch.read())[1]}
    assert not found["Green readiness"].ok and "it answers 200 too" in found["Green readiness"].found
    assert not found["Blue readiness"].ok and "/nowhere: HTTP 404" in found["Blue readiness"].found
    switch.__dict__["plan"] = world.plan
    found = {check.name: check for check in look_at_arms(switch, switch.read())[1]}
    assert found["Green readiness"].ok and found["Blue readiness"].ok


def test_a_manifest_that_lies_of_its_encoder_and_its_metric_is_found_out(world: World) -> None:
    told = "SELECT manifest::text FROM switchover_manifest WHERE target = 'docs_v2'"
    before = str(world.sql(told)[0][0])
    switch = world.open()
    freeze(switch)
    world.sql(
        "UPDATE switchover_manifest SET manifest = jsonb_set(jsonb_set(manifest::jsonb, '{encoder,dimension}', '768'),"
        " '{encoder,metric}', '\"hamming\"') WHERE target = 'docs_v2'"
    )
    try:
        with pytest.raises(InvariantBroken, match="its encoder gives"):
            verify(switch)
        found = checked(switch)
    finally:
        quoted = before.replace("'", "''")
        world.sql(f"UPDATE switchover_manifest SET manifest = '{quoted}' WHERE target = 'docs_v2'")
    assert not found["Green manifest"][0] and "metric is cosine, its encoder's is hamming" in found["Green manifest"][1]
    assert not found["Green store"][0] and "dimensions, the encoder's 768" in found["Green store"][1]
    assert found["Blue manifest"][0] and found["Blue store"][0]
    restore(switch)


def test_what_the_store_says_and_what_is_only_promised_is_shown(world: World) -> None:
    switch = world.open()
    freeze(switch)
    verify(switch)
    found = checked(switch)
    assert found["Green manifest"][1].startswith("INDEX_HASH and EMBED_SCHEMA worked out again; only promised: TOK_VER")
    assert "256 dimensions" in found["Green store"][1] and "hnsw" in found["Green store"][1]
    assert found["Green documents"][1].startswith("the arm reports ")
    restore(switch)

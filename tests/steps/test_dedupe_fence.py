"""Verify proves a writer's dedupe fence through the writer's own path."""

from __future__ import annotations

import pytest

from switchover.errors import InvariantBroken
from switchover.steps.freeze import freeze
from switchover.steps.verify import verify
from tests.steps.conftest import World

CHECK = "dedupe fence of ingest process"


def test_the_fence_is_proven_while_the_writer_is_frozen(world: World) -> None:
    switch = world.open()
    freeze(switch)
    assert world.frozen
    for _ in range(2):  # a repeat of the step proves it again
        check = {check.name: check for check in verify(switch)}[CHECK]
        assert check.ok and check.found == "one receipt, one effect; another payload: 409"


def test_a_fence_that_is_not_there_is_one_failed_check_beside_all_others(world: World) -> None:
    switch = world.open()
    freeze(switch)
    world.sql("ALTER TABLE switchover_effects RENAME TO mislaid")
    try:
        with pytest.raises(InvariantBroken, match=f"1 of [0-9]+ checks failed: {CHECK}: found writer 'ingest process'"):
            verify(switch)
    finally:
        world.sql("ALTER TABLE mislaid RENAME TO switchover_effects")


def test_a_writer_without_a_canary_is_not_asked(world: World) -> None:
    writers = [writer.model_copy(update={"proves": None}) for writer in world.plan.writers]
    switch = world.open(plan=world.plan.model_copy(update={"writers": writers}))
    freeze(switch)
    assert CHECK not in {check.name for check in verify(switch)}

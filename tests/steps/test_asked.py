"""What may not begin by itself: a run whose time is long over, and a build that was taken back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from switchover.errors import BadInput, InvariantBroken, TargetRefused
from switchover.protocol import State
from switchover.steps import finish
from switchover.steps.asked import SHORTEST
from switchover.steps.breakglass import break_glass
from switchover.steps.flip import flip
from switchover.steps.freeze import freeze
from switchover.steps.preflight import Route, preflight
from switchover.steps.verify import verify
from tests.steps.conftest import World


def build_of_green(world: World) -> str:
    return str(world.plan.indexes(world.edge).health("docs_v2").stored_hash)


def taken_back(world: World, id: str = "docs:1") -> None:
    """A run that went live and that a person has brought back."""
    flip(world.warmed(id))
    break_glass(plan=world.plan, edge=world.edge, actor="test", person="kim")


def test_the_next_run_of_a_build_that_was_taken_back_is_refused_before_anything_is_changed(world: World) -> None:
    taken_back(world)
    with pytest.raises(TargetRefused) as raised:
        world.open("docs:2")
    told, word = str(raised.value), build_of_green(world)[:SHORTEST]
    for part in ("switchover 'docs:1' took back at", "break-glass by kim", "switchover__docs with", word):
        assert part in told
    assert world.ledger.runs.find("docs:2") is None
    assert world.live == "docs_v1"
    assert not world.frozen


def test_a_person_who_names_the_build_may_try_it_again_and_it_is_written_down(world: World) -> None:
    taken_back(world)
    word = build_of_green(world)[:SHORTEST]
    switch = world.open("docs:2", retry_build=word)
    world.warm(switch)
    flip(switch)
    assert world.live == "docs_v2"
    said = " ".join(str(event["text"]) for event in world.ledger.journal.events("docs:2"))
    assert f"A person asks for this build again: retry_build {word}" in said


@pytest.mark.parametrize(("word", "message"), [("abc", "found 3 characters"), ("0" * 12, "is build ")])
def test_a_word_that_names_another_build_is_no_word(world: World, word: str, message: str) -> None:
    taken_back(world)
    with pytest.raises(BadInput, match=message):
        world.open("docs:2", retry_build=word)
    assert world.ledger.runs.find("docs:2") is None


def test_a_build_that_comes_back_after_preflight_is_refused_by_verify(world: World) -> None:
    taken_back(world)
    build = build_of_green(world)
    world.sql("UPDATE switchover_run SET approved_hash = 'another' WHERE id = 'docs:1'")
    switch = world.open("docs:2")
    world.sql(f"UPDATE switchover_run SET approved_hash = '{build}' WHERE id = 'docs:1'")
    freeze(switch)
    with pytest.raises(InvariantBroken, match="Green was not taken back: found build .* 'docs:1': break-glass by kim"):
        verify(switch)


def test_a_later_promotion_clears_a_build_and_an_abort_never_stains_it(world: World) -> None:
    finish.restore(world.open("docs:1"))
    taken_back(world, "docs:2")
    world.ledger.runs.stamp("docs:2", "ended_at")
    switch = world.open("docs:3", retry_build=build_of_green(world))
    world.warm(switch)
    flip(switch)
    world.sql("UPDATE switchover_run SET state = 'promoted', ended_at = clock_timestamp() WHERE id = 'docs:3'")
    world.sql("UPDATE switchover_alias SET target = 'docs_v1' WHERE alias = 'docs'")
    world.sql("UPDATE switchover_lease SET expires_at = now()")
    world.sql("DELETE FROM switchover_writer")
    assert world.open("docs:4").read().state is State.PLANNED


def test_a_run_long_after_its_time_is_skipped_and_says_what_to_do(world: World) -> None:
    due = world.ledger.now() - timedelta(hours=9)
    found = preflight(plan=world.plan, edge=world.edge, id="docs:1", actor="test", due=due)
    assert found.route is Route.SKIPPED
    (line,) = found.lines
    assert line.startswith("skipped: was due at ")
    assert "9.0 h ago; allowed: start_within_minutes 60. Nothing was changed" in line
    assert world.ledger.runs.find("docs:1") is None
    assert world.ledger.leases.get(world.plan.pointer.build(world.edge).key) is None


def test_a_run_near_its_time_begins_and_one_that_is_open_goes_on_however_late(world: World) -> None:
    soon = {"plan": world.plan, "edge": world.edge, "id": "docs:1", "actor": "test"}
    assert preflight(**soon, due=world.ledger.now() - timedelta(minutes=59)).route is Route.GO  # type: ignore[arg-type]
    assert preflight(**soon, due=world.ledger.now() - timedelta(hours=9)).route is Route.GO  # type: ignore[arg-type]

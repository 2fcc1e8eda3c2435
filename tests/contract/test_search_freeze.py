"""The write block of an alias's pointer: what is frozen, what is thawed, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from switchover.errors import BadInput, LeaseLost, TargetRefused, Unreachable
from switchover.pointers import Change, search_alias
from switchover.pointers.search_alias import SearchAlias
from tests.contract.worlds.base import BLUE, GREEN, back, change
from tests.contract.worlds.opensearch import ELSEWHERE, SEARCH_WORLDS, OpenSearchWorld


@pytest.fixture(params=sorted(SEARCH_WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[OpenSearchWorld]:
    kind = SEARCH_WORLDS[request.param]
    world = kind(request.getfixturevalue(kind.fixture))
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()
        world.close()


def freezing(world: OpenSearchWorld) -> SearchAlias:
    pointer = world.pointer(freeze_writes=True)
    assert isinstance(pointer, SearchAlias)
    return pointer


def takes_writes(world: OpenSearchWorld, arm: str) -> bool:
    answer = world.client.post(f"/{world.index(arm)}/_doc", json={"text": "late"})
    assert answer.status_code in (httpx.codes.CREATED, httpx.codes.FORBIDDEN)
    return answer.status_code == httpx.codes.CREATED


def own_aliases(world: OpenSearchWorld) -> set[str]:
    found = world.call("GET", f"/{world.name}*/_alias")
    return {name for each in found.values() for name in each["aliases"] if name != world.name}


def block(world: OpenSearchWorld, arm: str, on: bool | None) -> None:
    world.call("PUT", f"/{world.index(arm)}/_settings", {"index.blocks.write": on})


def crash_at_the_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends after the freeze and before the alias moves."""
    original = search_alias.act

    def act(api: Any, *actions: Any) -> bool:
        if any("remove" in each and "--" not in each["remove"]["alias"] for each in actions):
            raise KeyboardInterrupt
        return original(api, *actions)

    monkeypatch.setattr(search_alias, "act", act)


def test_the_index_that_is_left_refuses_writes_and_the_way_back_restores(world: OpenSearchWorld) -> None:
    pointer = freezing(world)
    assert pointer.apply(change()).changed
    assert (takes_writes(world, BLUE), takes_writes(world, GREEN)) == (False, True)
    assert pointer.verify(GREEN)
    assert pointer.apply(back()).changed
    assert (takes_writes(world, BLUE), takes_writes(world, GREEN)) == (True, True)
    assert pointer.verify(BLUE)
    assert len(own_aliases(world)) == 1, "only the mark is left"


def test_without_the_wish_nothing_is_frozen(world: OpenSearchWorld) -> None:
    world.pointer().apply(change())
    assert takes_writes(world, BLUE)


def test_the_block_is_acknowledged_before_the_alias_moves(
    world: OpenSearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_at_the_move(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        freezing(world).apply(change())
    assert world.serve() == {BLUE}
    assert not takes_writes(world, BLUE)


def test_a_repeat_after_a_crash_goes_on(world: OpenSearchWorld) -> None:
    with pytest.MonkeyPatch.context() as patch:
        crash_at_the_move(patch)
        with pytest.raises(KeyboardInterrupt):
            freezing(world).apply(change())
    pointer = freezing(world)
    assert pointer.apply(change()).changed
    assert (takes_writes(world, BLUE), takes_writes(world, GREEN)) == (False, True)
    assert pointer.apply(back()).changed
    assert takes_writes(world, BLUE)


def test_a_live_index_that_a_crash_left_frozen_is_said_and_a_swap_to_it_thaws(world: OpenSearchWorld) -> None:
    with pytest.MonkeyPatch.context() as patch:
        crash_at_the_move(patch)
        with pytest.raises(KeyboardInterrupt):
            freezing(world).apply(change())
    pointer = freezing(world)
    with pytest.raises(BadInput, match="is live and still refuses writes since a move was cut short"):
        pointer.verify(BLUE)
    assert not pointer.apply(back()).changed
    assert pointer.verify(BLUE)
    assert takes_writes(world, BLUE)
    assert len(own_aliases(world)) == 1


def test_a_target_that_vanishes_after_the_freeze_leaves_the_live_index_writable(
    world: OpenSearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer, original = freezing(world), search_alias.write_block.on

    def on(api: Any, index: str) -> None:
        original(api, index)
        world.spoil(GREEN, "missing")

    monkeypatch.setattr(search_alias.write_block, "on", on)
    with pytest.raises(TargetRefused, match="does not exist; nothing was changed"):
        pointer.apply(change())
    assert world.serve() == {BLUE}
    assert takes_writes(world, BLUE)


def test_a_late_holder_freezes_nothing(world: OpenSearchWorld) -> None:
    pointer, newer = freezing(world), freezing(world)
    pointer.refuse_older(1)
    seen = pointer.read()
    newer.refuse_older(7)
    assert not pointer.swap(seen, change(epoch=3))
    with pytest.raises(LeaseLost):
        pointer.apply(change(epoch=3))
    assert takes_writes(world, BLUE)


def test_a_block_that_somebody_else_set_stays(world: OpenSearchWorld) -> None:
    block(world, BLUE, True)
    block(world, GREEN, True)
    pointer = freezing(world)
    assert pointer.apply(change()).changed
    assert (takes_writes(world, BLUE), takes_writes(world, GREEN)) == (False, False)
    assert pointer.apply(back()).changed
    assert (takes_writes(world, BLUE), takes_writes(world, GREEN)) == (False, False)
    block(world, BLUE, None)
    block(world, GREEN, None)


def test_a_block_that_was_taken_off_by_hand_is_no_obstacle(world: OpenSearchWorld) -> None:
    pointer = freezing(world)
    pointer.apply(change())
    block(world, BLUE, None)
    assert pointer.apply(back()).changed
    assert pointer.verify(BLUE)
    assert takes_writes(world, BLUE)


def test_the_next_switchover_freezes_the_next_index(world: OpenSearchWorld) -> None:
    pointer = freezing(world)
    pointer.apply(change(epoch=1))
    try:
        assert pointer.apply(Change(before=GREEN, after=ELSEWHERE, epoch=2, actor="test")).changed
        assert [takes_writes(world, arm) for arm in (BLUE, GREEN, ELSEWHERE)] == [False, False, True]
        assert pointer.apply(Change(before=ELSEWHERE, after=GREEN, epoch=3, actor="test")).changed
        assert [takes_writes(world, arm) for arm in (BLUE, GREEN, ELSEWHERE)] == [False, True, True]
    finally:
        world.call("PUT", f"/{ELSEWHERE}/_settings", {"index.blocks.write": None})


def test_a_rehearsal_freezes_nothing(world: OpenSearchWorld) -> None:
    with freezing(world).shadow(BLUE) as shadow:
        assert shadow.apply(change()).changed
        assert takes_writes(world, BLUE)


def test_a_block_that_is_not_acknowledged_is_no_answer(world: OpenSearchWorld) -> None:
    """The alias stays where it is until the block is proven; the repeat finds it on and goes on."""
    pointer = freezing(world)
    with pytest.MonkeyPatch.context() as patch:
        original = type(pointer._api).change

        def change_(self: Any, method: str, path: str, body: Any) -> Any:
            answer = original(self, method, path, body)
            if path.endswith("/_block/write"):
                answer.body["indices"] = []
            return answer

        patch.setattr(type(pointer._api), "change", change_)
        with pytest.raises(Unreachable, match="the write block was not acknowledged in time"):
            pointer.apply(change())
    assert world.serve() == {BLUE}
    assert pointer.apply(change()).changed

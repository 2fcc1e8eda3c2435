"""What only an alias in a search cluster does, on a real OpenSearch and a real Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from switchover.errors import BadInput, LeaseLost, PointerConflict, TargetRefused
from switchover.pointers import Change
from switchover.pointers.search_alias import OpenSearchSpec, SearchAlias
from switchover.pointers.search_marks import act, add, look, remove
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change
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


def search_alias(world: OpenSearchWorld, **spec: Any) -> SearchAlias:
    pointer = world.pointer(**spec)
    assert isinstance(pointer, SearchAlias)
    return pointer


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_removal_that_finds_nothing_undoes_the_whole_call(world: OpenSearchWorld, place: int) -> None:
    """The fence stands on this: wherever the missing alias is named, nothing of the call happens."""
    pointer = search_alias(world)
    move = [
        remove(world.index(BLUE), world.name),
        add(world.index(GREEN), world.name),
    ]
    move.insert(place, remove(world.index(BLUE), f"{world.name}-never-there"))
    before = world.call("GET", f"/{world.name}*/_alias")
    assert not act(pointer._api, *move)
    assert world.call("GET", f"/{world.name}*/_alias") == before
    del move[place]
    assert act(pointer._api, *move)
    assert world.serve() == {GREEN}


def test_a_sleeper_is_stopped_after_many_moves_too(world: OpenSearchWorld) -> None:
    pointer, newer = search_alias(world), search_alias(world)
    pointer.apply(change(epoch=1))
    seen = pointer.read()
    newer.refuse_older(7)
    assert not pointer.swap(seen, back(epoch=3))
    assert world.serve() == {GREEN}
    with pytest.raises(LeaseLost, match="epoch 7 has written, this holder has 3"):
        pointer.apply(back(epoch=3))
    assert newer.apply(back(epoch=7)).changed


def test_of_two_holders_that_both_found_no_mark_the_older_is_stopped(world: OpenSearchWorld) -> None:
    """The older sets its first mark before, or after, the newer has fenced: neither lets it through."""
    older, newer = search_alias(world), search_alias(world)
    unmarked = older.read()
    assert unmarked.epoch is None
    assert not older.swap(unmarked, change(epoch=3)), "the first mark is set, and the caller must look again"
    seen = older.read()
    newer.refuse_older(7)
    assert not older.swap(seen, change(epoch=3))
    assert not older.swap(unmarked, change(epoch=3)), "a first mark again, beside the newer holder's"
    with pytest.raises(LeaseLost, match="epoch 7"):
        older.apply(change(epoch=3))
    assert world.serve() == {BLUE}
    assert newer.apply(change(epoch=7)).changed
    assert len(look(newer._api, world.name).marks) == 1, "a move leaves one mark"


def test_a_mark_never_comes_back(world: OpenSearchWorld) -> None:
    """Away and back by the same holder: what was seen before is not what is there now."""
    pointer = search_alias(world)
    pointer.apply(change())
    pointer.apply(back())
    seen = pointer.read()
    pointer.apply(change())
    pointer.apply(back())
    assert not pointer.swap(seen, change())
    assert world.serve() == {BLUE}


def test_an_alias_on_two_indexes_is_a_conflict(world: OpenSearchWorld) -> None:
    world.aliases({"add": {"index": world.index(GREEN), "alias": world.name}})
    pointer = world.pointer()
    assert pointer.read().target == "docs_v1 and docs_v2"
    assert not pointer.verify(BLUE)
    assert not pointer.verify(GREEN)
    with pytest.raises(PointerConflict, match="expected 'docs_v1', found 'docs_v1 and docs_v2'; nothing was changed"):
        pointer.apply(change())
    assert world.serve() == {BLUE, GREEN}


def test_a_third_holder_after_the_move_is_seen(world: OpenSearchWorld) -> None:
    pointer = world.pointer()
    pointer.apply(change())
    assert pointer.verify(GREEN)
    world.aliases({"add": {"index": ELSEWHERE, "alias": world.name}})
    assert not pointer.verify(GREEN)


def test_an_index_of_that_name_is_bad_input(world: OpenSearchWorld) -> None:
    pointer = world.pointer(alias=world.index(BLUE))
    with pytest.raises(BadInput, match="is an index; allowed: an alias on the live arm's index"):
        pointer.read()


def test_what_the_alias_carries_goes_with_it(world: OpenSearchWorld) -> None:
    carried = {
        "filter": {"exists": {"field": "text"}},
        "index_routing": "1",
        "search_routing": "1,2",
        "is_write_index": True,
    }
    world.aliases({"add": {"index": world.index(BLUE), "alias": world.name, **carried}})
    pointer = world.pointer()
    for wanted in (change(), back(), change()):
        assert pointer.apply(wanted).changed
        found = world.call("GET", f"/_alias/{world.name}")
        assert found == {world.index(wanted.after): {"aliases": {world.name: carried}}}


#: What an alias carries under which readers find a document of Blue, and none of Green.
BLUE_ONLY = {
    "a filter": {"filter": {"match": {"text": "blue only"}}},
    "a routing": {"search_routing": "blue-only"},
    "both": {"filter": {"exists": {"field": "text"}}, "search_routing": "blue-only"},
}


@pytest.mark.parametrize("which", BLUE_ONLY)
def test_the_target_is_counted_the_way_readers_reach_it(world: OpenSearchWorld, which: str) -> None:
    """Through the filter and the routing that the alias takes along: before a move, on the shadow, after a move."""
    blue, green = world.index(BLUE), world.index(GREEN)
    for number in range(20):
        world.call("PUT", f"/{blue}/_doc/b{number}?refresh=true&routing=blue-only", {"text": "blue only"})
    if "search_routing" in BLUE_ONLY[which]:  # one shard is found by every routing, one of eight is not
        world.call("DELETE", f"/{green}")
        world.create(green, filled=False, number_of_shards=8)
        world.call("PUT", f"/{green}/_doc/g?refresh=true&routing=green-only", {"text": green})
    world.aliases({"add": {"index": blue, "alias": world.name, **BLUE_ONLY[which]}})
    seen = world.call("GET", f"/{world.name}/_count")["count"]
    pointer = world.pointer()
    assert pointer.verify(BLUE)
    assert f"readers see {seen} in 'docs_v1', 0 in 'docs_v2'" in pointer.plan(change())
    told = "is empty for readers: no document of it is found through the alias's .*nothing was changed"
    with pointer.shadow(BLUE) as shadow, pytest.raises(TargetRefused, match=told):
        shadow.apply(change())
    with pytest.raises(TargetRefused, match=told):
        pointer.apply(change())
    assert pointer.verify(BLUE)
    world.move(GREEN)  # somebody else, without a look: what the alias carries goes along
    world.aliases({"add": {"index": green, "alias": world.name, **BLUE_ONLY[which]}})
    assert pointer.read().target == GREEN
    assert pointer.behind(GREEN) == "through the alias readers find no document"


def test_what_cannot_be_carried_is_refused(world: OpenSearchWorld) -> None:
    """A property that this version does not know would be lost without a word."""
    pointer = search_alias(world)
    pointer.refuse_older(1)
    now = pointer.read()
    now.token.holders[world.index(BLUE)]["weight"] = 3
    with pytest.raises(BadInput, match="the alias carries weight; allowed: filter, .*; nothing was changed"):
        pointer.swap(now, change())
    assert world.serve() == {BLUE}


def test_without_targets_the_arms_are_the_indexes(world: OpenSearchWorld) -> None:
    pointer = world.pointer(targets=None)
    blue, green = world.index(BLUE), world.index(GREEN)
    assert pointer.read().target == blue
    assert pointer.apply(Change(before=blue, after=green, epoch=1, actor="test")).changed
    assert world.serve() == {GREEN}
    with pytest.raises(BadInput, match=r"arm 't.*\*': found 't.*\*'; allowed: the own name of one index"):
        pointer.apply(Change(before=green, after=f"{world.name}*", epoch=1, actor="test"))
    assert world.serve() == {GREEN}


def test_only_the_approved_build_becomes_live(world: OpenSearchWorld) -> None:
    pointer = world.pointer()
    stored = f"hash of {world.index(GREEN)}"
    with pytest.raises(TargetRefused, match=f"carries INDEX_HASH {stored}, approved is another; nothing was changed"):
        pointer.apply(change(approved="another"))
    assert world.serve() == {BLUE}
    assert pointer.apply(change(approved=stored)).changed


def test_an_index_without_a_hash_is_left_to_the_plans_index(world: OpenSearchWorld) -> None:
    world.call("PUT", f"/{world.index(GREEN)}/_mapping", {"_meta": {}})
    assert world.pointer().apply(change(approved="any")).changed


def close(world: OpenSearchWorld) -> None:
    world.call("POST", f"/{world.index(GREEN)}/_close")


def forbid_reads(world: OpenSearchWorld) -> None:
    world.call("PUT", f"/{world.index(GREEN)}/_settings", {"index.blocks.read": True})


def replace_by_alias(world: OpenSearchWorld) -> None:
    world.call("DELETE", f"/{world.index(GREEN)}")
    world.aliases({"add": {"index": ELSEWHERE, "alias": world.index(GREEN)}})


def lose_a_shard(world: OpenSearchWorld) -> None:
    world.call("DELETE", f"/{world.index(GREEN)}")
    half = {"number_of_shards": 2, "index.routing.allocation.total_shards_per_node": 1}
    world.create(world.index(GREEN), filled=False, up=False, **half)
    world.call("GET", f"/_cluster/health/{world.index(GREEN)}?wait_for_active_shards=1&timeout=20s")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (close, "is closed"),
        (forbid_reads, "has the block index.blocks.read"),
        (replace_by_alias, "is an alias or data stream of elsewhere"),
        (lose_a_shard, "answers on 1 of 2 shards"),
    ],
)
def test_a_target_that_would_not_answer_is_refused(world: OpenSearchWorld, spoil: Any, said: str) -> None:
    spoil(world)
    with pytest.raises(TargetRefused, match=f"{said}.*nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}


def test_an_index_that_may_not_be_changed_is_bad_input(world: OpenSearchWorld) -> None:
    """A block on metadata, by somebody else or a full disk, keeps the alias where it is."""
    settings = f"/{world.index(BLUE)}/_settings"
    world.call("PUT", settings, {"index.blocks.read_only": True})
    with pytest.raises(BadInput, match="index read-only.*this request changed nothing"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}
    world.call("PUT", settings, {"index.blocks.read_only": None})
    assert world.pointer().apply(change()).changed


def test_a_rehearsal_is_out_of_reach_of_wildcards(world: OpenSearchWorld) -> None:
    with world.pointer().shadow(BLUE) as shadow:
        hits = world.call("GET", f"/{world.name}--*/_search")["hits"]["hits"]
        assert hits == []
        assert shadow.apply(change()).changed
    left = [name for each in world.call("GET", f"/{world.name}*/_alias").values() for name in each["aliases"]]
    assert left == [world.name]


def test_an_index_may_be_deleted_with_what_stands_on_it(world: OpenSearchWorld) -> None:
    """Blue is deleted after the promotion: the epoch stands on the live index."""
    pointer = world.pointer()
    pointer.apply(change(epoch=4))
    world.call("DELETE", f"/{world.index(BLUE)}")
    assert pointer.read().epoch == 4
    with pytest.raises(TargetRefused, match="does not exist; nothing was changed"):
        pointer.apply(back(epoch=4))
    assert world.serve() == {GREEN}


@pytest.mark.parametrize("alias", ["docs--switchover-1-2-0a0a0a0a", "docs--rehearsal", "_docs", "do*cs", "a,b", ""])
def test_an_alias_that_cannot_be_one_is_refused_in_the_plan(alias: str) -> None:
    with pytest.raises(ValidationError, match="alias"):
        OpenSearchSpec(kind="opensearch", connection=CONNECTION, alias=alias)


def test_an_arm_without_an_index_of_its_own_is_refused_in_the_plan() -> None:
    spec = OpenSearchSpec(kind="opensearch", connection=CONNECTION, alias="docs")
    spec.check_arms(["docs_v1", "docs_v2"])
    with pytest.raises(ValueError, match=r"pointer: arm 'docs_\*': found 'docs_\*'; allowed: the own name"):
        spec.check_arms(["docs_v1", "docs_*"])
    mapped = spec.model_copy(update={"targets": {"Blue": "docs_v1"}})
    with pytest.raises(ValueError, match=r"pointer.targets: found Blue; allowed: one for each arm \(Blue, Green\)"):
        mapped.check_arms(["Blue", "Green"])


def test_the_key_names_the_place(world: OpenSearchWorld) -> None:
    assert world.pointer().key == f"{world.kind}:{world.server.address}/{world.name}"


def test_a_mark_of_another_form_is_not_ours(world: OpenSearchWorld) -> None:
    """Somebody's alias that happens to begin alike is neither read as an epoch nor removed."""
    stranger = f"{world.name}--switchover-notes"
    world.aliases({"add": {"index": world.index(BLUE), "alias": stranger}})
    pointer = search_alias(world)
    assert pointer.read().epoch is None
    pointer.apply(change(epoch=2))
    assert world.call("GET", f"/_alias/{stranger}") == {world.index(BLUE): {"aliases": {stranger: {}}}}

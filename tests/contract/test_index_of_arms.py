"""Arms in two stores, and arms over one index, on real servers: each question goes where its arm's index is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from switchover.edge.edge import Edge
from switchover.errors import PlanError, TargetRefused
from switchover.indexes import AnyIndex, Index, IndexSpec
from switchover.indexes.attest import attest
from switchover.indexes.of_arms import build_indexes, place_of
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from tests.contract.test_indexes import MANIFEST, ROWS
from tests.contract.worlds.indexes import INDEX_WORLDS, IndexWorld

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def worlds(request: pytest.FixtureRequest) -> Iterator[list[IndexWorld]]:
    """An index in PostgreSQL, and one in Chroma."""
    made = [INDEX_WORLDS[kind](request.getfixturevalue(INDEX_WORLDS[kind].fixture)) for kind in ("pgvector", "chroma")]
    try:
        for world in made:
            world.create(ROWS)
        yield made
    finally:
        for world in made:
            world.close()


def spec(kind: str, connection: str, **more: Any) -> IndexSpec:
    adapter: TypeAdapter[IndexSpec] = TypeAdapter(AnyIndex)
    return adapter.validate_python({"kind": kind, "connection": connection, **more})


def both(worlds: list[IndexWorld], specs: dict[str, IndexSpec]) -> Index:
    connections = {world.kind: world.connection for world in worlds}
    return build_indexes(specs, Edge(connections=connections.__getitem__))


def test_arms_in_two_stores(worlds: list[IndexWorld]) -> None:
    tables, collections = worlds
    index = both(
        worlds,
        {
            "old": spec("pgvector", "pgvector", targets={"old": tables.name}),
            "new": spec("chroma", "chroma", targets={"new": collections.name}),
        },
    )
    for arm, world in (("old", tables), ("new", collections)):
        index.describe(arm, MANIFEST(arm))
        assert index.manifest(arm) == MANIFEST(arm)
        world.put("200", f"only {arm}", 0, [1.0, 0.0, 0.0, 0.0])
        assert index.texts(arm, ["200", "3"]) == {"200": f"only {arm}", "3": ROWS["3"][0]}
        assert index.count(arm) == len(ROWS) + 1
        found = attest(index, arm, kept=None, save=lambda proof: None)
        assert (found.proof.target, found.proof.tally.sum.count) == (arm, len(ROWS) + 1)
    assert index.mark("old").creation != index.mark("new").creation
    assert index.shared("old", ["new"]) == index.shared("new", ["old"]) == []
    index.drop("new")
    assert (index.health("new").exists, index.health("old").exists) == (False, True)


def test_arms_over_one_index(worlds: list[IndexWorld]) -> None:
    for world in worlds:
        targets = dict.fromkeys(("a", "b"), world.name)
        one = spec(world.kind, world.kind, targets=targets)
        index = both(worlds, {"a": one, "b": one})
        index.describe("a", MANIFEST("a"))
        assert index.manifest("b") == MANIFEST("a")
        assert index.mark("a") == index.mark("b")
        assert (index.shared("a", ["b"]), index.shared("b", ["a"])) == (["b"], ["a"])
        assert place_of(one, "a") == place_of(one, "b")


def test_an_arm_s_own_part_may_lead_to_the_other_one_s_index(worlds: list[IndexWorld]) -> None:
    """Two parts of the plan, one index: whoever drops one arm's would drop the other's."""
    for world in worlds:
        specs = {arm: spec(world.kind, world.kind, targets={arm: world.name}) for arm in ("a", "b")}
        index = both(worlds, specs)
        assert (index.shared("a", ["b"]), index.shared("b", ["a"])) == (["b"], ["a"])


def test_a_store_is_asked_by_its_own_names(worlds: list[IndexWorld]) -> None:
    """The arms' names are mapped in one place: a store that is built alone knows none of them."""
    for world in worlds:
        store = spec(world.kind, world.kind, targets={"a": world.name}).build(world.edge)
        assert store.health(world.name).exists
        assert not store.health("arm").exists


def test_a_name_that_is_no_arm_is_refused_by_the_store(worlds: list[IndexWorld]) -> None:
    index = both(worlds, {"old": spec("pgvector", "pgvector"), "new": spec("chroma", "chroma")})
    with pytest.raises(TargetRefused, match="nowhere"):
        index.manifest("nowhere")


def test_a_plan_may_name_an_index_for_one_arm() -> None:
    plan = load_plan(EXAMPLES / "docs_moved.yaml")
    assert [plan.index_of(arm).kind for arm in plan.arms] == ["pgvector", "opensearch"]
    assert {"docs_db", "docs_search"} <= set(plan.connections)
    assert [plan.sharing(arm) for arm in plan.arms] == [[], []]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"index": {"kind": "opensearch", "connection": "c", "targets": {"other": "x"}}}, "arms.docs_v2.index.targets"),
        ({"index": {"kind": "opensearch", "connection": "c", "targets": {"docs_v2": "Docs"}}}, "arms.docs_v2.index"),
        ({"index": {"kind": "nonsense", "connection": "c"}}, "nonsense"),
    ],
)
def test_what_is_wrong_with_an_arm_s_index_is_said_with_its_key(change: dict[str, Any], said: str) -> None:
    told = load_plan(EXAMPLES / "docs_moved.yaml").model_dump(mode="json")
    told["arms"]["docs_v2"] |= change
    with pytest.raises((ValueError, PlanError), match=said):
        Plan.model_validate(told)

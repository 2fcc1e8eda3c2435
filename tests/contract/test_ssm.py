"""What only a parameter does, and its bad inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.servers import Server
from switchover.errors import BadInput, PointerConflict
from switchover.steps.move import pointer_spec
from tests.contract.worlds.aws import ACCOUNT, SsmWorld
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, change

GIVEN: dict[str, Any] = {
    "kind": "ssm",
    "connection": CONNECTION,
    "parameter": "/docs/live",
    "account": ACCOUNT,
    "targets": {BLUE: "one", GREEN: "two"},
}


@pytest.fixture
def world(moto_server: Server) -> Iterator[SsmWorld]:
    world = SsmWorld(moto_server)
    world.set_up()
    yield world
    world.tear_down()


def value(world: SsmWorld) -> str:
    return str(world.client().get_parameter(Name=world.parameter)["Parameter"]["Value"])


def test_readers_get_the_bare_value_and_a_fence_makes_no_version(world: SsmWorld) -> None:
    pointer = world.pointer()
    pointer.refuse_older(9)
    assert pointer.read().version == 1
    assert pointer.apply(change(epoch=9)).version == 2
    assert value(world) == world.targets[GREEN]


def test_a_value_that_is_no_arms_is_shown(world: SsmWorld) -> None:
    world.client().put_parameter(Name=world.parameter, Value="https://third.example.test", Overwrite=True)
    with pytest.raises(PointerConflict, match="expected 'docs_v1', found 'https://third.example.test'; nothing was"):
        world.pointer().apply(change())
    assert value(world) == "https://third.example.test"


def test_a_write_over_somebody_elses_is_told_with_the_lost_value(world: SsmWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.client().put_parameter(Name=world.parameter, Value="https://third.example.test", Overwrite=True)
    with pytest.raises(PointerConflict, match=r"overwrote 'https://third\.example\.test' \(version 2\)"):
        pointer.swap(now, change())
    assert value(world) == world.targets[GREEN]


def test_a_write_beside_one_of_the_same_value_is_well(world: SsmWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.move(GREEN)
    assert pointer.swap(now, change())


def test_a_parameter_that_vanishes_between_look_and_write(world: SsmWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.remove()
    assert not pointer.swap(now, change())
    with pytest.raises(PointerConflict, match="does not exist; nothing was changed"):
        pointer.apply(change())


def test_one_that_vanishes_between_fence_and_write_is_told(world: SsmWorld) -> None:
    """AWS refuses a put without a type; moto makes the parameter, and the version tells."""
    pointer = world.pointer()
    pointer.refuse_older(1)
    now = pointer.read()
    world.remove()
    with pytest.raises(PointerConflict, match="overwrote 'nothing'"):
        pointer.swap(now, change(epoch=1))


@pytest.mark.parametrize("type", ["SecureString", "StringList"])
def test_another_type_is_bad_input(world: SsmWorld, type: str) -> None:
    world.remove()
    world.client().put_parameter(Name=world.parameter, Value=world.targets[BLUE], Type=type)
    with pytest.raises(BadInput, match=f"is a {type}; allowed: a String"):
        world.pointer().read()


def test_another_account_is_bad_input(world: SsmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    given = world.spec()
    monkeypatch.setattr(world, "spec", lambda: {**given, "account": "210987654321"})
    with pytest.raises(BadInput, match=f"the connection is for account {ACCOUNT}; allowed: 210987654321"):
        world.pointer().read()


def test_a_fence_that_is_no_number_is_bad_input(world: SsmWorld) -> None:
    tag = {"Key": "switchover:epoch", "Value": "seven"}
    world.client().add_tags_to_resource(ResourceType="Parameter", ResourceId=world.parameter, Tags=[tag])
    with pytest.raises(BadInput, match="tag switchover:epoch: found 'seven'; allowed: a whole number"):
        world.pointer().read()


def test_an_arm_without_a_place_is_bad_input(world: SsmWorld) -> None:
    with pytest.raises(BadInput, match="'docs_v3' has no place; allowed: docs_v1, docs_v2, elsewhere"):
        world.pointer().apply(change(BLUE, "docs_v3"))
    assert value(world) == world.targets[BLUE]


def test_each_rehearsal_has_a_name_of_its_own(world: SsmWorld) -> None:
    """AWS wants half a minute between deleting a parameter and making it again."""
    pointer = world.pointer()
    with pointer.shadow(BLUE) as first, pointer.shadow(BLUE) as second:
        assert first.key != second.key
        assert first.key.startswith(f"{pointer.key}__rehearsal-")
    left = world.client().describe_parameters()["Parameters"]
    assert [each["Name"] for each in left if each["Name"].startswith(f"{world.parameter}__")] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"parameter": "docs live"}, "parameter: found 'docs live'"),
        ({"parameter": "/docs//live"}, "parameter: found '/docs//live'"),
        ({"account": "123"}, "account: found '123'"),
        ({"targets": {BLUE: "one", GREEN: "one"}}, "found 'one' for docs_v1 and docs_v2; allowed: another place"),
        ({"targets": {BLUE: "one", GREEN: ""}}, "targets.docs_v2: found ''"),
        ({"value": "x"}, "value: unknown key for kind 'ssm'"),
    ],
)
def test_a_wrong_plan_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pointer_spec({**GIVEN, **given})

"""What only a key in DynamoDB does, and its bad inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.servers import Server
from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.errors import BadInput, PointerConflict, TargetRefused
from switchover.steps.move import pointer_spec
from tests.contract.answering import answering
from tests.contract.worlds.aws import TABLE, Call, DynamoDbWorld, pointer_of
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, back, change


class OddTable(DynamoDbWorld):
    """A world whose pointer is told of another table."""

    table = "absent"

    def spec(self) -> dict[str, Any]:
        given = super().spec()
        return {**given, "table_arn": given["table_arn"].replace(TABLE, self.table)}


@pytest.fixture
def world(moto_server: Server) -> Iterator[DynamoDbWorld]:
    world = DynamoDbWorld(moto_server)
    world.set_up()
    yield world
    world.tear_down()


def test_an_item_made_by_hand_is_taken_over_and_its_other_attributes_stay(world: DynamoDbWorld) -> None:
    note = {"note": {"S": "mine"}, "ttl": {"N": "99"}}
    world.client().put_item(TableName=TABLE, Item={**world.item(), **note})
    pointer = world.pointer()
    assert (pointer.read().version, pointer.read().epoch) == (0, 0)
    pointer.apply(change(epoch=4))
    item = world.item()
    moved_at = item.pop("moved_at")["S"]
    assert item == {
        **world.key, **note,
        "target": {"S": GREEN}, "epoch": {"N": "4"}, "version": {"N": "1"}, "actor": {"S": "test"},
    }  # fmt: skip
    assert moved_at.endswith("+00:00")


def test_a_foreign_move_there_and_back_is_seen_where_the_version_was_raised(world: DynamoDbWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.client().update_item(
        TableName=TABLE,
        Key=world.key,
        UpdateExpression="SET version = :n",
        ExpressionAttributeValues={":n": {"N": "8"}},
    )
    assert not pointer.swap(now, change())
    assert world.pointer().apply(change()).version == 9


def test_an_item_that_vanishes_between_look_and_write_is_not_made_again(world: DynamoDbWorld) -> None:
    pointer = world.pointer()
    now = pointer.read()
    world.remove()
    assert not pointer.swap(now, change())
    with pytest.raises(PointerConflict, match="does not exist"):
        pointer.apply(change())
    assert world.item() == {}


def test_the_arm_is_asked_before_a_move(world: DynamoDbWorld) -> None:
    spec = {**world.spec(), "check": {"connection": "arms", "path": "/collections/{target}"}}
    with answering(404, {}, docs_v1={}) as port:
        arms = Connection(id="arms", conn_type="http", host="127.0.0.1", port=port)
        edge = Edge(connections=lambda id: arms if id == "arms" else world.connection(world.address))
        pointer = pointer_spec({"kind": world.kind, "connection": CONNECTION, **spec}).build(edge)
        with pytest.raises(TargetRefused, match="'docs_v2' does not exist: .*/docs_v2 answered 404; nothing was"):
            pointer.apply(change())
        assert world.serve() == {BLUE}
        world.move(GREEN)
        assert pointer.apply(back()).changed
        edge.close()


def test_every_read_is_consistent(world: DynamoDbWorld) -> None:
    """moto answers every read with the newest write; AWS only those that ask for it."""
    calls: list[Call] = []
    pointer = pointer_of(world, calls)
    pointer.apply(change())
    reads = [parameters for action, parameters in calls if action == "dynamodb:GetItem"]
    assert reads and all(read["ConsistentRead"] for read in reads)


@pytest.mark.parametrize(
    "item",
    [{}, {"target": {"N": "1"}}, {"target": {"S": "docs_v1"}, "epoch": {"S": "seven"}}],
    ids=["no target", "target of another type", "epoch of another type"],
)
def test_an_item_of_another_shape_is_bad_input(world: DynamoDbWorld, item: dict[str, Any]) -> None:
    world.client().put_item(TableName=TABLE, Item={**world.key, **item})
    with pytest.raises(BadInput, match="allowed: target S, epoch N, version N"):
        world.pointer().read()


def test_an_absent_table_is_bad_input(moto_server: Server) -> None:
    world = OddTable(moto_server)
    with pytest.raises(BadInput, match=r"table/absent: there is no such table; docs/pointers/kv_dynamodb\.md makes it"):
        world.pointer().read()


def test_a_table_with_another_key_is_bad_input(moto_server: Server) -> None:
    world = OddTable(moto_server)
    world.table = f"odd-{world.name}"
    world.client().create_table(
        TableName=world.table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(BadInput, match="allowed: a table whose only key is the string attribute 'key'"):
        world.pointer().read()
    world.client().delete_table(TableName=world.table)


@pytest.mark.parametrize("arn", ["switchover", "arn:aws:dynamodb:us-east-1:1:table/switchover", "arn:aws:s3:::bucket"])
def test_a_wrong_arn_is_refused_in_the_plan(arn: str) -> None:
    with pytest.raises(BadInput, match=rf"pointer: table_arn: found '{arn}'"):
        pointer_spec({"kind": "kv_dynamodb", "connection": CONNECTION, "key": "docs", "table_arn": arn})

"""What only the consumer-group pointer does: offsets are handed over in the transaction that moves it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from switchover.errors import BadInput, TargetRefused
from switchover.pointers.move import pointer_spec
from tests.contract.worlds.base import BLUE, GREEN, back, change
from tests.contract.worlds.kafka import KafkaWorld


@pytest.fixture
def world(kafka: Any) -> Iterator[KafkaWorld]:
    world = KafkaWorld(kafka)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def consume(consumer: Consumer, count: int) -> list[str]:
    """Take ``count`` documents and commit them."""
    found: list[str] = []
    while len(found) < count:
        message = consumer.poll(20)
        assert message is not None, f"only {len(found)} of {count} documents came"
        assert message.error() is None
        found.append(message.value().decode())
    consumer.commit(asynchronous=False)
    return found


def test_green_goes_on_where_blue_stopped_and_back_again(world: KafkaWorld) -> None:
    groups = world.spec()["targets"]
    pointer = world.pointer()
    world.produce(20)
    seen: list[str] = []
    for arm, move in ((BLUE, change()), (GREEN, back()), (BLUE, None)):
        consumer = world.consumer(groups[arm])
        seen += consume(consumer, 20)
        consumer.close()
        if move is not None:
            assert pointer.apply(move).changed
            world.produce(20)
    assert len(seen) == 60
    assert sorted(seen, key=int) == sorted([str(n) for n in range(20)] * 3, key=int), "none lost, none twice"


def test_a_group_with_members_is_not_handed_over(world: KafkaWorld) -> None:
    world.produce(2)
    consumer = world.consumer(world.spec()["targets"][BLUE])
    consume(consumer, 2)
    with pytest.raises(TargetRefused, match="still has 1 members; stop its consumers first; nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}
    consumer.close()
    assert world.pointer().apply(change()).changed


def test_a_lost_move_leaves_green_s_offsets_alone(world: KafkaWorld) -> None:
    """Offsets and pointer are one transaction: a mover that was fenced has committed neither."""
    world.produce(4)
    groups = world.spec()["targets"]
    blue = world.consumer(groups[BLUE])
    consume(blue, 4)
    blue.close()
    sleeper = world.pointer()
    original = sleeper._copy_offsets

    def late(producer: Any, before: str, after: str) -> None:
        original(producer, before, after)
        world.move(BLUE)  # somebody else moves after our offsets were sent

    sleeper._copy_offsets = late
    assert not sleeper.swap(sleeper.read(), change())
    reader = Consumer({**world.settings, "group.id": groups[GREEN]})
    committed = reader.committed([TopicPartition(world.topics[1], p) for p in (0, 1)], timeout=10)
    reader.close()
    assert all(partition.offset < 0 for partition in committed)
    assert world.serve() == {BLUE}


def test_bad_input_is_one_clear_line(world: KafkaWorld) -> None:
    with pytest.raises(TargetRefused, match="'docs_v9' has no group; allowed: docs_v1, docs_v2"):
        world.pointer().apply(change(BLUE, "docs_v9"))
    world.write("blue")
    with pytest.raises(BadInput, match=r"found 'blue'; allowed: JSON .*nothing was changed"):
        world.pointer().read()


def test_a_missing_control_topic_is_bad_input(world: KafkaWorld) -> None:
    world.topics[0] = f"{world.name}-nowhere"
    with pytest.raises(BadInput, match="nothing was changed"):
        world.pointer().read()


def test_a_missing_data_topic_is_bad_input(world: KafkaWorld) -> None:
    world.topics[1] = f"{world.name}-nowhere"
    with pytest.raises(BadInput, match=f"no topic {world.name}-nowhere; nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}


def test_two_arms_in_one_group_are_refused_in_the_plan() -> None:
    told = {"kind": "kafka_group", "connection": "kafka", "control": "control", "key": "docs", "topics": ["documents"]}
    with pytest.raises(BadInput, match="pointer: targets: found .*; allowed: one group for each"):
        pointer_spec({**told, "targets": {BLUE: "readers", GREEN: "readers"}})

"""What only the consumer-group pointer does: offsets are handed over in the transaction that moves it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions

from switchover.errors import BadInput, TargetRefused
from switchover.pointers import Change
from switchover.steps.move import pointer_spec
from switchover.writers.kafka_group import KafkaGroupWriter, KafkaGroupWriterSpec
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

    def late(producer: Any, wanted: Change) -> None:
        original(producer, wanted)
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


class Alone:
    """A consumer that assigns its partitions itself: it commits in a group and is no member of it."""

    def __init__(self, world: KafkaWorld, group: str) -> None:
        self.group = group
        options = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        self._consumer = Consumer({**world.settings, **options})
        self._consumer.assign([TopicPartition(world.topics[1], number, 0) for number in (0, 1)])
        self._ended = threading.Event()
        self.taken = 0
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        while self.taken < 4:
            time.sleep(0.05)

    def _work(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._consumer.commit(message, asynchronous=False)
                self.taken += 1
                self._ended.wait(0.02)
        self._consumer.close()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def alone(world: KafkaWorld) -> Iterator[Alone]:
    world.produce(400)
    group = world.spec()["targets"][BLUE]
    commit(world, group, {0: 0, 1: 0})
    consumer = Alone(world, group)
    yield consumer
    consumer.end()


def test_who_consumes_and_is_no_member_keeps_the_pointer_where_it_is(world: KafkaWorld, alone: Alone) -> None:
    with pytest.raises(TargetRefused, match="no members and still commits: .*; stop them first; nothing was changed"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}
    alone.end()
    assert world.pointer().apply(change()).changed
    green = world.consumer(world.spec()["targets"][GREEN])
    assert len(consume(green, 400 - alone.taken)) == 400 - alone.taken, "none lost, none twice"
    green.close()


def test_who_consumes_and_is_no_member_is_not_drained(world: KafkaWorld, alone: Alone) -> None:
    writer = group_writer(world, alone.group, quiet_s=0.5)
    for _ in range(8):
        assert not writer.drained().done
        time.sleep(0.2)
    assert "has no members and still commits" in writer.drained().proof
    with pytest.raises(
        BadInput, match="nobody can be counted; give quiet_s, seconds longer than their commit interval"
    ):
        group_writer(world, alone.group).find()
    alone.end()
    deadline = time.monotonic() + 5
    while not (drained := writer.drained()).done:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert f"its offsets stand still for 0.5 s; lag at most {400 - alone.taken}" in drained.proof


def test_who_begins_during_the_hold_and_is_no_member_is_told(world: KafkaWorld, alone: Alone) -> None:
    writer = group_writer(world, alone.group, quiet_s=1)
    found = {"members": 1}
    writer.thawed(found)
    time.sleep(0.3)
    assert "its committed offsets went on by" in writer.thawed(found)
    alone.end()
    writer.thawed(found)
    assert not writer.thawed(found)


@pytest.mark.parametrize("committed", ["nothing", "one of two partitions"])
def test_an_offset_that_was_never_committed_is_not_handed_over_as_zero(world: KafkaWorld, committed: str) -> None:
    world.produce(6)
    group = world.spec()["targets"][BLUE]
    if committed != "nothing":
        commit(world, group, {0: 3})
    with pytest.raises(TargetRefused, match=r"has committed nothing for .*-[01], which holds 3 messages: .*not known"):
        world.pointer().apply(change())
    assert world.serve() == {BLUE}
    commit(world, group, {0: 3, 1: 3})
    assert world.pointer().apply(change()).changed


def test_the_way_back_is_not_barred_by_what_is_not_known(world: KafkaWorld) -> None:
    assert world.pointer().apply(change()).changed  # nothing was there to hand over
    world.produce(6)
    with pytest.raises(TargetRefused, match="has committed nothing"):
        world.pointer().apply(back())
    assert world.pointer().apply(replace(back(), back=True)).changed


def test_offsets_beyond_the_end_are_a_topic_that_was_made_anew(world: KafkaWorld) -> None:
    world.produce(6)
    group = world.spec()["targets"][BLUE]
    commit(world, group, {0: 50, 1: 3})
    with pytest.raises(TargetRefused, match=r"committed beyond the end \(.*-0: committed 50, ends at 3\)"):
        world.pointer().apply(change())
    with pytest.raises(BadInput, match="was the topic made anew"):
        group_writer(world, group, quiet_s=1).waiting()


def test_a_lag_that_is_not_known_is_said_and_not_zero(world: KafkaWorld) -> None:
    group = world.spec()["targets"][BLUE]
    consumer = world.consumer(group)
    consumer.poll(5)
    writer = group_writer(world, group)
    with pytest.raises(BadInput, match="has committed nothing: how far it lags is not known"):
        writer.waiting()
    assert "how far it lags is not known" in writer.drained().proof
    consumer.close()
    world.produce(6)
    commit(world, group, {0: 1})
    assert writer.waiting() == 2 + 3, "a partition without an offset waits whole"


def test_a_control_topic_with_more_partitions_is_refused(world: KafkaWorld) -> None:
    for made in world.admin.create_partitions([NewPartitions(world.topics[0], 2)]).values():
        made.result(10)
    with pytest.raises(BadInput, match="has 2 partitions; allowed: one"):
        world.pointer().read()


def commit(world: KafkaWorld, group: str, offsets: dict[int, int]) -> None:
    """As an administrator does."""
    places = [TopicPartition(world.topics[1], number, offset) for number, offset in offsets.items()]
    consumer = Consumer({**world.settings, "group.id": group})
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def group_writer(world: KafkaWorld, group: str, quiet_s: float | None = None) -> KafkaGroupWriter:
    spec = KafkaGroupWriterSpec(
        kind="kafka_consumer_group", name="group", connection="kafka", group=group, quiet_s=quiet_s
    )
    return KafkaGroupWriter(settings=world.settings, spec=spec)

"""How far a Kafka consumer group is: what it has committed, and what waits behind that.

A consumer that assigns its partitions itself (Flink, Spark, many ETL jobs) is no member of its group. It is seen
only by what it commits: so a group is left when it has no members *and* its offsets stand still.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from switchover.edge.clients import TIMEOUT_S
from switchover.edge.kafka_groups import kafka_error
from switchover.errors import BadInput

Partition = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Span:
    """The offsets of the first message that a partition holds and of the one that comes next."""

    first: int
    end: int


def committed(admin: Any, group: str) -> dict[Partition, int]:
    """What the group has committed, anywhere; a partition that it never committed is left out."""
    from confluent_kafka import ConsumerGroupTopicPartitions

    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=TIMEOUT_S)
    return _known(asked[group].result(TIMEOUT_S).topic_partitions)


def stable(consumer: Any, partitions: Collection[Partition]) -> dict[Partition, int]:
    """What the consumer's group has committed in these partitions; a transaction that is about to end is waited for."""
    from confluent_kafka import TopicPartition

    return _known(consumer.committed([TopicPartition(*each) for each in partitions], timeout=TIMEOUT_S))


def partitions_of(admin: Any, topics: Collection[str], *, where: str) -> list[Partition]:
    """Every partition of the topics. ``BadInput`` names the topics that are not there."""
    known = admin.list_topics(timeout=TIMEOUT_S).topics
    absent = [topic for topic in topics if topic not in known or known[topic].error is not None]
    if absent:
        raise BadInput(f"{where}: no topic {', '.join(absent)}; nothing was changed")
    return [(topic, number) for topic in topics for number in known[topic].partitions]


def spans(admin: Any, partitions: Collection[Partition]) -> dict[Partition, Span]:
    """What each partition holds."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

    def asked(spec: Any) -> dict[Partition, int]:
        wanted = {TopicPartition(*each): spec for each in partitions}
        answers = admin.list_offsets(wanted, request_timeout=TIMEOUT_S)
        return {(each.topic, each.partition): int(answers[each].result(TIMEOUT_S).offset) for each in wanted}

    first, end = asked(OffsetSpec.earliest()), asked(OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {each: Span(first=first[each], end=end[each]) for each in partitions}


def waiting(at: Mapping[Partition, int], held: Mapping[Partition, Span]) -> int:
    """Messages that wait for a group that is ``at`` these offsets, at most: marks of transactions have offsets too.

    A partition that it never committed waits whole.
    """
    return sum(max(0, span.end - max(at.get(each, 0), span.first)) for each, span in held.items())


def beyond(at: Mapping[Partition, int], held: Mapping[Partition, Span]) -> str:
    """What was committed beyond the end of its partition, in words: a topic that was made anew; empty when nothing."""
    found = [
        f"{name(each)}: committed {at[each]}, ends at {span.end}"
        for each, span in held.items()
        if at.get(each, 0) > span.end
    ]
    return ", ".join(found)


def name(partition: Partition) -> str:
    """``documents-3``."""
    return f"{partition[0]}-{partition[1]}"


def _known(found: Iterable[Any]) -> dict[Partition, int]:
    """Without the partitions that were never committed; one that could not be asked is no such one."""
    known = {}
    for each in found:
        if each.error is not None:
            raise kafka_error()(each.error)
        if each.offset >= 0:
            known[each.topic, each.partition] = int(each.offset)
    return known

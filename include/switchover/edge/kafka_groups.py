"""Kafka's errors as ours, and the control topic that a group pointer is kept in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from switchover.edge.clients import TIMEOUT_S
from switchover.errors import BadInput, PointerConflict, Unreachable

LOST = ("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "_STATE")
MOVING = ("NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE")
REFUSED = (
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "SASL_AUTHENTICATION_FAILED",
    "_AUTHENTICATION",
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_TOPIC",
    "_UNKNOWN_PARTITION",
)


class ControlTopic:
    """Reads a one-partition topic, each time only what is new."""

    def __init__(self, *, settings: dict[str, Any], topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._admin: Any = None
        self._consumer: Any = None
        self._next = 0
        self._last: dict[str, tuple[int, str]] = {}

    def last(self, key: str) -> tuple[int, str] | None:
        """Offset and value of the last committed record of a key; ``None`` when there is none, or a tombstone.

        A transaction whose end is decided but not yet written into the topic is waited for.
        """
        deadline = time.monotonic() + TIMEOUT_S
        end = self._end()
        while self._next < end:
            self._read_on()
            if time.monotonic() > deadline:
                raise Unreachable(f"Kafka topic {self._topic!r}: a transaction did not end within {TIMEOUT_S:g} s")
        return self._last.get(key)

    def _end(self) -> int:
        """The offset after the last record, committed or not."""
        from confluent_kafka import IsolationLevel, TopicPartition
        from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

        if self._admin is None:
            admin = AdminClient(self._settings)
            found = admin.list_topics(timeout=TIMEOUT_S).topics.get(self._topic)
            if found is None or found.error is not None:
                raise BadInput(
                    f"Kafka topic {self._topic!r}: does not exist, or may not be described;"
                    " make it with one partition, compacted; nothing was changed"
                )
            if len(found.partitions) != 1:
                raise BadInput(
                    f"Kafka topic {self._topic!r}: has {len(found.partitions)} partitions; allowed: one, in which"
                    " the newest record of a key is the newest of all; nothing was changed"
                )
            self._admin = admin
        partition = TopicPartition(self._topic, 0)
        asked = self._admin.list_offsets(
            {partition: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=TIMEOUT_S,
        )
        return int(asked[partition].result(TIMEOUT_S).offset)

    def _read_on(self) -> None:
        """Read what is committed and new."""
        from confluent_kafka import Consumer, KafkaError, TopicPartition

        if self._consumer is None:
            own = {
                "group.id": "switchover-reader",  # never joined: the partition is assigned
                "auto.offset.reset": "earliest",  # compaction may have removed where we were
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 5,  # a fetch that waits for news would hold up the next question
            }
            self._consumer = Consumer({**self._settings, **own})
        self._consumer.assign([TopicPartition(self._topic, 0, self._next)])
        try:
            while True:
                message = self._consumer.poll(TIMEOUT_S)
                if message is None:
                    raise Unreachable(f"Kafka topic {self._topic!r}: no answer within {TIMEOUT_S:g} s")
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    self._next = message.offset()
                    return
                if error is not None:
                    raise kafka_error()(error)
                self._keep(message)
        finally:
            self._consumer.unassign()

    def _keep(self, message: Any) -> None:
        name = (message.key() or b"").decode(errors="replace")
        if message.value() is None:
            self._last.pop(name, None)
        else:
            self._last[name] = (message.offset(), message.value().decode(errors="replace"))


class Attempt:
    """Whether a write lost to another writer."""

    lost = False


@contextlib.contextmanager
def answering(what: str) -> Iterator[Attempt]:
    """Kafka's errors as ours; a write that was fenced ends quietly as lost."""
    attempt = Attempt()
    try:
        yield attempt
    except kafka_error() as error:
        cause = error.args[0]
        line = f"{what}: {cause.name()}: {cause.str()}"
        if cause.name() in LOST:
            attempt.lost = True
        elif cause.name() in REFUSED:
            raise BadInput(f"{line}; see the rights in docs/pointers/kafka_group.md; nothing was changed") from error
        elif cause.name() == "CONCURRENT_TRANSACTIONS":
            raise PointerConflict(f"{line}; somebody else is moving it; nothing was changed") from error
        else:
            raise Unreachable(f"{line}") from error


def kafka_error() -> type[Exception]:
    from confluent_kafka import KafkaException

    return KafkaException

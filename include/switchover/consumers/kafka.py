"""A Kafka consumer whose every message has exactly one effect: its line is explained in docs/consumers.md.

    from switchover.consumers.kafka import FencedConsumer, Place, run_until_told

It consumes while its arm is live and waits while it is not. It may be killed at any moment, and run any number of times
at once. It needs PostgreSQL with the tables of the dedupe fence and of the write gate, and Kafka.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from switchover.edge.kafka_groups import ControlTopic
from switchover.errors import Unreachable
from switchover.fence import Fence, fence_key
from switchover.fence.postgres import PostgresStore

BATCH = 500
LOOK_S = 0.2

#: Applies messages in their order, in the caller's transaction; gives a receipt each.
Apply = Callable[[psycopg.Connection[Any], Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """What one consumer belongs to.

    ``fence``: its row of ``switchover_fence``; a switchover freezes it. ``control``, ``key``: the record that
    names the live arm (the plan's ``kafka_group`` pointer).
    """

    arm: str
    group: str
    topics: Sequence[str]
    fence: str
    control: str
    key: str


class Closed(Exception):
    """The fence is frozen, or was since this consumer looked which arm is live."""


class FencedConsumer:
    """One member of a group. ``settings``: the Kafka client's configuration."""

    def __init__(self, *, settings: dict[str, Any], db_url: str, place: Place, apply: Apply) -> None:
        self._settings = settings
        self._place = place
        self._apply = apply
        self._conn = psycopg.connect(db_url, autocommit=True, application_name=f"consumer-{place.group}")
        holder = f"{place.group}/{os.getpid()}"
        self._fence = Fence(store=PostgresStore(self._conn), holder=holder)
        self._control = ControlTopic(settings=settings, topic=place.control)
        self._epoch = 0

    def run(self, stop: threading.Event) -> None:
        """Consume while the arm is live; a batch that began is ended before this returns."""
        while not stop.is_set():
            if not self.is_live():
                stop.wait(LOOK_S)
                continue
            consumer = self._joined()
            try:
                while not stop.is_set():
                    self.step(consumer)
            except Closed:
                stop.wait(LOOK_S)
            finally:
                consumer.close()  # leaves the group at once, so that it can be handed over

    def is_live(self) -> bool:
        """Whether the fence is open and the pointer names this arm; keeps the fence's epoch, read first.

        Without an answer from Kafka it is not proven, so it is not live.
        """
        frozen, self._epoch = self._fence_row("")
        if frozen:
            return False
        try:
            found = self._control.last(self._place.key)
        except Unreachable:
            return False
        return found is not None and json.loads(found[1])["target"] == self._place.arm

    def step(self, consumer: Any) -> int:
        """Take up to ``BATCH`` messages to their end; returns how many. ``Closed``: nothing was applied."""
        messages = [message for message in consumer.consume(BATCH, LOOK_S) if _good(message)]
        if messages:
            self._effects(messages)
            self._commit(consumer, messages)
        elif self._fence_row("") != (False, self._epoch):
            raise Closed
        return len(messages)

    def _effects(self, messages: Sequence[Any]) -> None:
        """Effects and fence keys in one transaction, that shares the write gate's row."""
        keyed = [(_key(message), message.value()) for message in messages]
        with self._conn.transaction():
            if self._fence_row("FOR SHARE") != (False, self._epoch):
                raise Closed
            with self._fence.once_many(keyed, connection=self._conn) as effects:
                pairs = zip(messages, effects, strict=True)
                first = [(message, effect) for message, effect in pairs if effect.first]
                receipts = self._apply(self._conn, [message for message, _ in first])
                for (_, effect), receipt in zip(first, receipts, strict=True):
                    effect.done(receipt)

    def _commit(self, consumer: Any, messages: Sequence[Any]) -> None:
        """Commit offsets, after the effects. Refused after a rebalance: the partition's new owner meets duplicates."""
        ends = {(message.topic(), message.partition()): message.offset() + 1 for message in messages}
        try:
            consumer.commit(offsets=[TopicPartition(*at, end) for at, end in ends.items()], asynchronous=False)
        except KafkaException as error:
            if error.args[0].fatal():
                raise

    def _fence_row(self, lock: str) -> tuple[bool, int]:
        query = f"SELECT frozen, epoch FROM switchover_fence WHERE fence = %s {lock}"
        row = self._conn.execute(query, [self._place.fence]).fetchone()
        return (bool(row[0]), int(row[1])) if row else (True, -1)  # a fence that is not there is not proven open

    def _joined(self) -> Any:
        own = {
            "group.id": self._place.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 3_000,  # how long a killed member holds up its group
            "fetch.wait.max.ms": 50,
        }
        consumer = Consumer({**self._settings, **own})
        consumer.subscribe(list(self._place.topics))
        return consumer


def run_until_told(consumer: FencedConsumer) -> None:
    """Run until SIGTERM or SIGINT; a batch that began is ended first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    consumer.run(stop)


def _key(message: Any) -> str:
    """The same for every delivery of a message, in whatever group."""
    source = f"{message.topic()}/{message.partition()}"
    return fence_key(source_type="kafka", source_id=source, revision=message.offset(), action="apply")


def _good(message: Any) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(error)
    return False  # the client tries again by itself

"""A consumer group of a real Kafka; the world is what runs its consumer."""

from __future__ import annotations

from concurrent.futures import wait
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from switchover.edge.connection import Connection
from tests.contract.worlds.base import CONNECTION, NotApplicable
from tests.contract.writers.base import WriterWorld


class KafkaGroupWriterWorld(WriterWorld):
    kind = "kafka_consumer_group"
    fixture = "kafka"
    backlog = 3

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.settings = dict(server.connection["extra"])
        self.admin = AdminClient(self.settings)
        self.topic = f"{self.name}-documents"
        self.consumers: list[Consumer] = []

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        raise NotApplicable("a Kafka client goes on to the addresses that the broker advertises, past any proxy")

    def edge(self, address: Any = None) -> Any:
        return super().edge(address or ("", 0))

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return Connection(id=CONNECTION, conn_type="kafka", extra=self.settings)

    def set_up(self) -> None:
        for created in self.admin.create_topics([NewTopic(self.topic, 1, 1)]).values():
            created.result(10)
        producer = Producer(self.settings)
        for number in range(7):
            producer.produce(self.topic, value=str(number))
        producer.flush(10)
        self.consume(commit=4)

    def consume(self, commit: int = 0) -> None:
        """One more consumer; it has joined when it has read a message or has no partition."""
        options = {"group.id": self.name, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        consumer = Consumer({**self.settings, **options})
        consumer.subscribe([self.topic])
        self.consumers.append(consumer)
        for _ in range(commit):
            message = consumer.poll(20)
            assert message is not None
            consumer.commit(message, asynchronous=False)

    def spec(self) -> dict[str, Any]:
        return {"group": self.name, "drain_s": 2, "quiet_s": 0.2}

    def state(self) -> int:
        asked = self.admin.describe_consumer_groups([self.name], request_timeout=10)
        return len(asked[self.name].result(10).members)

    def disturb(self) -> None:
        self.consume()
        while self.state() == 0:
            self.consumers[-1].poll(0.1)

    def halt(self) -> None:
        self.end()

    def begin(self) -> None:
        """The consumer of ``set_up`` is still there."""

    def end(self) -> None:
        while self.consumers:
            self.consumers.pop().close()

    def remove(self) -> None:
        self.end()
        for deleted in self.admin.delete_consumer_groups([self.name], request_timeout=10).values():
            deleted.result(10)

    def tear_down(self) -> None:
        self.end()
        # Waited for: an answer that comes when this world is garbage would end the client in the client's own thread.
        wait(self.admin.delete_topics([self.topic]).values(), timeout=10)

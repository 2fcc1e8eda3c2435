"""A record in the control topic of a real Kafka; the reader is a consumer that looks which group is live."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from switchover.edge.connection import Connection
from switchover.edge.kafka_groups import ControlTopic
from tests.contract.worlds.base import BLUE, CONNECTION, GREEN, NotApplicable, World


class KafkaWorld(World):
    kind = "kafka_group"
    fixture = "kafka"

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.settings = dict(server.connection["extra"])
        self.admin = AdminClient(self.settings)
        self.topics = [f"{self.name}-control", f"{self.name}-documents"]
        self.reader = ControlTopic(settings=self.settings, topic=self.topics[0])

    @property
    def against(self) -> str:
        return str(self.server.describe)

    @property
    def address(self) -> tuple[str, int]:
        raise NotApplicable("a Kafka client goes on to the addresses that the broker advertises, past any proxy")

    def pointer(self, address: tuple[str, int] | str | None = None) -> Any:
        return super().pointer(address or ("", 0))

    def connection(self, address: tuple[str, int] | str) -> Connection:
        return Connection(id=CONNECTION, conn_type="kafka", extra=self.settings)

    def set_up(self) -> None:
        control, documents = self.topics
        compacted = NewTopic(control, 1, 1, config={"cleanup.policy": "compact"})
        for created in self.admin.create_topics([compacted, NewTopic(documents, 2, 1)]).values():
            created.result(10)
        self.move(BLUE)

    def tear_down(self) -> None:
        # Waited for: an answer that comes when this world is garbage would end the client in the client's own thread.
        wait(self.admin.delete_topics(self.topics).values(), timeout=10)

    def spec(self) -> dict[str, Any]:
        groups = {BLUE: f"{self.name}-blue", GREEN: f"{self.name}-green", "elsewhere": f"{self.name}-else"}
        return {"control": self.topics[0], "key": "docs", "topics": self.topics[1:], "targets": groups}

    def serve(self) -> frozenset[str]:
        found = self.reader.last("docs")
        return frozenset([json.loads(found[1])["target"]] if found else [])

    def move(self, target: str) -> None:
        self.write(json.dumps({"target": target}))

    def plant(self) -> Callable[[], object]:
        self.write(json.dumps({"target": BLUE, "epoch": 3}), key="docs__rehearsal")
        return lambda: self.reader.last("docs__rehearsal")

    def remove(self) -> None:
        self.write(None)

    def write(self, value: str | None, key: str = "docs") -> None:
        """As any mover must: with the transactional id, which ACLs keep to movers."""
        producer = Producer({**self.settings, "transactional.id": f"switchover-{self.topics[0]}-docs"})
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.produce(self.topics[0], key=key, value=value, partition=0)
        producer.commit_transaction(10)

    def restart(self) -> None:
        self.server.restart()

    def produce(self, count: int) -> None:
        """Documents for the consumers."""
        producer = Producer(self.settings)
        for number in range(count):
            producer.produce(self.topics[1], value=str(number), partition=number % 2)
        producer.flush(10)

    def consumer(self, group: str) -> Consumer:
        """A consumer in a group."""
        options = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        consumer = Consumer({**self.settings, **options})
        consumer.subscribe(self.topics[1:])
        return consumer

"""A Kafka consumer group that writes. It stops nothing itself: it proves that nobody consumes in the group.

Kafka cannot stop a consumer. What runs the consumers (a Deployment, an ECS service, a DAG) is a writer of its own
and stands before this one in the plan; this one then proves the hand-over: the group is empty, and how far it lags.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from switchover.clients import TIMEOUT_S
from switchover.edge import Edge
from switchover.errors import BadInput
from switchover.pointers.kafka_control import answering, kafka_error
from switchover.writers.base import Drain, Quiet, State, Writer, WriterSpec


class KafkaGroupWriterSpec(WriterSpec):
    """A Kafka consumer group: stopped by what runs its consumers; drained when the group has no members."""

    kind: Literal["kafka_consumer_group"]
    group: str = Field(min_length=1, max_length=249, description="The consumer group.")

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return KafkaGroupWriter(settings=edge.client("kafka", self.connection), spec=self)


class KafkaGroupWriter(Writer):
    """One consumer group."""

    def __init__(self, *, settings: dict[str, Any], spec: KafkaGroupWriterSpec) -> None:
        super().__init__(spec=spec)
        self._settings = settings
        self._group = spec.group
        self._quiet = Quiet()
        self._client: Any = None

    def find(self) -> State:
        """See :class:`Writer`."""
        return {"members": len(self._described().members)}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`. Not set by this writer, but expected from what runs the consumers."""
        return {"members": 0}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`. Kafka has no way to stop a consumer: this only looks whether the group is there."""
        self._described()

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        members = len(self._described().members)
        done = self._quiet.look(quiet=members == 0)
        state = "is empty" if members == 0 else f"still has {members} members: stop what runs its consumers"
        return Drain(done=done, proof=f"group {self._group} {state}; lag {self.waiting()}")

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`. What runs the consumers starts them again."""

    def waiting(self) -> int:
        """See :class:`Writer`: the group's lag.

        Messages after the committed offsets, over the partitions that the group has committed.
        """
        from confluent_kafka import ConsumerGroupTopicPartitions
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        with answering(self._what):
            asked = self._admin().list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(self._group)], request_timeout=TIMEOUT_S
            )
            committed = [each for each in asked[self._group].result(TIMEOUT_S).topic_partitions if each.offset >= 0]
            if not committed:
                return 0
            latest = {each: OffsetSpec.latest() for each in committed}  # type: ignore[no-untyped-call]
            ends = self._admin().list_offsets(latest, request_timeout=TIMEOUT_S)
            return sum(max(0, ends[each].result(TIMEOUT_S).offset - each.offset) for each in committed)

    def _described(self) -> Any:
        with answering(self._what):
            asked = self._admin().describe_consumer_groups([self._group], request_timeout=TIMEOUT_S)
            try:
                found = asked[self._group].result(TIMEOUT_S)
            except kafka_error() as error:
                if error.args[0].name() != "GROUP_ID_NOT_FOUND":
                    raise
                found = None
            if found is None or found.state.name == "DEAD":
                raise BadInput(
                    f"{self._what}: there is no consumer group {self._group!r} at"
                    f" {self._settings.get('bootstrap.servers', '')}; nothing was changed"
                )
            return found

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        if self._client is None:
            self._client = AdminClient(self._settings)
        return self._client

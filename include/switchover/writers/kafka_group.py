"""A Kafka consumer group that writes. It stops nothing itself: it proves that nobody consumes in the group.

Kafka cannot stop a consumer. What runs the consumers (a Deployment, an ECS service, a DAG) is a writer of its own
and stands before this one in the plan; this one then proves the hand-over: the group has no members, its committed
offsets stand still, and how far it lags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.edge.kafka_groups import answering, kafka_error
from switchover.errors import BadInput
from switchover.pointers import kafka_offsets as offsets
from switchover.pointers.kafka_offsets import Partition
from switchover.writers.base import Drain, Quiet, State, Writer, WriterSpec

#: A little longer than the five seconds after which a consumer that commits by itself does so.
COMMITS_S = 6.0


class KafkaGroupWriterSpec(WriterSpec):
    """A Kafka consumer group: stopped by what runs its consumers; drained when nobody consumes in it."""

    kind: Literal["kafka_consumer_group"]
    group: str = Field(min_length=1, max_length=249, description="The consumer group.")
    quiet_s: float | None = Field(
        None,
        gt=0,
        description="Seconds for which its committed offsets must stand still: longer than its consumers' commit"
        f" interval. Default {COMMITS_S:g}; required where the consumers assign their partitions themselves.",
    )

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        return KafkaGroupWriter(settings=edge.client("kafka", self.connection), spec=self)


class KafkaGroupWriter(Writer):
    """One consumer group."""

    def __init__(self, *, settings: dict[str, Any], spec: KafkaGroupWriterSpec) -> None:
        super().__init__(spec=spec)
        self._settings = settings
        self._group = spec.group
        self._quiet_s = spec.quiet_s
        self._quiet = Quiet(seconds=spec.quiet_s or COMMITS_S)
        self._stood: Mapping[Partition, int] | None = None
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
        found = self._described()
        members, at = len(found.members), self._committed()
        moved = self._stood is not None and at != self._stood
        self._stood = at
        done = self._quiet.look(quiet=members == 0 and not moved)
        if members:
            state = f"still has {members} members: stop what runs its consumers"
        elif moved:
            state = "has no members and still commits: stop its consumers, which assign their partitions themselves"
        else:
            state = f"is empty, its offsets stand still{f' for {self._quiet.seconds:g} s' if done else ''}"
        return Drain(done=done, proof=f"group {self._group} {state}; {self._lag(at)}")

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`. What runs the consumers starts them again."""

    def thawed(self, found: State) -> str:
        """See :class:`Writer`. Between two looks of one process also: what it has committed has not changed."""
        before, self._stood = self._stood, self._committed()
        if before is not None and before != self._stood:
            ran = sum(to - before.get(each, 0) for each, to in self._stood.items())
            return f"its committed offsets went on by {ran}, without a member: somebody consumes in it"
        return super().thawed(found)

    def waiting(self) -> int:
        """See :class:`Writer`: the group's lag, at most: marks of transactions are counted too.

        Messages after the committed offsets, in every partition of the topics in which the group has committed.
        ``BadInput`` when that says nothing: it has committed nothing, or beyond the end of a partition.
        """
        at = self._committed()
        if not at:
            raise BadInput(f"{self._what}: group {self._group!r} has committed nothing: how far it lags is not known")
        with answering(self._what):
            held = offsets.spans(self._admin(), self._partitions(at))
        if wrong := offsets.beyond(at, held):
            raise BadInput(
                f"{self._what}: group {self._group!r} has committed beyond the end ({wrong}): was the topic made anew?"
                " how far it lags is not known"
            )
        return offsets.waiting(at, held)

    def _lag(self, at: Mapping[Partition, int]) -> str:
        try:
            return f"lag at most {self.waiting()}"
        except BadInput as error:
            return str(error).removeprefix(f"{self._what}: ")

    def _partitions(self, at: Mapping[Partition, int]) -> list[Partition]:
        return offsets.partitions_of(self._admin(), sorted({topic for topic, _ in at}), where=self._what)

    def _committed(self) -> Mapping[Partition, int]:
        with answering(self._what):
            return offsets.committed(self._admin(), self._group)

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
            if found.is_simple_consumer_group and self._quiet_s is None and self._committed():
                raise BadInput(
                    f"{self._what}: the consumers of group {self._group!r} assign their partitions themselves,"
                    " so nobody can be counted; give quiet_s, seconds longer than their commit interval;"
                    " nothing was changed"
                )
            return found

    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        if self._client is None:
            self._client = AdminClient(self._settings)
        return self._client

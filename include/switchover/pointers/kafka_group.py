"""Which consumer group is live, in Kafka itself: a record in a control topic, moved by one Kafka transaction.

The same transaction commits the old group's offsets for the new group and writes the record, so the hand-over
is whole or not at all. All movers share one transactional id: Kafka lets only the newest of them commit, which
stops a holder that slept (KIP-98 calls it zombie fencing). Nobody may consume in either group: a consumer that
still commits would work on after its offsets were copied.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.edge.kafka_groups import MOVING, ControlTopic, answering, kafka_error
from switchover.errors import BadInput, TargetRefused
from switchover.pointers import kafka_offsets as offsets
from switchover.pointers.base import (
    REHEARSAL,
    Capabilities,
    Change,
    EpochCheck,
    Pointer,
    PointerSpec,
    Reading,
    not_of_a_rehearsal,
    own_name,
)
from switchover.pointers.kafka_offsets import Partition, Span

#: Seconds for which offsets must stand still while messages wait: who consumes as no member is seen by nothing else.
REST_S = 2.0
At = Mapping[str, Mapping[Partition, int]]


class KafkaGroupSpec(PointerSpec):
    """A record in a Kafka control topic that names the live consumer group; offsets are handed over with it."""

    kind: Literal["kafka_group"]
    control: str = Field(min_length=1, max_length=249, description="Control topic: one partition, compacted.")
    key: Annotated[str, AfterValidator(own_name)] = Field(
        min_length=1, max_length=200, description="Key of the record that names the live arm."
    )
    topics: list[str] = Field(min_length=1, description="Topics that the groups consume.")
    targets: dict[str, str] = Field(min_length=2, description="Arm -> its consumer group.")

    @field_validator("targets")
    @classmethod
    def _apart(cls, targets: dict[str, str]) -> dict[str, str]:
        if len(set(targets.values())) != len(targets):
            raise ValueError("two arms have one group; allowed: one group for each")
        return targets

    def build(self, edge: Edge) -> Pointer:
        """See :class:`PointerSpec`."""
        return KafkaGroupPointer(settings=edge.client("kafka", self.connection), spec=self)


class KafkaGroupPointer(Pointer):
    """One record of the control topic."""

    def __init__(self, *, settings: dict[str, Any], spec: KafkaGroupSpec) -> None:
        self._settings = settings
        self._spec = spec
        self._targets = spec.targets
        self._producer: Any = None
        self._says: Mapping[str, str] = {}
        self._control = ControlTopic(settings=settings, topic=spec.control)
        self.key = f"kafka_group:{settings.get('bootstrap.servers', '')}/{spec.control}/{spec.key}"

    def describe(self) -> Capabilities:
        """See :class:`Pointer`. Holds among writers that use the transactional id; ACLs keep the others out."""
        return Capabilities(
            atomic=True,
            compare_and_set=True,
            fencing=EpochCheck.WITH_THE_WRITE,
            propagation="when a consumer next looks at the control topic",
        )

    def read(self) -> Reading:
        """See :class:`Pointer`."""
        with answering(self.key):
            found = self._control.last(self._spec.key)
        if found is None:
            return Reading(target=None)
        offset, text = found
        try:
            value = json.loads(text)
            return Reading(target=str(value["target"]), epoch=int(value.get("epoch", 0)), token=offset)
        except (ValueError, TypeError, KeyError):
            raise BadInput(
                f'{self.key}: found {text[:60]!r}; allowed: JSON {{"target": ARM, "epoch": N}}; nothing was changed'
            ) from None

    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """See :class:`Pointer`. The group may be new; its topics must exist and nobody may consume in it yet."""
        if target not in self._spec.targets:
            raise TargetRefused(
                f"{self.key}: {target!r} has no group; allowed: {', '.join(self._spec.targets)}; nothing was changed"
            )
        members = self._members()
        for arm, group in self._spec.targets.items():
            if members[group]:
                raise TargetRefused(
                    f"{self.key}: group {group!r} of {arm!r} still has {members[group]} members;"
                    " stop its consumers first; nothing was changed"
                )
        self._require_rest()

    def swap(self, now: Reading, change: Change) -> bool:
        """See :class:`Pointer`."""
        return self._write(now, change.after, change.epoch, hand_over=change)

    def refuse_older(self, epoch: int) -> None:
        """See :class:`Pointer`."""
        while True:
            now = self.read()
            if now.target is None or (now.epoch or 0) >= epoch or self._write(now, now.target, epoch):
                return

    @contextlib.contextmanager
    def shadow(self, target: str) -> Iterator[Pointer]:
        """See :class:`Pointer`. Rehearses on groups of its own, which nobody else has; they are deleted afterwards."""
        name = f"{self._spec.key}__rehearsal"
        mark = secrets.token_hex(4)
        groups = {arm: f"{group}__rehearsal-{mark}" for arm, group in self._spec.targets.items()}
        spec = self._spec.model_copy(update={"key": name, "targets": groups})
        shadow = KafkaGroupPointer(settings=self._settings, spec=spec)
        shadow._says = {"by": REHEARSAL}
        with answering(self.key):
            found = self._control.last(name)
        if found is not None and json.dumps(shadow._says)[1:-1] not in found[1]:
            raise not_of_a_rehearsal(self.key, f"record {name!r}")
        try:
            shadow._write(shadow.read(), target, 0)
            yield shadow
        finally:
            shadow._remove(list(groups.values()))

    @cached_property
    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return AdminClient(self._settings)

    @cached_property
    def _consumers(self) -> dict[str, Any]:
        """One a group; none is ever a member, because none subscribes."""
        from confluent_kafka import Consumer

        groups = self._spec.targets.values()
        return {group: Consumer({**self._settings, "group.id": group}) for group in groups}

    def _write(self, now: Reading, target: str | None, epoch: int, hand_over: Change | None = None) -> bool:
        """One transaction; false when somebody else has written, or is about to.

        From ``init_transactions`` on only we can commit, until somebody else begins: so the look after it is what
        decides, and it holds for every later write of the same producer.
        """
        with answering(self.key) as attempt:
            fresh = self._producer is None
            producer = self._producer or self._new_producer()
            self._producer = None  # kept only when all goes well
            if fresh and self.read().token != now.token:
                return False
            producer.begin_transaction()
            if hand_over is not None:
                self._copy_offsets(producer, hand_over)
            value = None if target is None else json.dumps({"target": target, "epoch": epoch, **self._says})
            producer.produce(self._spec.control, key=self._spec.key, value=value, partition=0)
            producer.commit_transaction(TIMEOUT_S)
            self._producer = producer
        return not attempt.lost

    def _copy_offsets(self, producer: Any, change: Change) -> None:
        from confluent_kafka import TopicPartition

        before, after = (self._spec.targets[arm] for arm in (change.before, change.after))
        held = self._held()
        at = offsets.stable(self._consumers[before], list(held))
        if not change.back:  # the way back is not barred by a partition of which nothing is known
            self._require_known(f"group {before!r} of {change.before!r}", at, held)
        copied = [TopicPartition(*each, at[each]) for each in held if each in at]
        if copied:
            group = self._consumers[after].consumer_group_metadata()
            producer.send_offsets_to_transaction(copied, group, TIMEOUT_S)

    def _require_known(self, group: str, at: Mapping[Partition, int], held: Mapping[Partition, Span]) -> None:
        """An offset that was never committed is not 0: where the other group would begin is its consumers' setting."""
        if wrong := offsets.beyond(at, held):
            raise TargetRefused(
                f"{self.key}: {group} has committed beyond the end ({wrong}): was the topic made anew?"
                " Set its offsets (kafka-consumer-groups --reset-offsets); nothing was changed"
            )
        for each, span in held.items():
            if each not in at and span.end > span.first:
                raise TargetRefused(
                    f"{self.key}: {group} has committed nothing for {offsets.name(each)}, which holds"
                    f" {span.end - span.first} messages: where the other group would begin is not known; commit an"
                    " offset (kafka-consumer-groups --reset-offsets); nothing was changed"
                )

    def _require_rest(self) -> None:
        """Raise ``TargetRefused`` when a group commits although it has no members.

        Looked at twice only while messages wait: who finds none commits nothing, and would be seen by nothing.
        """
        with answering(self.key):
            first, held = self._at(), self._held()
            if not any(at and offsets.waiting(at, held) for at in first.values()):
                return
            time.sleep(REST_S)
            then = self._at()
        for arm, group in self._spec.targets.items():
            if then[group] != first[group]:
                raise TargetRefused(
                    f"{self.key}: group {group!r} of {arm!r} has no members and still commits: its consumers assign"
                    " their partitions themselves; stop them first; nothing was changed"
                )

    def _at(self) -> At:
        return {group: offsets.committed(self._admin, group) for group in self._spec.targets.values()}

    def _held(self) -> Mapping[Partition, Span]:
        return offsets.spans(self._admin, offsets.partitions_of(self._admin, self._spec.topics, where=self.key))

    def _new_producer(self) -> Any:
        from confluent_kafka import Producer

        producer = Producer(
            {
                **self._settings,
                "transactional.id": f"switchover-{self._spec.control}-{self._spec.key}",
                "transaction.timeout.ms": int(2 * TIMEOUT_S * 1000),
                "message.timeout.ms": int(TIMEOUT_S * 1000),
            }
        )
        producer.init_transactions(TIMEOUT_S)
        return producer

    def _members(self) -> dict[str, int]:
        """How many consume in each group; a coordinator that has just been chosen is waited for."""
        groups = list(self._spec.targets.values())
        deadline = time.monotonic() + TIMEOUT_S
        with answering(self.key):
            while True:
                found = self._admin.describe_consumer_groups(groups, request_timeout=TIMEOUT_S)
                try:
                    return {group: _count(described) for group, described in found.items()}
                except kafka_error() as error:
                    if error.args[0].name() not in MOVING or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def _remove(self, groups: list[str]) -> None:
        now = self.read()
        while now.target is not None and not self._write(now, None, 0):
            now = self.read()
        for deleted in self._admin.delete_consumer_groups(groups, request_timeout=TIMEOUT_S).values():
            with contextlib.suppress(kafka_error()):  # a group without offsets does not exist
                deleted.result(TIMEOUT_S)


def _count(described: Any) -> int:
    """Members of one group; one that was never used has none."""
    try:
        return len(described.result(TIMEOUT_S).members)
    except kafka_error() as error:
        if error.args[0].name() == "GROUP_ID_NOT_FOUND":
            return 0
        raise

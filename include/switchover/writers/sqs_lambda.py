"""A Lambda function that writes what it gets from an SQS queue: its event-source mapping is disabled.

Drained when Lambda says that the mapping is disabled and no message of the queue is in flight. SQS counts those
approximately, so the count must stay at zero for ``quiet_s``. What waits in the queue stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from switchover.edge.aws_calls import Declined, Service, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput, Unreachable
from switchover.part import at_most
from switchover.writers.base import Drain, Quiet, State, Writer, WriterSpec

PAGE = "docs/writers.md"
ON, OFF = ("Creating", "Enabling", "Enabled"), ("Disabling", "Disabled")
IN_FLIGHT, WAITING = "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessages"


class SqsLambdaSpec(WriterSpec):
    """A Lambda function that an SQS queue feeds: the mapping disabled, drained when no message is in flight."""

    kind: Literal["sqs_lambda"]
    mapping: str = Field(pattern=r"^[0-9a-f-]{36}$", description="UUID of the event-source mapping.")
    quiet_s: float = Field(
        60, ge=0, json_schema_extra=at_most(3600), description="Seconds that the queue must show nothing in flight."
    )

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        where = f"writer {self.name!r}"
        functions = service(edge, "lambda", self.connection, where=where, page=PAGE)
        queues = service(edge, "sqs", self.connection, where=where, page=PAGE)
        return SqsLambdaWriter(functions=functions, queues=queues, spec=self)


class SqsLambdaWriter(Writer):
    """One event-source mapping."""

    def __init__(self, *, functions: Service, queues: Service, spec: SqsLambdaSpec) -> None:
        super().__init__(spec=spec)
        self._functions = functions
        self._queues = queues
        self._mapping = spec.mapping
        self._quiet = Quiet(seconds=spec.quiet_s)

    def find(self) -> State:
        """See :class:`Writer`."""
        return {"enabled": _enabled(self._look())}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"enabled": False}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._enable(False)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        found = self._look()
        name = found["EventSourceArn"].rpartition(":")[2]
        counts = self._counts(found["EventSourceArn"])
        disabled = found["State"] == "Disabled"
        done = self._quiet.look(quiet=disabled and counts[IN_FLIGHT] == 0)
        return Drain(
            done=done,
            proof=f"mapping is {'' if disabled else 'NOT Disabled but '}{found['State']}, queue {name}:"
            f" {counts[IN_FLIGHT]} messages in flight, {counts[WAITING]} wait",
        )

    def waiting(self) -> int:
        """See :class:`Writer`: messages in the queue, as SQS counts them."""
        return self._counts(self._look()["EventSourceArn"])[WAITING]

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._enable(bool(found["enabled"]))

    def _look(self) -> Mapping[str, Any]:
        try:
            found = self._functions.call(
                "get_event_source_mapping", UUID=self._mapping, expect=("ResourceNotFoundException",)
            )
        except Declined:
            raise BadInput(
                f"{self._what}: there is no event-source mapping {self._mapping} in {self._functions.region};"
                " nothing was changed"
            ) from None
        source = str(found.get("EventSourceArn", ""))
        if ":sqs:" not in source:
            raise BadInput(
                f"{self._what}: event-source mapping {self._mapping} reads {source or 'no ARN'}; allowed: an SQS queue,"
                " whose messages in flight can be counted; nothing was changed"
            )
        if found["State"] not in ON + OFF:
            raise Unreachable(f"{self._what}: event-source mapping {self._mapping} is {found['State']}; ask again")
        return found

    def _counts(self, arn: str) -> dict[str, int]:
        _, _, _, _, account, name = arn.split(":")
        absent = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
        try:
            url = self._queues.call("get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account, expect=absent)
            told = self._queues.call(
                "get_queue_attributes",
                QueueUrl=url["QueueUrl"],
                AttributeNames=[IN_FLIGHT, WAITING],
                expect=absent,
            )
        except Declined:
            raise BadInput(f"{self._what}: there is no queue {name!r} in account {account}") from None
        counts = {key: told.get("Attributes", {}).get(key) for key in (IN_FLIGHT, WAITING)}
        if lacking := [key for key, count in counts.items() if count is None]:
            raise Unreachable(f"{self._what}: SQS does not tell {', '.join(lacking)} of queue {name!r}; ask again")
        return {key: int(str(count)) for key, count in counts.items()}

    def _enable(self, enabled: bool) -> None:
        """Lambda refuses a change while it makes another one."""
        if _enabled(self._look()) == enabled:
            return
        try:
            self._functions.call(
                "update_event_source_mapping", UUID=self._mapping, Enabled=enabled, expect=("ResourceInUseException",)
            )
        except Declined as busy:
            raise Unreachable(f"{self._what}: event-source mapping {self._mapping} is being changed: {busy}") from None


def _enabled(mapping: Mapping[str, Any]) -> bool:
    return mapping["State"] in ON

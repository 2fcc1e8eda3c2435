"""An EventBridge rule that starts something that writes: disabled, and given time to settle.

EventBridge does not tell whether an event that matched before is still under way to a target; it says that a
change takes a short time. The proof is no more than that: the rule has been disabled for ``settle_s``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from switchover.edge.aws_calls import Declined, Service, service
from switchover.edge.edge import Edge
from switchover.errors import BadInput
from switchover.part import at_most
from switchover.writers.base import Drain, Quiet, State, Writer, WriterSpec

ENABLED, DISABLED = "ENABLED", "DISABLED"


class EventBridgeRuleSpec(WriterSpec):
    """An EventBridge rule that starts a writer: disabled; what it has started must drain by itself."""

    kind: Literal["eventbridge_rule"]
    rule: str = Field(pattern=r"^[.A-Za-z0-9_-]{1,64}$", description="Name of the rule.")
    bus: str = Field("default", min_length=1, max_length=256, description="Name of its event bus.")
    settle_s: float = Field(
        60, ge=0, json_schema_extra=at_most(3600), description="Seconds that the rule must have been disabled."
    )

    def build(self, edge: Edge) -> Writer:
        """See :class:`WriterSpec`."""
        where = f"writer {self.name!r}"
        events = service(edge, "events", self.connection, where=where, page="docs/writers.md")
        return EventBridgeRuleWriter(events=events, spec=self)


class EventBridgeRuleWriter(Writer):
    """One rule of one bus."""

    def __init__(self, *, events: Service, spec: EventBridgeRuleSpec) -> None:
        super().__init__(spec=spec)
        self._events = events
        self._rule = {"Name": spec.rule, "EventBusName": spec.bus}
        self._settle_s = spec.settle_s
        self._quiet = Quiet(seconds=spec.settle_s)

    def find(self) -> State:
        """See :class:`Writer`."""
        name, bus = self._rule["Name"], self._rule["EventBusName"]
        try:
            found = self._events.call("describe_rule", **self._rule, expect=("ResourceNotFoundException",))
        except Declined:
            raise BadInput(
                f"{self._what}: there is no rule {name!r} on bus {bus!r} of {self._events.region}; nothing was changed"
            ) from None
        if found.get("ManagedBy"):
            raise BadInput(
                f"{self._what}: rule {name!r} belongs to {found['ManagedBy']}; allowed: a rule of your own;"
                " nothing was changed"
            )
        if found["State"] not in (ENABLED, DISABLED):
            raise BadInput(
                f"{self._what}: rule {name!r} is {found['State']}, which EnableRule cannot restore;"
                f" allowed: {ENABLED} or {DISABLED}; nothing was changed"
            )
        return {"state": found["State"]}

    def frozen(self, found: State) -> State:
        """See :class:`Writer`."""
        return {"state": DISABLED}

    def freeze(self, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set(DISABLED)

    def drained(self) -> Drain:
        """See :class:`Writer`."""
        state = self.find()["state"]
        done = self._quiet.look(quiet=state == DISABLED)
        since = f"and has been for {self._settle_s:g} s" if done else f"not yet for {self._settle_s:g} s"
        told = f"is {DISABLED} {since}" if state == DISABLED else f"is NOT {DISABLED} but {state}"
        return Drain(done=done, proof=f"rule {self._rule['Name']} {told}")

    def restore(self, found: State, *, epoch: int) -> None:
        """See :class:`Writer`."""
        self._set(str(found["state"]))

    def _set(self, state: str) -> None:
        if self.find()["state"] != state:
            self._events.call("enable_rule" if state == ENABLED else "disable_rule", **self._rule)

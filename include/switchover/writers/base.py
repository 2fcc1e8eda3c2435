"""What every writer can do: be found, frozen, proven drained, and resumed as it was found (SPEC section 8).

A kind is one file: its part of the plan (a :class:`WriterSpec`) and its :class:`Writer`, which says what state
it has, what a freeze sets, how the drain is proven, and how to put a state back. What a resume *is* stands here
once, in :meth:`Writer.resume`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from switchover.edge.edge import Edge
from switchover.errors import WriterChanged
from switchover.part import ConnectionId, Part, at_most
from switchover.pins import check_pin_names
from switchover.writers.proving import ProvesAt

State = Mapping[str, Any]
REPORTED = "reported"


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Whether nothing is in flight, and how one can tell."""

    done: bool
    proof: str


class Quiet:
    """Two looks in a row, ``seconds`` apart or more, that found nothing in flight.

    One look is not enough: a controller that was about to start something when it was told to stop has done so
    by the second.
    """

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._since: float | None = None

    def look(self, *, quiet: bool) -> bool:
        """Whether that is proven with this look."""
        now = time.monotonic()
        since, self._since = self._since, (self._since or now) if quiet else None
        return quiet and since is not None and now - since >= self.seconds


class ReportsAt(Part):
    """An HTTP endpoint of the writer that answers JSON with `pins`, also while it is frozen."""

    connection: ConnectionId = Field(description="HTTP connection of the writer.")
    path: str = Field("/version", pattern=r"^/", description="Path that answers JSON with `pins`.")


class QueuedWrites(Part):
    """A stream of `switchover.writers.queue`: what waits there is shown during the hold, and in the report."""

    connection: ConnectionId = Field(description="PostgreSQL connection with the queue.")
    stream: str = Field(min_length=1, description="Name of the stream.")
    replay: bool = Field(
        False,
        description="A write's effect is on the live arm alone: `switchover back` puts what was written since the"
        " promotion back in the queue. The writer's `WriteQueue` keeps it so long: `keep_h`.",
    )


class WriterSpec(Part, ABC):
    """A kind's part of the plan. Each has a ``kind``."""

    if TYPE_CHECKING:
        kind: str  # each says which word

    name: str = Field(min_length=1, description="How the writer is called in tables and errors.")
    connection: ConnectionId = Field(description="Connection to what runs the writer.")
    shared: bool = Field(False, description="Another plan freezes the same writer, and says so too.")
    drain_s: float = Field(
        300, gt=0, json_schema_extra=at_most(86400), description="Seconds until an undrained writer aborts the run."
    )
    pins: dict[str, str] = Field(
        default_factory=dict,
        description="Pins it writes with, to be the live arm's before it resumes: each a value, or `reported`.",
    )
    reports: ReportsAt | None = Field(None, description="Where the writer says what its `reported` pins are.")
    proves: ProvesAt | None = Field(None, description="Where it takes a canary write that proves its dedupe fence.")
    queue: QueuedWrites | None = Field(None, description="Where its writes wait while it is frozen.")

    @field_validator("pins")
    @classmethod
    def _known_pins(cls, value: dict[str, str]) -> dict[str, str]:
        check_pin_names(value)
        return value

    @model_validator(mode="after")
    def _can_be_asked(self) -> WriterSpec:
        if REPORTED in self.pins.values() and self.reports is None:
            raise ValueError(f"reports: missing; a pin that is `{REPORTED}` must be asked for somewhere")
        return self

    def replay_line(self, blue: str) -> str:
        """What becomes of its writes since a promotion when that is taken back to ``blue``, for people."""
        if self.queue is not None and self.queue.replay:
            return f"writer {self.name!r}: what it has written since the promotion is put back in its queue"
        why = "no queue keeps its writes" if self.queue is None else "its queue is not replayed (queue.replay)"
        return f"writer {self.name!r}: {why}; {blue!r} lacks those since the promotion unless it catches up itself"

    @abstractmethod
    def build(self, edge: Edge) -> Writer:
        """The writer, with clients from the edge. No I/O."""


class Writer(ABC):
    """A job with side effects that stands still while the pointer moves.

    Every method that talks to a server raises ``Unreachable`` when it does not answer, and ``BadInput`` for a
    writer that does not exist or a right that is missing; then nothing was changed.
    """

    def __init__(self, *, spec: WriterSpec) -> None:
        self.name = spec.name
        self.drain_s = spec.drain_s
        self._what = f"writer {spec.name!r}"

    @abstractmethod
    def find(self) -> State:
        """The writer's state as JSON-able values; what ``resume`` restores. Changes nothing."""

    @abstractmethod
    def frozen(self, found: State) -> State:
        """What a freeze makes of ``found``: the values that it sets. No I/O."""

    @abstractmethod
    def freeze(self, *, epoch: int) -> None:
        """Stop new work. Idempotent. Does not wait for work in flight."""

    @abstractmethod
    def drained(self) -> Drain:
        """Whether the work in flight has ended. Returns at once, or within a second."""

    @abstractmethod
    def restore(self, found: State, *, epoch: int) -> None:
        """Put back what ``find`` saw. Idempotent."""

    def waiting(self) -> int:
        """How many writes wait for it where they come from, as far as that place tells."""
        return 0

    def resume(self, found: State, *, epoch: int, proven: bool = False) -> None:
        """Restore exactly what ``find`` saw, unless somebody else changed it meanwhile; see ``refuse_foreign``."""
        self.refuse_foreign(found, proven=proven)
        self.restore(found, epoch=epoch)

    def refuse_foreign(self, found: State, *, proven: bool) -> None:
        """Raise ``WriterChanged`` if somebody else changed it since it was frozen.

        ``proven``: this run has proven it frozen and has not begun to resume it, so anything but frozen is somebody
        else's doing. Otherwise it may be as it was found already: a repeat, or a freeze that never happened.
        """
        now, ours = self.find(), self.frozen(found)
        foreign = [key for key in ours if now.get(key) != ours[key] and (proven or now.get(key) != found.get(key))]
        if foreign:
            raise WriterChanged(f"{self._what}: {_told(foreign, now, ours)}: somebody changed it; left as it is")

    def thawed(self, found: State) -> str:
        """What of a frozen writer is not frozen any more, in words; empty when all is as this run set it."""
        now, ours = self.find(), self.frozen(found)
        return _told([key for key in ours if now.get(key) != ours[key]], now, ours)


def _told(keys: list[str], now: State, ours: State) -> str:
    return ", ".join(f"{key} is {now.get(key)!r}, this run set {ours[key]!r}" for key in keys)

"""What a metrics store must answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

from switchover.part import ConnectionId, Part

if TYPE_CHECKING:
    from switchover.edge.edge import Edge
    from switchover.judge.traffic import SignalSample


class Signals(Protocol):
    """Figures of live traffic from a metrics store."""

    def query(self, *, arm: str, since: datetime, until: datetime) -> SignalSample | None:
        """What arm ``arm`` served in [since, until), as the live one: what failed without an arm counts against it.

        ``None`` when the store holds no fresh data at all. Probes of the switchover are not traffic.
        """
        ...

    def is_online(self, *, arm: str | None = None) -> str | None:
        """``None`` when there is fresh live traffic (of ``arm``, if given); otherwise what is wrong, in one line."""
        ...

    def first_error(self, *, arm: str, since: datetime) -> datetime | None:
        """When arm ``arm`` first answered with a 5xx since then."""
        ...


class SignalsSpec(Part, ABC):
    """A metrics store's part of the plan. Each has a ``kind``."""

    if TYPE_CHECKING:
        kind: str  # each says which word

    connection: ConnectionId = Field(description="Connection to the metrics store.")

    @abstractmethod
    def build(self, edge: Edge, *, arms: Collection[str]) -> Signals:
        """The store, with clients from the edge. ``arms`` are the plan's. No I/O."""

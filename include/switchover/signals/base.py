"""What a metrics store must answer."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from switchover.evidence import SignalSample


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

"""What a metrics store must answer."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from switchover.evidence import SignalSample


class Signals(Protocol):
    """Figures of live traffic from a metrics store."""

    def query(self, *, arm: str, since: datetime, until: datetime) -> SignalSample | None:
        """What arm ``arm`` served in [since, until). ``None`` when the store holds no fresh data at all."""
        ...

    def is_online(self) -> str | None:
        """``None`` when the store answers with fresh data; otherwise what is wrong, in one line."""
        ...

    def first_error(self, *, arm: str, since: datetime) -> datetime | None:
        """When arm ``arm`` first answered with a 5xx since then."""
        ...

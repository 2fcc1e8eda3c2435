"""Every error that Switchover raises on purpose.

SwitchoverError
├── BadInput              the caller can mend it; what was refused changed nothing
│   ├── PlanError         a plan file
│   ├── GoldError         a gold set
│   ├── Unstorable        a value that a database cannot hold; nothing was written
│   ├── PayloadTooLarge   a write that is larger than may be queued
│   └── ConnectionMissing a connection that a plan names does not exist or lacks a part
├── Unreachable           a server did not answer; what happened there is not known
│   └── LedgerUnreachable the ledger's database did not answer
├── LockBusy              a lock was not granted in time; the transaction changed nothing
├── InvariantBroken       a check of SPEC section 6 failed; the run must not flip
├── PointerConflict       the pointer is not where it was expected, or somebody else moved it
├── TargetRefused         the arm to flip to is absent, empty, unhealthy, or not the approved build
├── LeaseLost             another holder has the pointer, or this holder's lease ran out
├── NotConverged          a reader still answers from the other arm after its time
├── QueueFull             as many writes wait for a frozen writer as may; nothing was queued
├── WriterChanged         somebody changed a writer while this run had it frozen; it was left as it is
├── DrainTimeout          a writer still had work in flight after its time
├── FenceConflict         a fence key came again with another payload; nothing was applied
├── FenceBusy             another attempt at a fence key is alive; nothing was applied
├── FenceLost             another attempt took the fence key over; the receipt was not recorded
└── StateConflict         the ledger's record is not in a state from which this step may start

Each message is one line that says what, where, and what is allowed or what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class SwitchoverError(Exception):
    """Base of every error raised on purpose."""


class BadInput(SwitchoverError):
    """The caller can mend it; what was refused changed nothing."""


class PlanError(BadInput):
    """A plan that cannot be used."""


class GoldError(BadInput):
    """A gold set that cannot be used."""


class Unstorable(BadInput):
    """A value that a database cannot hold: too long for an index, no text of its encoding. Nothing was written."""


class PayloadTooLarge(BadInput):
    """A write that is larger than may be queued."""


class ConnectionMissing(BadInput):
    """A connection that does not exist or lacks a part that is needed."""


class Unreachable(SwitchoverError):
    """A server did not answer: whether it acted is not known."""


class LedgerUnreachable(Unreachable):
    """The ledger's database did not answer."""


class LockBusy(SwitchoverError):
    """A lock was not granted in time; the transaction changed nothing."""


class InvariantBroken(SwitchoverError):
    """A check failed before the flip."""


class PointerConflict(SwitchoverError):
    """The pointer is not on the arm that was expected; nothing was changed."""


class TargetRefused(SwitchoverError):
    """The arm to flip to may not become live."""


class LeaseLost(SwitchoverError):
    """This holder may not write to the pointer any more."""


class NotConverged(SwitchoverError):
    """A reader did not follow the pointer in time."""


class DrainTimeout(SwitchoverError):
    """A frozen writer did not finish its work in time."""


class WriterChanged(SwitchoverError):
    """A frozen writer is neither as it was found nor as this run set it; nothing was changed."""


class QueueFull(SwitchoverError):
    """As many writes wait as may: come again in ``retry_after_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FenceConflict(SwitchoverError):
    """The same key with another payload. ``diff``: how the first became this one, one line a place."""

    def __init__(self, message: str, *, key: str, diff: Sequence[str]) -> None:
        super().__init__(message)
        self.key = key
        self.diff = list(diff)


class FenceBusy(SwitchoverError):
    """Somebody else is at this effect: ``holder``, ``until`` (UTC), or nothing when a lock was waited for."""

    def __init__(
        self, message: str, *, key: str | None = None, holder: str | None = None, until: datetime | None = None
    ) -> None:
        super().__init__(message)
        self.key = key
        self.holder = holder
        self.until = until


class FenceLost(SwitchoverError):
    """This attempt's lease ran out and another has the key: the effect may have happened twice."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class StateConflict(SwitchoverError):
    """The step may not start from the state that the ledger holds."""

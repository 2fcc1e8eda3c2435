"""What every pointer can do: five verbs, and a fence where the store has one (SPEC section 7)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where the pointer is. ``version`` grows with every move; ``epoch`` is the last holder's."""

    target: str | None
    version: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One move: from the arm that is expected to the other, under a lease's epoch.

    ``approved_hash`` is the INDEX_HASH that ``after`` must carry.
    """

    before: str
    after: str
    epoch: int
    actor: str
    approved_hash: str


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What an apply did. ``changed`` is false when the pointer was at the target already."""

    changed: bool
    version: int | None


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the store promises, and what it cannot."""

    atomic: bool
    compare_and_set: bool
    fenced: bool
    propagation: str


class Pointer(Protocol):
    """The single knob that decides which arm is live."""

    key: str

    def describe(self) -> Capabilities:
        """What this backend promises. No I/O."""
        ...

    def read(self) -> Reading:
        """Where the pointer is now. Raises ``Unreachable``; an absent pointer is ``target=None``."""
        ...

    def plan(self, change: Change) -> str:
        """One sentence: what ``apply`` would change. Changes nothing."""
        ...

    def apply(self, change: Change) -> Applied:
        """Move from ``before`` to ``after``, or change nothing.

        At ``after`` already: success, nothing changed. Elsewhere: ``PointerConflict``. A newer epoch has
        written: ``LeaseLost``. ``after`` is not the approved build: ``TargetRefused``. No answer:
        ``Unreachable``, and then only a read tells.
        """
        ...

    def verify(self, target: str) -> bool:
        """Whether every place that the store itself serves reads ``target``."""
        ...

    def fence(self, epoch: int) -> None:
        """From now on refuse every apply with a lower epoch, where the store can; idempotent."""
        ...

    def shadow(self, target: str) -> AbstractContextManager[Pointer]:
        """A second pointer of the same backend for a rehearsal, set to ``target``; gone after the block."""
        ...

"""What every pointer can do: five verbs, a refusal of older epochs, a shadow to rehearse on (SPEC section 7).

A backend is one file: its part of the plan (a :class:`PointerSpec`), and its :class:`Pointer`, which says how
to read, how to look at a target, and how to swap. What a move *is* stands here once, in :meth:`Pointer.apply`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.errors import BadInput, LeaseLost, PointerConflict
from switchover.part import ConnectionId, Part

#: What a rehearsal writes where a store keeps the name of the last mover: it knows its own leftovers by that.
REHEARSAL = "switchover rehearsal"
#: A swap that lost to a change which concerns neither arm nor epoch (a status field, a tag) is tried again.
TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where the pointer is.

    ``target`` is an arm, or the store's own words when it is on no arm, or ``None`` when there is no such
    pointer. ``version`` grows by one with every move, where the store counts them; ``epoch`` is the last holder's.
    ``token`` is what a swap is conditional on (a revision, the exact record); it means something to its
    backend only.
    """

    target: str | None
    version: int | None = None
    epoch: int | None = None
    token: Any = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """One move: from the arm that is expected to the other, under a lease's epoch.

    ``approved_hash`` is the INDEX_HASH that ``after`` must carry, where the store knows it; ``None`` asks
    for no particular build. ``back``: to where the pointer came from, which is not barred by what is not known
    or by readers that do not follow the pointer; ``verify`` tells of them.
    """

    before: str
    after: str
    epoch: int
    actor: str
    approved_hash: str | None = None
    back: bool = False


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What an apply did. ``changed`` is false when the pointer was at the target already."""

    changed: bool
    version: int | None


class EpochCheck(str, Enum):
    """How a holder with an old epoch is kept from writing."""

    WITH_THE_WRITE = "with the write"  # the store compares the epoch and writes in one step
    BEFORE_THE_WRITE = "before the write"  # a late holder is refused, one that sleeps between look and write is not
    NONE = "no"  # the store has no place for an epoch: the lease alone protects


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend promises; the contract suite holds it against what it measures.

    ``atomic``: no reader ever sees neither arm, or both. ``compare_and_set``: a move by somebody else
    between our look and our write makes the write fail.
    """

    atomic: bool
    compare_and_set: bool
    fencing: EpochCheck
    propagation: str


class PointerSpec(Part, ABC):
    """A backend's part of the plan. Each has a ``kind``."""

    #: The store whose own indexes this names (``IndexSpec.store``); "": a value that may lead anywhere.
    names_indexes_of: ClassVar[str] = ""

    if TYPE_CHECKING:
        kind: str  # each says which word

    connection: ConnectionId = Field(description="Connection to the store.")
    shared: bool = Field(False, description="Another plan moves the same pointer, and says so too.")

    def check_arms(self, arms: Collection[str]) -> None:
        """Raise ``ValueError`` unless every arm has its place in the store."""
        targets: Mapping[str, Any] | None = getattr(self, "targets", None)
        if targets is not None and set(targets) != set(arms):
            raise ValueError(
                f"pointer.targets: found {', '.join(sorted(targets))}; allowed: one for each arm ({', '.join(arms)})"
            )
        for arm, place in (targets or {}).items():
            same = [other for other, its in (targets or {}).items() if other != arm and its == place]
            if same:
                raise ValueError(
                    f"pointer.targets: {arm!r} and {same[0]!r} are one place, so a flip would move nothing;"
                    " allowed: one for each arm"
                )

    @abstractmethod
    def build(self, edge: Edge) -> Pointer:
        """The pointer, with clients from the edge. No I/O."""


class Pointer(ABC):
    """The single knob that decides which arm is live.

    Every method that talks to the store raises ``Unreachable`` when it does not answer (whether it acted
    is then not known: read back), and ``BadInput`` for a missing right or a knob that cannot be used.
    """

    key: str
    _targets: Mapping[str, Any] = {}

    @abstractmethod
    def describe(self) -> Capabilities:
        """What this backend promises. No I/O."""

    @abstractmethod
    def read(self) -> Reading:
        """Where the pointer is now."""

    @abstractmethod
    def check_target(self, target: str, *, approved_hash: str | None = None) -> None:
        """Raise ``TargetRefused`` unless the store can serve ``target``: it exists, is not empty, is healthy.

        Where the store keeps the INDEX_HASH, it must be the approved one.
        """

    @abstractmethod
    def swap(self, now: Reading, change: Change) -> bool:
        """Write: move to ``change.after`` and record the epoch, on the condition of ``now`` if the store can.

        False when the condition did not hold, and then nothing was changed.
        """

    @abstractmethod
    def refuse_older(self, epoch: int) -> None:
        """From now on refuse every apply with a lower epoch, where the store can; idempotent, never goes back."""

    @abstractmethod
    def shadow(self, target: str) -> AbstractContextManager[Pointer]:
        """A second pointer of the same backend for a rehearsal, set to ``target``; gone after the block.

        No traffic follows it. What a rehearsal that was cut short has left is removed first; something else of that
        name is somebody else's: ``BadInput``, and it is left as it is.
        """

    @property
    def link(self) -> str:
        """Where a person looks at it in a browser; empty where there is no such page."""
        return ""

    @property
    def places(self) -> Mapping[str, str]:
        """Each arm's place in the store, for people; empty where an arm is its own place."""
        return {arm: str(place) for arm, place in self._targets.items()}

    def arms_beside(self, target: str | None) -> str:
        """For a reading's target that is no arm, the places of the arms, to be said behind it; empty for an arm."""
        arms = ", ".join(f"{arm} is {place}" for arm, place in self.places.items() if place != arm)
        return f" ({arms})" if arms and target not in self.places else ""

    def strays(self) -> str:
        """Traffic that this pointer does not move, in words: it goes to one arm whatever the pointer says. Reads only.

        Empty when there are none that the store can tell of. Refused before a move, shown after one.
        """
        return ""

    def behind(self, target: str) -> str:
        """Why not every reader that the store serves is on ``target``, in words; empty when all are.

        A pure read, on any arm at any time: what has just been moved may be waited for, some seconds.
        """
        found = self.read().target
        return self.strays() if found == target else f"it reads {_shown(found)}{self.arms_beside(found)}"

    def verify(self, target: str) -> bool:
        """Whether every place that the store itself serves is on ``target``; ``behind`` says why not."""
        return not self.behind(target)

    def plan(self, change: Change) -> str:
        """One sentence: what ``apply`` would change. Changes nothing."""
        now = self.read()
        if now.target == change.after:
            return f"{self.key}: is on {change.after!r} already; nothing would change"
        found = ", ".join(f"{name} {value}" for name in ("version", "epoch") if (value := getattr(now, name)))
        return (
            f"{self.key}: would move from {change.before!r} to {change.after!r}"
            f" (found on {_shown(now.target)}{', ' + found if found else ''})"
        )

    def apply(self, change: Change) -> Applied:
        """Move from ``before`` to ``after``, or change nothing.

        At ``after`` already: success, nothing changed. Elsewhere: ``PointerConflict``. A newer epoch has
        written: ``LeaseLost``. ``after`` cannot serve: ``TargetRefused``. Readers that would not follow:
        ``BadInput``. No answer: ``Unreachable``, and then only a read tells.
        """
        for _ in range(TRIES):
            now = self.read()
            if now.target == change.after:
                return Applied(changed=False, version=now.version)
            self._refuse(now, change)
            if not change.back and (strays := self.strays()):
                raise BadInput(f"{self.key}: {strays}; nothing was changed")
            self.check_target(change.after, approved_hash=change.approved_hash)
            if self.swap(now, change):
                return self._read_back(now, change)
        raise PointerConflict(
            f"{self.key}: something else writes to it all the time ({TRIES} tries); nothing was changed"
        )

    def _read_back(self, now: Reading, change: Change) -> Applied:
        """A store that compares and sets has confirmed the write; elsewhere only a look tells."""
        if self.describe().compare_and_set:
            return Applied(changed=True, version=None if now.version is None else now.version + 1)
        found = self._look_back()
        if found.target != change.after:
            raise PointerConflict(
                f"{self.key}: moved to {change.after!r}, but reads {_shown(found.target)}: somebody else moved it"
            )
        return Applied(changed=True, version=found.version)

    def _look_back(self) -> Reading:
        """What the store says after a write that it did not confirm."""
        return self.read()

    def _refuse(self, now: Reading, change: Change) -> None:
        if now.target is None:
            raise PointerConflict(f"{self.key}: does not exist; nothing was changed")
        if now.epoch is not None and now.epoch > change.epoch:
            raise LeaseLost(
                f"{self.key}: epoch {now.epoch} has written, this holder has {change.epoch}; nothing was changed"
            )
        if now.target != change.before:
            raise PointerConflict(
                f"{self.key}: expected {change.before!r}, found {_shown(now.target)}; nothing was changed"
                f"{self.arms_beside(now.target)}"
            )


def not_of_a_rehearsal(key: str, what: str) -> BadInput:
    """The error for something that has the name of a rehearsal's own and was not made by one."""
    return BadInput(
        f"{key}: {what} exists and was not made by a rehearsal, which would use that name; it was left as it is:"
        " remove or rename it"
    )


def own_name(name: str, suffix: str = "__rehearsal") -> str:
    """A pointer's name in a plan; ``ValueError`` for one that a rehearsal could take for its own."""
    if name.endswith(suffix):
        raise ValueError(f"ends with {suffix}; allowed: a name that no rehearsal has")
    return name


def arm_of(targets: Mapping[str, str], value: str) -> str:
    """The arm whose place in the store is ``value``; the value itself when it is no arm's."""
    return next((arm for arm, place in targets.items() if place == value), value)


def _shown(target: str | None) -> str:
    return "nothing" if target is None else repr(target)

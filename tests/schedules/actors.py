"""Processes that crash, lose answers or fall asleep at a chosen side effect, on one thread and in a chosen order.

Each actor is a greenlet. Before and after every side effect (a transaction of the ledger, a write to the pointer,
a freeze, a resume) it passes a *point*; at the point that its :class:`Fault` names it crashes, loses the answer, or
falls asleep until somebody wakes it. A schedule is therefore repeatable to the last statement.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from greenlet import getcurrent, greenlet

from switchover.errors import LedgerUnreachable, SwitchoverError, Unreachable


class How(str, Enum):
    """What happens at the point."""

    CRASH = "crash"
    NO_ANSWER = "no answer"
    SLEEP = "sleep"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens at the ``at``-th point that an actor passes; even points are before an effect, odd ones after."""

    how: How
    at: int


class Crash(BaseException):
    """The process is dead: nothing catches this, and nothing it would still do has an effect."""


@dataclass(eq=False)
class Actor:
    """One process and what became of it."""

    name: str
    run: str
    fault: Fault | None
    points: int = 0
    dead: bool = False
    error: SwitchoverError | None = None
    moved_by_others: int = 0
    reader_changes: int = 0
    renewing: bool = False
    checked: bool = False  # the last thing it did was to look at its lease
    _greenlet: Any = field(default=None, repr=False)

    @property
    def asleep(self) -> bool:
        """It waits to be woken."""
        return self._greenlet is not None and not self._greenlet.dead


class Actors:
    """Everybody who acts, one at a time."""

    def __init__(self, *, naps_between_look_and_write: bool) -> None:
        self._naps_between = naps_between_look_and_write
        self.sleeping: list[Actor] = []
        self.cut_off: set[str] = set()  # whose last word may not have come through

    def act(self, actor: Actor, work: Callable[[], object]) -> Actor:
        """Let an actor work until it is done, dead or asleep."""

        def body() -> None:
            try:
                work()
            except SwitchoverError as error:
                actor.error = error
            except Crash:
                actor.dead = True

        actor._greenlet = greenlet(body)
        actor._greenlet.actor = actor
        actor._greenlet.switch()
        if actor.asleep:
            self.sleeping.append(actor)
        return actor

    def wake(self, actor: Actor) -> None:
        """Let it go on where it fell asleep."""
        self.sleeping.remove(actor)
        actor._greenlet.parent = getcurrent()
        actor._greenlet.switch()
        assert not actor.asleep, "an actor has one fault"

    @staticmethod
    def current() -> Actor | None:
        """Who works now; ``None`` for the test itself."""
        return getattr(getcurrent(), "actor", None)

    @contextlib.contextmanager
    def effect(self, *, ledger: bool) -> Iterator[None]:
        """The two points around a side effect."""
        actor = self.current()
        if actor is not None and ledger:
            actor.checked = actor.renewing
        self._point(before=True, ledger=ledger)
        yield
        self._point(before=False, ledger=ledger)

    def _point(self, *, before: bool, ledger: bool) -> None:
        actor = self.current()
        if actor is None:
            return
        if actor.dead:
            raise Crash
        number, actor.points = actor.points, actor.points + 1
        fault = actor.fault
        if fault is None or fault.at != number:
            return
        if fault.how is not How.SLEEP:
            self.cut_off.add(actor.name)
        if fault.how is How.CRASH:
            actor.dead = True
            raise Crash
        if fault.how is How.NO_ANSWER:
            lost = LedgerUnreachable if ledger else Unreachable
            raise lost(f"no answer {'before' if before else 'after'} the effect")
        if self._naps_between or not actor.checked:
            getcurrent().parent.switch()

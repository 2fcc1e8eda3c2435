"""What one metrics store must answer: a question for one figure of one arm, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from switchover.signals.reading import Absent, Count, NoValue


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One figure of one arm. ``live``: the arm is asked as the live one, so what has no arm counts against it.

    ``what``: ``count`` (what grew in the time asked), ``p95`` (``figure`` is a stage) or ``extra`` (a figure as it is
    now).
    """

    what: Literal["count", "p95", "extra"]
    figure: str
    arm: str
    live: bool = True


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a source answered. ``value`` is ``None`` when it was no figure: ``why`` says what it was.

    ``newest``: time (seconds since 1970) up to which the figure reaches; ``first``: when a count first grew;
    ``between``: the edges between which a quantile lies. ``absent``: the store has nothing of the kind.
    """

    query: str
    value: float | None
    newest: float | None = None
    first: float | None = None
    between: tuple[float, float] | None = None
    absent: bool = False
    why: str = ""
    raw: str = ""


class Source(Protocol):
    """One metrics store, as far as its kind knows it: it asks, and reads by ``signals.reading``."""

    where: str  # begins each message: kind and place
    counts: Collection[str]  # the counts that the plan takes from here
    stages: Collection[str]  # the stages whose p95 it takes from here
    extras: Collection[str]
    step_s: float
    lag_s: float
    stale_s: float

    def ask(self, asks: Sequence[Ask], *, since: datetime, until: datetime) -> list[Found]:
        """The figures of [since, until), in the order of ``asks``. What cannot be read is a ``Found`` that says why."""
        ...

    def never(self, ask: Ask) -> str:
        """Why a figure that is absent can never come (no such metric, no such label); empty when it may yet come."""
        ...


def read(query: str, make: Callable[[], Count | float], *, raw: str = "") -> Found:
    """The figure that ``make`` brings, or why there is none."""
    try:
        found = make()
    except Absent as error:
        return Found(query=query, value=None, absent=True, why=f"no figure: {error}", raw=raw)
    except NoValue as error:
        return Found(query=query, value=None, why=str(error), raw=raw)
    if isinstance(found, Count):
        return Found(query=query, value=found.value, newest=found.newest, first=found.first, why=found.note, raw=raw)
    return Found(query=query, value=found, raw=raw)

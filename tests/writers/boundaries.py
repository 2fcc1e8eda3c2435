"""Where processes are killed, and the tickets that say where one dies next.

A ticket is a file. The storm lays it; the first process that passes its boundary for the k-th time takes it, by a
rename, which only one can do, and kills itself with SIGKILL there. So each kill is at the boundary that it is counted
under, whichever process came first.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Who dies where, by the part of a switchover in which the tickets are laid.
Places = Mapping[str, Sequence[str]]

_FENCED = ("before effect", "after effect, before receipt", "after receipt, before commit")
WHILE_OPEN: Places = {
    "consumer": (*_FENCED, "after commit, before offsets", "after offsets"),
    "ingest": (*_FENCED, "after commit"),
    "service": tuple(f"write, {name}" for name in (*_FENCED, "after commit, before answer")),
}
AT_FREEZE: Places = {
    "consumer": ("at freeze, still in its group",),
    "ingest": ("at freeze",),
    "service": ("queue, before commit", "queue, after commit, before answer"),
    "switchover": ("half frozen",),
}
AT_FLIP: Places = {"switchover": ("offsets handed over, not committed", "one of two pointers moved")}
WHILE_FROZEN: Places = {"consumer": ("while frozen",), "ingest": ("while frozen",)}
AT_RESUME: Places = {
    "consumer": ("at resume, joining its group",),
    "ingest": ("at resume",),
    "service": tuple(f"drain, {name}" for name in (*_FENCED, "after commit")),
    "switchover": ("half resumed",),
}
PHASES = (WHILE_OPEN, AT_FREEZE, AT_FLIP, WHILE_FROZEN, AT_RESUME)


def named(places: Places) -> Iterator[str]:
    """``who: boundary`` of each."""
    return (f"{who}: {name}" for who, names in places.items() for name in names)


class Tickets:
    """The tickets of one storm, in a directory that all its processes share."""

    def __init__(self, directory: Path) -> None:
        self._laid, self._taken = directory / "laid", directory / "taken"

    def lay(self, places: Places, *, nth: int = 1) -> None:
        """One ticket for each boundary, for the ``nth`` time that a process passes it."""
        for directory in (self._laid, self._taken):
            directory.mkdir(parents=True, exist_ok=True)
        for name in named(places):
            whole = self._laid / f".{name}"
            whole.write_text(str(nth))
            whole.rename(self._laid / name)

    def left(self) -> list[str]:
        """Laid, and not taken yet."""
        return sorted(ticket.name for ticket in self._laid.glob("[!.]*"))

    def withdraw(self) -> None:
        """Take back what nobody has taken."""
        for ticket in self._laid.glob("[!.]*"):
            ticket.unlink(missing_ok=True)

    def kills(self) -> Counter[str]:
        """How many have died where."""
        return Counter(ticket.name.rpartition("@")[0] for ticket in self._taken.glob("*"))

    def take(self, name: str, passed: int) -> bool:
        """Whether this process, here for the ``passed``-th time, has the ticket now."""
        try:
            if passed < int((self._laid / name).read_text()):
                return False
            (self._laid / name).rename(self._taken / f"{name}@{os.getpid()}-{passed}")
        except FileNotFoundError:
            return False
        return True


class Boundaries:
    """The boundaries of one process of a kind."""

    def __init__(self, who: str, tickets: Tickets) -> None:
        self._who = who
        self._tickets = tickets
        self._passed: Counter[str] = Counter()

    def passes(self, boundary: str) -> None:
        """The process is at a boundary; it may not come back."""
        name = f"{self._who}: {boundary}"
        self._passed[name] += 1
        if self._tickets.take(name, self._passed[name]):
            os.kill(os.getpid(), signal.SIGKILL)

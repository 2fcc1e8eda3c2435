"""How far a build is: a line every few seconds, for logs and terminals."""

from __future__ import annotations

import time
from collections.abc import Callable

Say = Callable[[str], None]
EVERY_S = 5.0


class Progress:
    """Counts documents and chunks of one pass against the documents that it has before it."""

    def __init__(self, *, say: Say, what: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._what = what
        self._total = total
        self._clock = clock
        self._began = self._said = clock()
        self.documents = self.chunks = 0

    def add(self, *, documents: int, chunks: int) -> None:
        """Count a batch that is stored; say so when the last line is some seconds old."""
        self.documents += documents
        self.chunks += chunks
        if self._clock() - self._said >= EVERY_S:
            self._said = self._clock()
            self._say(self.line())

    def line(self) -> str:
        """Done, rate, and when it will be over at this rate."""
        seconds = max(self._clock() - self._began, 1e-9)
        share = self.documents / self._total if self._total else 1.0
        rate = f"{self.chunks / seconds:,.0f} chunks/s"
        left = max(self._total - self.documents, 0) * seconds / max(self.documents, 1)
        done = f"{self.documents:,} of {self._total:,} documents ({share:.0%}), {self.chunks:,} chunks"
        return f"{self._what}: {done}, {rate}, {_duration(left)} left"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min" if whole < 7200 else f"{whole / 3600:.1f} h"

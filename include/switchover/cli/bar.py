"""How far a long command is."""

from __future__ import annotations

import sys
import time

WIDTH = 30


class Bar:
    """A progress bar on a terminal, a line at each tenth elsewhere; on standard error, so that JSON stays clean."""

    def __init__(self, things: str) -> None:
        self._things = things
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._tenth = -1

    def show(self, done: int, total: int) -> None:
        """Show how far it is."""
        line = f"{done}/{total} {self._things}, {time.monotonic() - self._began:.1f} s"
        if self._terminal:
            filled = WIDTH * done // total
            sys.stderr.write(f"\r[{'#' * filled}{' ' * (WIDTH - filled)}] {line}{chr(10) if done == total else ''}")
        elif 10 * done // total > self._tenth:
            sys.stderr.write(line + "\n")
        self._tenth = 10 * done // total
        sys.stderr.flush()

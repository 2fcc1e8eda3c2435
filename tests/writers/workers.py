"""Processes that are started again whenever they are killed.

They are forked from one server that has imported everything: a start takes milliseconds instead of the seconds of
processor time that the imports cost, and a storm starts hundreds.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path

from tests.writers import dying
from tests.writers.scene import Scene

_TOLD = 600
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.writers.imported"])
_NUMBERS = itertools.count()
_ONE_AT_A_TIME = threading.Lock()  # a start looks at all processes, and an end can be read once
KILLED = -signal.SIGKILL


class Process:
    """One life of one of ``dying``'s processes."""

    def __init__(self, scene: Scene, argv: tuple[str, ...]) -> None:
        self.argv = argv
        self._log = Path(scene.tickets) / f"{argv[0]}-{next(_NUMBERS)}.log"
        alone = replace(scene)  # without the clients that it has built
        self.running = _FORKS.Process(target=dying.live, args=(alone, str(self._log), *argv), daemon=True)
        with _ONE_AT_A_TIME:
            self.running.start()

    @property
    def code(self) -> int | None:
        """With which it has ended; ``None`` while it lives."""
        with _ONE_AT_A_TIME:
            return self.running.exitcode

    @property
    def last_words(self) -> str:
        """How it ended, and the end of what it said."""
        said = self._log.read_text(errors="replace")[-_TOLD:] if self._log.exists() else ""
        return f"{' '.join(self.argv)[:60]} ended with {self.code}: {said}"

    def end(self, seconds: float) -> int | None:
        """Wait for its end, and no longer; gives its code."""
        if not wait([self.running.sentinel], seconds):
            self.running.kill()
            wait([self.running.sentinel])
        return self.code


def repeated(scene: Scene, *argv: str, again: tuple[str, ...], seconds: float) -> int:
    """Run a process to its end, with the words ``again`` each time that it was killed. Returns how often."""
    for kills in itertools.count():
        process = Process(scene, again if kills else argv)
        code = process.end(seconds)
        if code == 0:
            return kills
        if code != KILLED:
            raise RuntimeError(process.last_words)
    raise AssertionError


@dataclass(kw_only=True)
class Workers:
    """All of them, watched by a thread. ``killed``: how often one was. ``failed``: ends that were no kill."""

    scene: Scene
    killed: int = 0
    failed: list[str] = field(default_factory=list)
    _all: list[Process] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self, *commands: tuple[str, ...]) -> Iterator[None]:
        """Keep one process of each command alive; SIGTERM to all at the end."""
        stop = threading.Event()
        self._all = [Process(self.scene, argv) for argv in commands]
        thread = threading.Thread(target=self._watch, args=[stop])
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            for process in self._all:
                process.running.terminate()
            for process in self._all:
                process.end(15)

    def _watch(self, stop: threading.Event) -> None:
        while not stop.is_set():
            wait([process.running.sentinel for process in self._all], timeout=0.2)
            for number, process in enumerate(self._all):
                if process.code is None:
                    continue
                if process.code == KILLED:
                    self.killed += 1
                else:
                    self.failed.append(process.last_words)
                self._all[number] = Process(self.scene, process.argv)

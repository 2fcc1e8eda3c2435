"""Processes that are started again whenever they die, and told where to die next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(at: str, who: str, arguments: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """One process that dies at a boundary, see ``crashing``."""
    argv = [sys.executable, "-m", "tests.writers.crashing", at, who, *arguments]
    return subprocess.Popen(argv, cwd=ROOT, env={**os.environ, **env}, stderr=subprocess.PIPE)


@dataclass(kw_only=True)
class Worker:
    """One process; ``dies``: where it dies, life by life; after that it lives on."""

    who: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    dies: Iterator[str]
    at: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin a life."""
        self.at = next(self.dies, "never")
        self.process = start(self.at, self.who, self.arguments, self.env)


@dataclass(kw_only=True)
class Workers:
    """All of them, watched by a thread. ``kills``: how often a process was killed where."""

    all: list[Worker] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def add(self, who: str, arguments: Sequence[str], *, env: Mapping[str, str], dies: Iterable[str] = ()) -> None:
        """One more."""
        self.all.append(Worker(who=who, arguments=arguments, env=env, dies=iter(dies)))

    def start(self) -> None:
        """Start all, and again whichever dies."""
        for worker in self.all:
            worker.start()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def kill(self, who: str, when: str) -> None:
        """SIGKILL to every process of a kind; counted under ``when``."""
        with self._lock:
            for worker in self.all:
                if worker.who == who and worker.process is not None and worker.process.poll() is None:
                    worker.process.send_signal(signal.SIGKILL)
                    worker.at = f"{when}:1"

    def end(self) -> None:
        """SIGTERM to all; what does not end is killed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        running = [worker.process for worker in self.all if worker.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            with self._lock:
                for worker in self.all:
                    assert worker.process is not None
                    code = worker.process.poll()
                    if code is None:
                        continue
                    if code == -signal.SIGKILL:
                        self.kills[f"{worker.who}, {worker.at.rpartition(':')[0]}"] += 1
                    else:
                        _, told = worker.process.communicate()
                        self.failed.append(f"{worker.who} ended with {code}: {told.decode()[-400:]}")
                    worker.start()

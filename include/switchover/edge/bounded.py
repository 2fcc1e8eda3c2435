"""Work of somebody else's client that may wait for ever: it is given up after its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from switchover.errors import Unreachable

T = TypeVar("T")


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises; ``Unreachable`` after ``seconds``. Work that is given up goes on alone."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise Unreachable(f"{what}: did not answer: no whole answer within {seconds:g} s")
    return done[0]

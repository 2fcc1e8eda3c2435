"""The steps of a switchover as the product takes them: each can be killed anywhere and begun again."""

from __future__ import annotations

import json
import time
from typing import Any

from switchover.pointers import Change
from tests.writers.boundaries import Boundaries
from tests.writers.scene import Scene

DRAIN_S = 60.0


def freeze(scene: Scene, at: Boundaries, words: str) -> None:
    """Freeze all writers and wait for their proofs."""
    told = json.loads(words)
    writers = scene.writers(told["live"])
    for writer in writers:
        writer.freeze(epoch=told["epoch"])
        at.passes("half frozen")
    deadline = time.monotonic() + DRAIN_S
    for writer in writers:
        while not (drain := writer.drained()).done:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{writer.name} did not drain: {drain.proof}")
            time.sleep(0.1)


def flip(scene: Scene, at: Boundaries, words: str) -> None:
    """Move both pointers; one that has moved already stays."""
    change = Change(**json.loads(words))
    pointer: Any = scene.group_pointer
    copy = pointer._copy_offsets

    def copying(*args: Any) -> None:
        copy(*args)
        at.passes("offsets handed over, not committed")

    pointer._copy_offsets = copying
    for each, where in ((pointer, "one of two pointers moved"), (scene.alias, "")):
        each.refuse_older(change.epoch)
        each.apply(change)
        if where:
            at.passes(where)


def resume(scene: Scene, at: Boundaries, words: str) -> None:
    """Resume all writers as they were found, in reverse; ``proven``: the first attempt."""
    told = json.loads(words)
    found = zip(scene.writers(told["live"]), told["found"], strict=True)
    for writer, state in reversed(list(found)):
        writer.resume(state, epoch=told["epoch"], proven=told["proven"])
        at.passes("half resumed")

"""Stops a process of the crash tests right before or right after a side effect, until it is killed or let go.

Python imports this module by itself in every process that has this folder on its path; only the crash tests put it
there. A barrier is a file ``arm.<effect>.<moment>`` in the folder that SWITCHOVER_BARRIER names. The first process
that comes there takes it, writes its pid into ``reached``, and waits until there is a file ``go``.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(os.environ.get("SWITCHOVER_BARRIER", "/nonexistent"))
GREEN = "docs_v2"


def stop(effect: str, moment: str) -> None:
    """Wait here if this is what a test asked for."""
    with suppress(FileNotFoundError):
        taken = FOLDER / f"taken.{os.getpid()}"
        (FOLDER / f"arm.{effect}.{moment}").rename(taken)
        taken.write_text(str(os.getpid()))
        taken.rename(FOLDER / "reached")
        while not (FOLDER / "go").exists():
            time.sleep(0.02)


def around(effect_of: Callable[..., str | None], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a barrier on both sides of it."""

    @functools.wraps(function)
    def stopped(*args: Any, **kwargs: Any) -> Any:
        effect = effect_of(*args, **kwargs)
        if effect is None:
            return function(*args, **kwargs)
        stop(effect, "before")
        result = function(*args, **kwargs)
        stop(effect, "after")
        return result

    return stopped


def pointer(module: ModuleType) -> None:
    """The one statement that moves the alias row; a rehearsal's shadow is left alone."""

    def effect(self: Any, now: Any, change: Any) -> str | None:
        shadow = self.key.endswith("__rehearsal")
        return None if shadow else "flip" if change.after == GREEN else "rollback"

    module.PgvectorPointer.swap = around(effect, module.PgvectorPointer.swap)


def writer(module: ModuleType) -> None:
    """The one statement that closes or opens the write gate."""

    def effect(self: Any, *, frozen: bool, **_: Any) -> str:
        return "freeze" if frozen else "unfreeze"

    module.WriteGateWriter._set = around(effect, module.WriteGateWriter._set)


PATCHES = {"switchover.pointers.pgvector": pointer, "switchover.writers.write_gate": writer}


class Patching(importlib.abc.MetaPathFinder):
    """Patches the modules above right after they were imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See ``MetaPathFinder``."""
        if name not in PATCHES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            PATCHES[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if FOLDER.is_dir():
    sys.meta_path.insert(0, Patching())

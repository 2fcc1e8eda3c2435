"""What every writer can do: be found, frozen, proven drained, and resumed as it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Whether nothing is in flight, and how one can tell."""

    done: bool
    proof: str


class Writer(Protocol):
    """A job with side effects that stands still while the pointer moves."""

    name: str
    drain_s: float

    def find(self) -> Mapping[str, Any]:
        """The writer's state as JSON-able values; what ``resume`` restores. Changes nothing."""
        ...

    def freeze(self, *, epoch: int) -> None:
        """Stop new work. Idempotent. Does not wait for work in flight."""
        ...

    def drained(self) -> Drain:
        """Whether the work in flight has ended. Returns at once, or within a second."""
        ...

    def resume(self, found: Mapping[str, Any], *, epoch: int) -> None:
        """Restore exactly what ``find`` saw. Idempotent."""
        ...

"""What the contract suite must be able to do to a writer: a world is one running writer on one server.

A kind joins the suite with one file here and one line in ``WRITERS`` (``writers/__init__.py``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import TypeAdapter

from switchover.edge.edge import Edge
from switchover.writers import AnyWriter, Writer, WriterSpec
from tests.contract.worlds.base import CONNECTION, NotApplicable, Place

NAME = "the writer"
SPEC: TypeAdapter[WriterSpec] = TypeAdapter(AnyWriter)


class WriterWorld(Place):
    """A writer of its own on the session's server, running when a test starts."""

    table = "writers"
    backlog = 0  # writes that wait for it where they come from

    @abstractmethod
    def state(self) -> Any:
        """What decides whether the writer takes new work, read with the bare client."""

    @abstractmethod
    def disturb(self) -> None:
        """Somebody starts the frozen writer again, as it was or otherwise."""

    @abstractmethod
    def halt(self) -> None:
        """Somebody stops the writer before a run."""

    @abstractmethod
    def begin(self) -> None:
        """A piece of work is in flight from now on."""

    @abstractmethod
    def end(self) -> None:
        """The work in flight ends."""

    def follow(self) -> None:
        """What runs the writer does what was asked of it; the world does so where the server does not."""

    @contextmanager
    def stranger(self) -> Iterator[Edge]:
        """An edge whose login has no rights on the writer."""
        raise NotApplicable("nobody is refused here")
        yield

    def plan(self, **more: Any) -> WriterSpec:
        """The writer's part of a plan."""
        values = {"kind": self.kind, "connection": CONNECTION, "name": NAME, **self.spec(), **more}
        return SPEC.validate_python(values)

    def writer(self, edge: Edge | None = None) -> Writer:
        """The writer on clients of its own."""
        return self.plan().build(edge or self.edge())

"""What the contract suite must be able to do to a backend: a world is one pointer on one real server.

A backend joins the suite with one file here and one line in ``WORLDS`` (``worlds/__init__.py``).
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import TypeAdapter

from switchover.edge.connection import Connection
from switchover.edge.edge import Edge
from switchover.pointers import AnyPointer, Change, Pointer, PointerSpec

BLUE, GREEN = "docs_v1", "docs_v2"
CONNECTION = "store"


class NotApplicable(Exception):
    """This backend cannot be in the state that a case asks for; the message says why."""


class Place(ABC):
    """Something of a test's own on one of the session's servers.

    ``kind`` as in a plan; ``fixture`` names the pytest fixture of the server, whose value the constructor
    gets; ``against`` says what was tested against, for the table, which ``table`` names; ``write_marker`` stands
    in the bytes that the client sends when it writes (empty: any bytes do).
    """

    kind: ClassVar[str]
    fixture: ClassVar[str]
    table: ClassVar[str]
    write_marker: ClassVar[bytes] = b""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self._edges: list[Edge] = []

    @property
    @abstractmethod
    def against(self) -> str:
        """``PostgreSQL 18, real server`` or ``moto 5.2, emulator``."""

    @property
    @abstractmethod
    def address(self) -> tuple[str, int] | str:
        """Host and port of the server, or its Unix socket."""

    @abstractmethod
    def set_up(self) -> None:
        """Create what the test is about."""

    @abstractmethod
    def tear_down(self) -> None:
        """Remove what ``set_up`` made."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Its part of a plan, without ``kind``, ``connection`` and ``name``."""

    @abstractmethod
    def connection(self, address: tuple[str, int] | str) -> Connection:
        """The connection, for a server that is reached at ``address``."""

    @abstractmethod
    def remove(self) -> None:
        """Somebody removes it, with the bare client."""

    def restart(self) -> None:
        """Restart the server, its data kept."""
        raise NotApplicable("the server is shared with other tests and cannot be restarted")

    def edge(self, address: tuple[str, int] | str | None = None) -> Edge:
        """An edge with clients of its own."""
        edge = Edge(connections=lambda conn_id: self.connection(address or self.address))
        self._edges.append(edge)
        return edge

    def close(self) -> None:
        """Close every client."""
        for edge in self._edges:
            edge.close()


class World(Place):
    """A pointer of its own on the session's server, on Blue when a test starts."""

    table = "pointers"

    @abstractmethod
    def serve(self) -> frozenset[str]:
        """The arms that one request of a reader is served from, by the store's own data path: exactly one is well.

        Raises when the request fails.
        """

    @abstractmethod
    def move(self, target: str) -> None:
        """Somebody else moves the pointer, with the bare client."""

    def plant(self) -> Callable[[], object]:
        """Somebody has something of their own under the name of this pointer's rehearsal; gives a look at it."""
        raise NotApplicable(f"{self.kind}: a rehearsal has a name that nobody else has")

    def spoil(self, target: str, how: str) -> None:
        """Make a target ``missing``, ``empty`` or ``unhealthy``."""
        raise NotApplicable(f"{self.kind} keeps nothing of its targets; the plan's index is what is checked")

    def pointer(self, address: tuple[str, int] | str | None = None) -> Pointer:
        """The pointer on a client of its own."""
        adapter: TypeAdapter[PointerSpec] = TypeAdapter(AnyPointer)
        values = {"kind": self.kind, "connection": CONNECTION, **self.spec()}
        return adapter.validate_python(values).build(self.edge(address))


def change(before: str = BLUE, after: str = GREEN, *, epoch: int = 1, approved: str | None = None) -> Change:
    """A move, from Blue to Green unless told otherwise."""
    return Change(before=before, after=after, epoch=epoch, actor="test", approved_hash=approved)


def back(epoch: int = 1) -> Change:
    """The move from Green to Blue."""
    return change(GREEN, BLUE, epoch=epoch)

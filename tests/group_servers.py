"""Servers that cost time also while nobody asks them: each ends as soon as the group of tests that used it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")


class GroupServer(Generic[T]):
    """Starts what ``start`` makes when it is first asked for, and again after its group was over."""

    _running: ClassVar[list[GroupServer[Any]]] = []

    def __init__(self, start: Callable[[], AbstractContextManager[T]]) -> None:
        self._start = start
        self._until = ExitStack()
        self._server: T | None = None

    def get(self) -> T:
        """The running server."""
        if self._server is None:
            self._server = self._until.enter_context(self._start())
            self._running.append(self)
        return self._server

    def end(self) -> None:
        """End the server, if it runs."""
        self._server = None
        self._until.close()

    @classmethod
    def end_all(cls) -> None:
        """A group of tests is over."""
        while cls._running:
            cls._running.pop().end()


@contextmanager
def group_server(start: Callable[[], AbstractContextManager[T]]) -> Iterator[GroupServer[T]]:
    """One for a session's fixture; it is ended with the block."""
    server = GroupServer(start)
    try:
        yield server
    finally:
        server.end()

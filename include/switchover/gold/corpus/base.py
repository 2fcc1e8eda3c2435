"""What a corpus must do: give the texts of some documents, and every document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from switchover.edge.edge import Edge
from switchover.part import Part


class Documents(Protocol):
    """The source texts that gold spans point into."""

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """Document id -> text of those that exist."""
        ...

    def each(self) -> Iterator[tuple[str, str]]:
        """Every document (id, text), each once."""
        ...


class CorpusSpec(Part, ABC):
    """A corpus' part of the plan. Each has a ``kind``."""

    if TYPE_CHECKING:
        kind: str  # each says which word

    @abstractmethod
    def build(self, edge: Edge) -> Documents:
        """The corpus, with clients from the edge. No I/O."""

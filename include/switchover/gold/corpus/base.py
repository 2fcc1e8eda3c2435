"""What a corpus must do: give the texts of some documents, and every document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from switchover.edge.edge import Edge
from switchover.indexes import IndexSpec
from switchover.part import Part


class Documents(Protocol):
    """The source texts that gold spans point into."""

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """Document id -> text of those that exist."""
        ...

    def each(self) -> Iterator[tuple[str, str]]:
        """Every document (id, text), each once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Blue:
    """Where Blue's index is, as the plan tells of it."""

    index: IndexSpec
    arm: str

    @classmethod
    def of(cls, indexes: Mapping[str, IndexSpec], *, green: str) -> Blue:
        """The first arm that is not the candidate."""
        arm = next((name for name in indexes if name != green), green)
        return cls(index=indexes[arm], arm=arm)


class CorpusSpec(Part, ABC):
    """A corpus' part of the plan. Each has a ``kind``."""

    if TYPE_CHECKING:
        kind: str  # each says which word

    def check(self, blue: Blue) -> None:
        """Raise ``ValueError`` when this plan's index cannot be the corpus."""

    @abstractmethod
    def build(self, edge: Edge, blue: Blue | None = None) -> Documents:
        """The corpus, with clients from the edge. No I/O. ``blue``: a plan always gives it."""

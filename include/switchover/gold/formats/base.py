"""What a format of gold sets must do: read a file into items of our own form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from switchover.errors import GoldError
from switchover.part import Part

#: Where an item stands, in words; and the item as ``item_of`` reads it, or the error that takes its place.
Raw = tuple[str, Mapping[str, Any] | GoldError]


class GoldFormat(Part, ABC):
    """A format's part of the plan. Each has a ``kind``."""

    if TYPE_CHECKING:
        kind: str  # each says which word

    @abstractmethod
    def read(self, path: Path) -> Iterator[Raw]:
        """The items of a file, in its order. ``GoldError`` when the file as a whole cannot be read.

        An item is ``{"id", "question", "paraphrases"?, "answers", "decoys"?, "answerable"?, "tags"?}``, as docs/gold.md
        says; an answer by a reference text is ``{"text"}``, one by a document or chunk ``{"id", "grade"?}``.
        """

    def files(self, path: Path) -> list[Path]:
        """Every file that is read for ``path``: the digest of the gold set is over all of them."""
        return [path]

    def left_out(self, path: Path) -> Mapping[str, int]:
        """What of the file is no item, and how many: words -> count."""
        return {}

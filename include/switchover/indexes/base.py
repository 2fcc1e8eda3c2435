"""What Switchover must know of an index before it may become live."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.lazy import lazy
from switchover.part import ConnectionId, Part
from switchover.pins import Manifest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = lazy("numpy")


@dataclass(frozen=True, kw_only=True)
class Health:
    """A quick look: cheap enough to repeat right before every flip."""

    exists: bool
    empty: bool
    stored_hash: str | None


@dataclass(frozen=True, kw_only=True)
class Content:
    """A full look: what the manifest says and what the index really holds.

    ``count`` and ``index_hash`` are counted and computed from the rows of the build.
    """

    manifest: Manifest
    count: int
    index_hash: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some stored texts with their stored vectors, shape (len(texts), dimension)."""

    texts: Sequence[str]
    vectors: npt.NDArray[np.float64]


class Index(Protocol):
    """The store that holds both arms' indexes."""

    def health(self, target: str) -> Health:
        """Whether the target exists, holds anything, and which INDEX_HASH is stored beside it."""
        ...

    def content(self, target: str) -> Content:
        """Read everything the INDEX_HASH is made of. ``TargetRefused`` when there is no manifest."""
        ...

    def sample(self, target: str, *, size: int) -> Sample:
        """Texts and vectors for the encoder check, the same ones at each call."""
        ...

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """Id -> text of these rows; an id that is not there is left out."""
        ...

    def shared(self, target: str, others: Collection[str]) -> list[str]:
        """Those of ``others`` that are the same index as ``target``, or a part of it: what ``drop`` would take too.

        By where the names lead in the store, not by their letters. One that is not there is not shared.
        """
        ...

    def drop(self, target: str) -> None:
        """Remove the index with its manifest, for good. No error when it is gone already.

        ``TargetRefused`` when something in the store still leads to it. Whether it *may* go is
        ``steps.retire``'s to say.
        """
        ...


class IndexSpec(Part, ABC):
    """A store's part of the plan. Each has a ``kind``."""

    #: Whether a plan may have a ``build`` part beside it: ``indexing`` knows how to fill the store.
    buildable: ClassVar[bool] = False

    if TYPE_CHECKING:
        kind: str  # each says which word

    connection: ConnectionId = Field(description="Connection to the store of the indexes.")

    def check_arms(self, arms: Collection[str]) -> None:
        """Raise ``ValueError`` unless every arm has its index in the store."""
        targets: Mapping[str, Any] | None = getattr(self, "targets", None)
        if targets is not None and set(targets) != set(arms):
            raise ValueError(
                f"index.targets: found {', '.join(sorted(targets))}; allowed: one for each arm ({', '.join(arms)})"
            )

    @abstractmethod
    def build(self, edge: Edge) -> Index:
        """The store, with clients from the edge. No I/O."""

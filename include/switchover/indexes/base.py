"""What Switchover must know of an index before it may become live."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.indexes.receipt import Choice, Tally
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
class Sample:
    """Some stored texts with their stored vectors, shape (len(texts), dimension); an index may be without any: 0."""

    texts: Sequence[str]
    vectors: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What tells, without reading the rows, that an index is another one or that it was written to.

    ``creation``: the store's own id of this very index; one that was dropped and made again
    has another. ``change``: differs once a row was written or removed; "" where the store keeps no such thing.
    """

    creation: str
    change: str


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """How the store itself holds the vectors. "" and ``None``: it does not say.

    ``metric``: ``cosine``, ``ip`` (inner product, of normalised vectors the same) or ``l2``. ``parameters``: of its
    approximate index, in words.
    """

    metric: str = ""
    dimension: int | None = None
    parameters: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored row. ``vector``: its bytes as they are digested; ``values``: its numbers, those that are stored.

    Both are ``None`` where the row has no vector. ``dimension``: of the vector, also of a sparse one.
    """

    id: str
    text: str
    vector: bytes | None
    values: npt.NDArray[np.float64] | None
    dimension: int


class Index(Protocol):
    """A store of indexes. ``target`` is what the store itself calls one; ``ArmIndexes`` takes an arm's name for it."""

    def health(self, target: str) -> Health:
        """Whether the target exists, holds anything, and which INDEX_HASH is stored beside it."""
        ...

    def manifest(self, target: str) -> Manifest:
        """What stands beside the index. ``TargetRefused`` when there is none, or it cannot be read."""
        ...

    def describe(self, target: str, manifest: Manifest) -> None:
        """Write the manifest beside an index that is there; nothing else is changed."""
        ...

    def newest(self, target: str) -> int:
        """The highest revision of a row; 0 where the index keeps none."""
        ...

    def mark(self, target: str) -> Mark:
        """A quick look, whatever the size. ``TargetRefused`` when there is no such index."""
        ...

    def vectors(self, target: str) -> Vectors:
        """Metric, dimension and parameters as the store has them, whatever the manifest says."""
        ...

    def count(self, target: str) -> int:
        """Rows that are there, later ones too; an estimate where counting a large index would take long."""
        ...

    def shards(self, target: str) -> Sequence[str]:
        """Names of the parts in which the index can be read, the same as long as its change mark is."""
        ...

    def tally(self, target: str, shard: str, *, upto: int, choice: Choice) -> Tally:
        """Read one part whole: the sum of its rows up to revision ``upto``. A row without a revision counts too where
        the index keeps none. ``TargetRefused`` names a row without id, text or revision."""
        ...

    def ordered_pairs(self, target: str, *, upto: int) -> str:
        """The digest of pairs in its older form, read in order (``pins.pairs_digest``)."""
        ...

    def rows(self, target: str, ids: Collection[str]) -> Sequence[Row]:
        """These rows, as far as they are there."""
        ...

    def sample(self, target: str, *, size: int) -> Sample:
        """Texts and vectors for the encoder check, the same ones at each call while nothing is written."""
        ...

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """Id -> text of these rows; an id that is not there is left out."""
        ...

    def documents(self, target: str, docs: Sequence[str]) -> set[str] | None:
        """Those of these documents of which a row is there; ``None``: the plan's ``doc`` does not say whose rows are.

        Reads rows of these documents alone, by the store's own index of that field where there is one.
        """
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
    #: What holds the indexes; two words are two stores. "": not known before it is asked.
    store: ClassVar[str] = ""

    if TYPE_CHECKING:
        kind: str  # each says which word

    connection: ConnectionId = Field(description="Connection to the store of the indexes.")
    written: bool = Field(
        False,
        description="Writers write to Green's index too before the flip: its content is shown, not held to its build.",
    )

    def resolved(self, arm: str) -> str:
        """What the store calls an arm's index."""
        targets: Mapping[str, str] = getattr(self, "targets", None) or {}
        return targets.get(arm, arm)

    def check_arms(self, arms: Collection[str]) -> None:
        """Raise ``ValueError`` unless every arm has its index in the store."""
        targets: Mapping[str, Any] | None = getattr(self, "targets", None)
        if targets is not None and set(targets) != set(arms):
            raise ValueError(
                f"index.targets: found {', '.join(sorted(targets))}; allowed: one for each arm ({', '.join(arms)})"
            )

    @abstractmethod
    def build(self, edge: Edge) -> Index:
        """The store, with clients from the edge. It is asked by ``resolved`` names: ``ArmIndexes`` knows the arms."""

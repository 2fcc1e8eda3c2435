"""What the collections of Qdrant, Milvus and Chroma have in common as indexes.

A store says what a collection is, gives its rows page by page and by id, and keeps the manifest with the collection,
so that it goes when the collection is dropped. It keeps no mark of each write: the change mark is the number of rows.
So an insert or a delete after a reading is noticed at once; an update is found by the audit, or by a new reading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field

from switchover.edge.names import Namer
from switchover.errors import TargetRefused
from switchover.indexes.base import Health, IndexSpec, Mark, Row, Sample, Vectors
from switchover.indexes.receipt import Adder, Choice, Tally
from switchover.lazy import lazy
from switchover.pins import Manifest, content_digest, pairs_digest

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

PAGE = 500  # rows
MANIFEST, INDEX_HASH = "manifest", "index_hash"


@dataclass(frozen=True, kw_only=True)
class About:
    """A collection: the store's own id of it, its rows, and the texts that are kept with it."""

    creation: str
    count: int
    kept: Mapping[str, Any]
    vectors: Vectors = field(default_factory=Vectors)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One row as the store gives it; ``None`` where the row has no such thing."""

    id: str
    text: Any
    revision: Any
    vector: Sequence[float] | None


class CollectionStore(Protocol):
    """One server. Raises as :class:`Index` does; ``None`` and no rows where there is no such collection."""

    place: str

    def about(self, name: str) -> About | None:
        """What the collection of this very name is; an alias is none."""
        ...

    def every(self, name: str, *, size: int) -> Iterator[Sequence[Stored]]:
        """All rows, page by page."""
        ...

    def fetch(self, name: str, ids: Collection[str]) -> Sequence[Stored]:
        """These rows, as far as they are there."""
        ...

    def documents(self, name: str, field: str, docs: Sequence[str]) -> set[str]:
        """The values of a field, as text, of the rows in which it is one of these."""
        ...

    def keep(self, name: str, texts: Mapping[str, str]) -> None:
        """Keep these texts with the collection, beside what is kept there."""
        ...

    def aliases(self, name: str) -> Sequence[str]:
        """Aliases of the collection."""
        ...

    def drop(self, name: str) -> None:
        """Remove the collection."""
        ...


class CollectionSpec(IndexSpec):
    """What every kind of collection is told."""

    namer: ClassVar[Namer]

    text: str = Field("text", min_length=1, description="Field with the text that was embedded.")
    revision: str | None = Field(
        "revision", min_length=1, description="Field with the revision of a row's last write; null: it has none."
    )
    doc: str | None = Field(
        None, min_length=1, description="Field with the id of the document that a row is of; null: there is none."
    )
    targets: dict[str, str] | None = Field(
        None, description="Collection of each arm; without it an arm's name is its collection's name."
    )

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`IndexSpec`."""
        super().check_arms(arms)
        for arm in arms:
            type(self).namer(self.resolved(arm), f"index: arm {arm!r}", ValueError)


class CollectionIndex:
    """The collections of one server, as a plan tells of them."""

    def __init__(self, *, spec: CollectionSpec, store: CollectionStore) -> None:
        self._kind = spec.kind
        self._store = store
        self._namer = type(spec).namer
        self._dated = spec.revision is not None
        self._doc = spec.doc

    def health(self, target: str) -> Health:
        """See :class:`Index`."""
        about = self._store.about(self._name(target))
        if about is None:
            return Health(exists=False, empty=True, stored_hash=None)
        stored = about.kept.get(INDEX_HASH)
        return Health(exists=True, empty=not about.count, stored_hash=str(stored) if stored else None)

    def manifest(self, target: str) -> Manifest:
        """See :class:`Index`."""
        found = self._about(target).kept.get(MANIFEST)
        if found is None:
            raise TargetRefused(f"{self._what(target)}: has no manifest; build it again, or `switchover index adopt`")
        try:
            return Manifest.from_json(json.loads(found) if isinstance(found, str) else found)
        except (KeyError, TypeError, ValueError) as error:
            raise TargetRefused(f"{self._what(target)}: its manifest lacks {error}") from error

    def describe(self, target: str, manifest: Manifest) -> None:
        """See :class:`Index`."""
        self._about(target)
        told = {MANIFEST: json.dumps(manifest.to_json()), INDEX_HASH: manifest.index_hash}
        self._store.keep(self._name(target), told)

    def mark(self, target: str) -> Mark:
        """See :class:`Index`."""
        about = self._about(target)
        return Mark(creation=f"{self._kind} {about.creation}", change=f"{about.count} rows")

    def count(self, target: str) -> int:
        """See :class:`Index`."""
        return self._about(target).count

    def vectors(self, target: str) -> Vectors:
        """See :class:`Index`."""
        return self._about(target).vectors

    def newest(self, target: str) -> int:
        """See :class:`Index`."""
        if not self._dated:
            return 0
        return max((self._revision(target, row) for row in self._every(target)), default=0)

    def shards(self, target: str) -> Sequence[str]:
        """See :class:`Index`. These stores cannot be read in parts that stay the same."""
        return ["all"]

    def tally(self, target: str, shard: str, *, upto: int, choice: Choice) -> Tally:
        """See :class:`Index`. One page is in memory at a time."""
        adder = Adder(choice)
        for stored in self._every(target):
            if self._dated and self._revision(target, stored) > upto:
                adder.later += 1
                continue
            row = self._row(target, stored)
            adder.add(row.id, row.text, row.vector)
        return adder.tally()

    def ordered_pairs(self, target: str, *, upto: int) -> str:
        """See :class:`Index`. All ids are in memory: about 0.25 kB a row."""
        rows = (row for row in self._every(target) if not self._dated or self._revision(target, row) <= upto)
        return pairs_digest((row.id, content_digest(self._text(target, row))) for row in rows)

    def rows(self, target: str, ids: Collection[str]) -> list[Row]:
        """See :class:`Index`."""
        wanted, found = list(ids), []
        for first in range(0, len(wanted), PAGE):
            stored = self._store.fetch(self._name(target), wanted[first : first + PAGE])
            found += [self._row(target, row) for row in stored]
        return found

    def sample(self, target: str, *, size: int) -> Sample:
        """See :class:`Index`. Of the store's first thousand rows, those with the smallest digests of ids."""
        upto = self.manifest(target).facts.corpus_revision
        first: list[Stored] = []
        for page in self._store.every(self._name(target), size=PAGE):
            first += page
            if len(first) >= 2 * PAGE:
                break
        built = [row for row in first if not self._dated or self._revision(target, row) <= upto]
        built.sort(key=lambda row: hashlib.sha256(row.id.encode()).digest())
        rows = [self._row(target, row) for row in built[:size]]
        if all(row.values is None for row in rows):
            return Sample(texts=[row.text for row in rows], vectors=np.empty((len(rows), 0)))
        if len({row.dimension for row in rows}) > 1:
            raise TargetRefused(f"{self._what(target)}: its vectors are missing in places, or not of one dimension")
        return Sample(texts=[row.text for row in rows], vectors=np.array([row.values for row in rows]))

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """See :class:`Index`."""
        stored = (row for row in self._store.fetch(self._name(target), ids))
        return {row.id: row.text for row in stored if isinstance(row.text, str)}

    def documents(self, target: str, docs: Sequence[str]) -> set[str] | None:
        """See :class:`Index`."""
        if self._doc is None:
            return None
        self._about(target)
        found: set[str] = set()
        for first in range(0, len(docs), PAGE):
            found |= self._store.documents(self._name(target), self._doc, docs[first : first + PAGE])
        return found & {*docs}  # a row that names several brings the others along

    def shared(self, target: str, others: Collection[str]) -> list[str]:
        """See :class:`Index`. An alias is no target."""
        return [other for other in others if self._name(other) == self._name(target)]

    def drop(self, target: str) -> None:
        """See :class:`Index`. An alias keeps its collection."""
        name = self._name(target)
        if self._store.about(name) is None:
            return
        aliases = sorted(self._store.aliases(name))
        if aliases:
            raise TargetRefused(f"{self._what(target)}: carries the alias {', '.join(aliases)}; not removed")
        self._store.drop(name)

    def _every(self, target: str) -> Iterator[Stored]:
        self._about(target)
        for page in self._store.every(self._name(target), size=PAGE):
            yield from page

    def _about(self, target: str) -> About:
        found = self._store.about(self._name(target))
        if found is None:
            raise TargetRefused(f"{self._what(target)}: is not there")
        return found

    def _row(self, target: str, stored: Stored) -> Row:
        text = self._text(target, stored)
        if stored.vector is None:
            return Row(id=stored.id, text=text, vector=None, values=None, dimension=0)
        values = np.array(stored.vector, dtype=np.float64)
        return Row(id=stored.id, text=text, vector=values.astype(">f4").tobytes(), values=values, dimension=len(values))

    def _text(self, target: str, stored: Stored) -> str:
        if not isinstance(stored.text, str):
            raise TargetRefused(f"{self._what(target)}: the row with id {stored.id!r} has no text in the field named")
        return stored.text

    def _revision(self, target: str, stored: Stored) -> int:
        if not isinstance(stored.revision, (int, float)):
            raise TargetRefused(
                f"{self._what(target)}: the row with id {stored.id!r} has no revision; allowed: a whole number in each"
                " row, or `revision: null` in the plan's index"
            )
        return int(stored.revision)

    def _name(self, target: str) -> str:
        return self._namer(target, f"index in {self._kind}")

    def _what(self, target: str) -> str:
        return f"index {self._name(target)!r} in {self._kind} at {self._store.place}"

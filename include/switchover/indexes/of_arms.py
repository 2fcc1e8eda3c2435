"""The indexes of a plan's arms: each arm's own, in one store or in several; two arms may share one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from switchover.edge.edge import Edge
from switchover.indexes.base import Health, Index, IndexSpec, Mark, Row, Sample, Vectors
from switchover.indexes.receipt import Choice, Tally
from switchover.pins import Manifest

Place = tuple[str, str, str]


def place_of(spec: IndexSpec, arm: str) -> Place:
    """Where an arm's index is: two arms of one place share it."""
    return (spec.kind, spec.connection, spec.resolved(arm))


def sharing(specs: Mapping[str, IndexSpec], arm: str) -> list[str]:
    """The other arms whose index is this very one."""
    place = place_of(specs[arm], arm)
    return [name for name, spec in specs.items() if name != arm and place_of(spec, name) == place]


def check_indexes(specs: Mapping[str, IndexSpec], *, own: Collection[str], may_share: bool) -> None:
    """``ValueError`` for an index that one arm has of its ``own`` and that cannot be, or for two arms in one place."""
    for arm in own:
        try:
            specs[arm].check_arms([arm])
        except ValueError as error:
            raise ValueError(f"arms.{arm}.{error}") from None
    for arm, spec in specs.items():
        others = sharing(specs, arm)
        if others and not may_share:
            both = " and ".join(map(repr, (arm, *others)))
            raise ValueError(
                f"index: {both} are one index, {spec.resolved(arm)!r}; allowed where `changes` names the pins that"
                " differ, as PROMPT_VER"
            )


def build_indexes(specs: Mapping[str, IndexSpec], edge: Edge) -> Index:
    """What stands behind each arm, by the arm's name. No I/O."""
    stores: list[tuple[IndexSpec, Index]] = []
    places = {}
    for arm, spec in specs.items():
        store = next((store for known, store in stores if known == spec), None)
        if store is None:
            store = spec.build(edge)
            stores.append((spec, store))
        places[arm] = _ArmIndex(store=store, name=spec.resolved(arm), server=(spec.kind, spec.connection))
    return ArmIndexes(places)


@dataclass(frozen=True, kw_only=True)
class _ArmIndex:
    store: Index
    name: str  # as the store calls it
    server: tuple[str, str]


class ArmIndexes:
    """See :class:`Index`: each question goes to the store of the arm that it is about.

    A name that is no arm goes to the first arm's store as it is.
    """

    def __init__(self, places: Mapping[str, _ArmIndex]) -> None:
        self._places = places
        self._default = next(iter(places.values()))

    def _of(self, target: str) -> tuple[Index, str]:
        place = self._places.get(target)
        return (place.store, place.name) if place is not None else (self._default.store, target)

    def _server_of(self, target: str) -> tuple[str, str]:
        return self._places.get(target, self._default).server

    def health(self, target: str) -> Health:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.health(name)

    def manifest(self, target: str) -> Manifest:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.manifest(name)

    def describe(self, target: str, manifest: Manifest) -> None:
        """See :class:`Index`."""
        store, name = self._of(target)
        store.describe(name, manifest)

    def newest(self, target: str) -> int:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.newest(name)

    def mark(self, target: str) -> Mark:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.mark(name)

    def vectors(self, target: str) -> Vectors:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.vectors(name)

    def count(self, target: str) -> int:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.count(name)

    def shards(self, target: str) -> Sequence[str]:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.shards(name)

    def tally(self, target: str, shard: str, *, upto: int, choice: Choice) -> Tally:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.tally(name, shard, upto=upto, choice=choice)

    def ordered_pairs(self, target: str, *, upto: int) -> str:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.ordered_pairs(name, upto=upto)

    def rows(self, target: str, ids: Collection[str]) -> Sequence[Row]:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.rows(name, ids)

    def sample(self, target: str, *, size: int) -> Sample:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.sample(name, size=size)

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.texts(name, ids)

    def documents(self, target: str, docs: Sequence[str]) -> set[str] | None:
        """See :class:`Index`."""
        store, name = self._of(target)
        return store.documents(name, docs)

    def shared(self, target: str, others: Collection[str]) -> list[str]:
        """See :class:`Index`. Indexes on different servers are never the same."""
        store, name = self._of(target)
        server = self._server_of(target)
        names = {other: self._of(other)[1] for other in others if self._server_of(other) == server}
        there = {*store.shared(name, list(names.values()))}
        return [other for other, known in names.items() if known in there]

    def drop(self, target: str) -> None:
        """See :class:`Index`."""
        store, name = self._of(target)
        store.drop(name)

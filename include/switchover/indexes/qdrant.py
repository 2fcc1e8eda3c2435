"""Indexes that are Qdrant collections; the manifest stands in the collection's metadata (Qdrant 1.16 or newer)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.names import qdrant_name
from switchover.indexes.base import Index, Vectors
from switchover.indexes.collections import PAGE, About, CollectionIndex, CollectionSpec, Stored
from switchover.pointers.qdrant import Missing, QdrantStore, qdrant_place

METRICS = {"Cosine": "cosine", "Dot": "ip", "Euclid": "l2"}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class QdrantIndexSpec(CollectionSpec):
    """Indexes that are Qdrant collections, each with its manifest in its metadata."""

    namer = staticmethod(qdrant_name)
    store: ClassVar[str] = "Qdrant"
    kind: Literal["qdrant"]
    vector: str = Field("", description="Name of the vector, where a collection has several; empty: its only one.")

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        server = QdrantStore(client=edge.client("qdrant", self.connection), place=qdrant_place(edge, self.connection))
        store = QdrantCollections(server=server, text=self.text, revision=self.revision, vector=self.vector)
        return CollectionIndex(spec=self, store=store)


class QdrantCollections:
    """The collections of one server, as :class:`CollectionStore`."""

    def __init__(self, *, server: QdrantStore, text: str, revision: str | None, vector: str) -> None:
        self.place = server.place
        self._server = server
        self._fields = [text, *([revision] if revision is not None else [])]
        self._vector = vector

    def about(self, name: str) -> About | None:
        """See :class:`CollectionStore`. Qdrant gives a collection no id of its own; its metadata go with it."""
        if name in self._all_aliases():
            return None
        try:
            info = self._server.ask(f"collection {name}", lambda client: client.get_collection(name), missing=True)
        except Missing:
            return None
        count = self._server.ask(f"collection {name}", lambda client: client.count(name, exact=True)).count
        return About(
            creation=f"{self.place}/{name}",
            count=count,
            kept=info.config.metadata or {},
            vectors=self._held(info.config),
        )

    def _held(self, config: Any) -> Vectors:
        params = config.params.vectors
        found = params.get(self._vector) if isinstance(params, dict) else params
        if found is None:
            return Vectors()
        hnsw = config.hnsw_config
        return Vectors(
            metric=METRICS.get(found.distance.value, found.distance.value.lower()),
            dimension=found.size,
            parameters=f"hnsw m={hnsw.m}, ef_construct={hnsw.ef_construct}" if hnsw is not None else "",
        )

    def every(self, name: str, *, size: int) -> Iterator[Sequence[Stored]]:
        """See :class:`CollectionStore`. In the order of the ids."""
        asked: dict[str, Any] = {"limit": size, "with_payload": self._fields, "with_vectors": self._wanted}
        while True:
            page = partial(scroll, name=name, asked=asked)
            points, after = self._server.ask(f"collection {name}", page)
            yield [self._stored(point) for point in points]
            if after is None:
                return
            asked["offset"] = after

    def fetch(self, name: str, ids: Collection[str]) -> list[Stored]:
        """See :class:`CollectionStore`. An id is a whole number or a UUID there; others are not there."""
        wanted = [int(id) if id.isdecimal() else id for id in ids if id.isdecimal() or _UUID.fullmatch(id)]
        points = self._server.ask(
            f"collection {name}",
            lambda client: client.retrieve(name, wanted, with_payload=self._fields, with_vectors=self._wanted),
        )
        return [self._stored(point) for point in points]

    def documents(self, name: str, field: str, docs: Sequence[str]) -> set[str]:
        """See :class:`CollectionStore`."""
        found: set[str] = set()
        asked: dict[str, Any] = {"limit": PAGE, "with_payload": [field], "with_vectors": False}
        asked["scroll_filter"] = any_of(field, docs)
        while True:
            points, after = self._server.ask(f"collection {name}", partial(scroll, name=name, asked=asked))
            found |= {str(value) for point in points for value in values_at(point.payload or {}, field)}
            if after is None or found >= {*docs}:
                return found
            asked["offset"] = after

    def keep(self, name: str, texts: Mapping[str, str]) -> None:
        """See :class:`CollectionStore`. The server merges them into what is there."""
        self._server.ask(f"collection {name}", lambda client: client.update_collection(name, metadata=dict(texts)))

    def aliases(self, name: str) -> list[str]:
        """See :class:`CollectionStore`."""
        return [alias for alias, collection in self._all_aliases().items() if collection == name]

    def drop(self, name: str) -> None:
        """See :class:`CollectionStore`."""
        self._server.ask(f"collection {name}", lambda client: client.delete_collection(name))

    @property
    def _wanted(self) -> list[str] | bool:
        return [self._vector] if self._vector else True

    def _all_aliases(self) -> dict[str, str]:
        found = self._server.ask("aliases", lambda client: client.get_aliases()).aliases
        return {each.alias_name: each.collection_name for each in found}

    def _stored(self, point: Any) -> Stored:
        payload, vector = point.payload or {}, point.vector
        if isinstance(vector, dict):
            vector = vector.get(self._vector)
        text, *revision = (value_at(payload, field) for field in self._fields)
        return Stored(id=str(point.id), text=text, revision=revision[0] if revision else None, vector=vector)


def any_of(field: str, values: Sequence[str]) -> Any:
    """The filter for points whose payload has one of these values, as a text or as a whole number."""
    from qdrant_client import models

    whole = [int(value) for value in values if value.lstrip("-").isdecimal()]
    lists: list[list[Any]] = [[*values], whole] if whole else [[*values]]
    return models.Filter(should=[models.FieldCondition(key=field, match=models.MatchAny(any=each)) for each in lists])


def values_at(payload: Mapping[str, Any], path: str) -> list[Any]:
    """What a filter on this path compares, as ``metadata.source``; each value of a list by itself."""
    from qdrant_client.local.payload_value_extractor import value_by_key

    return [value for value in value_by_key(dict(payload), path) or [] if value is not None]


def value_at(payload: Mapping[str, Any], path: str) -> Any:
    """The value that stands at this path of a payload; ``None``: there is none."""
    from qdrant_client.local.payload_value_extractor import value_by_key

    return next(iter(value_by_key(dict(payload), path, flat=False) or []), None)


def scroll(client: Any, *, name: str, asked: Mapping[str, Any]) -> Any:
    """A page of points, and where the next one begins."""
    return client.scroll(name, **asked)

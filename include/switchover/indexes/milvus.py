"""Indexes that are Milvus collections; the manifest stands in the collection's properties."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from switchover.edge.clients import TIMEOUT_S
from switchover.edge.edge import Edge
from switchover.edge.names import milvus_name
from switchover.indexes.base import Index
from switchover.indexes.collections import About, CollectionIndex, CollectionSpec, Stored
from switchover.pointers.milvus import MISSING, Declined, MilvusStore, milvus_place

WHOLE_S = 60.0  # a page of a large collection


class MilvusIndexSpec(CollectionSpec):
    """Indexes that are Milvus collections, each with its manifest in its properties."""

    namer = staticmethod(milvus_name)
    store: ClassVar[str] = "Milvus"
    kind: Literal["milvus"]
    id: str = Field("id", min_length=1, description="The primary key.")
    vector: str = Field("vector", min_length=1, description="Field with the vector.")

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        server = MilvusStore(
            connect=lambda: edge.client("milvus", self.connection), place=milvus_place(edge, self.connection)
        )
        store = MilvusCollections(server=server, id=self.id, text=self.text, revision=self.revision, vector=self.vector)
        return CollectionIndex(spec=self, store=store)


class MilvusCollections:
    """The collections of one database, as :class:`CollectionStore`."""

    def __init__(self, *, server: MilvusStore, id: str, text: str, revision: str | None, vector: str) -> None:
        self.place = server.place
        self._server = server
        self._id, self._text, self._revision, self._vector = id, text, revision, vector
        self._fields = [each for each in (id, text, revision, vector) if each is not None]

    def about(self, name: str) -> About | None:
        """See :class:`CollectionStore`."""
        what = f"collection {name}"
        try:
            found = self._server.ask(
                what, lambda client: client.describe_collection(name, timeout=TIMEOUT_S), expect=MISSING
            )
        except Declined:
            return None
        if found["collection_name"] != name:  # an alias
            return None
        rows = self._server.ask(what, lambda client: client.query(name, output_fields=["count(*)"], timeout=TIMEOUT_S))
        return About(
            creation=f"{self.place}/{found.get('collection_id') or name}",
            count=int(rows[0]["count(*)"]),
            kept=found["properties"],
        )

    def every(self, name: str, *, size: int) -> Iterator[Sequence[Stored]]:
        """See :class:`CollectionStore`."""
        what = f"collection {name}"
        pages = self._server.ask(
            what,
            lambda client: client.query_iterator(
                name, batch_size=size, output_fields=self._fields, consistency_level="Strong", timeout=WHOLE_S
            ),
        )
        try:
            while rows := self._server.ask(what, lambda _: pages.next()):
                yield [self._stored(row) for row in rows]
        finally:
            pages.close()

    def fetch(self, name: str, ids: Collection[str]) -> list[Stored]:
        """See :class:`CollectionStore`. An id is a whole number or a text, as the collection's key is."""
        what = f"collection {name}"
        (wanted,) = self._literals(name, self._id, ids)
        if not wanted:
            return []
        wanted_is = f"{self._id} in {json.dumps(wanted, ensure_ascii=False)}"
        rows = self._server.ask(
            what, lambda client: client.query(name, filter=wanted_is, output_fields=self._fields, timeout=WHOLE_S)
        )
        return [self._stored(row) for row in rows]

    def documents(self, name: str, field: str, docs: Sequence[str]) -> set[str]:
        """See :class:`CollectionStore`."""
        wanted = [
            f"{field} in {json.dumps(values, ensure_ascii=False)}"
            for values in self._literals(name, field, docs)
            if values
        ]
        if not wanted:
            return set()
        what = f"collection {name}"
        pages = self._server.ask(
            what,
            lambda client: client.query_iterator(
                name, filter=" or ".join(wanted), output_fields=[field], timeout=WHOLE_S
            ),
        )
        found: set[str] = set()
        try:
            while rows := self._server.ask(what, lambda _: pages.next()):
                found |= {str(row[field]) for row in rows}
        finally:
            pages.close()
        return found

    def _literals(self, name: str, field: str, texts: Collection[str]) -> list[list[Any]]:
        """The texts as the values that a field may have: whole numbers, texts, or both where the schema has it not."""
        found = self._server.ask(
            f"collection {name}", lambda client: client.describe_collection(name, timeout=TIMEOUT_S)
        )
        type_of = {each["name"]: getattr(each["type"], "name", str(each["type"])) for each in found["fields"]}
        numbers = [int(text) for text in texts if text.lstrip("-").isdecimal()]
        if field not in type_of:
            return [[*texts], numbers]
        return [numbers if "INT" in type_of[field] else [*texts]]

    def keep(self, name: str, texts: Mapping[str, str]) -> None:
        """See :class:`CollectionStore`."""
        self._server.ask(
            f"collection {name}",
            lambda client: client.alter_collection_properties(name, properties=dict(texts), timeout=TIMEOUT_S),
        )

    def aliases(self, name: str) -> list[str]:
        """See :class:`CollectionStore`."""
        found = self._server.ask(f"collection {name}", lambda client: client.list_aliases(name, timeout=TIMEOUT_S))
        return list(found["aliases"])

    def drop(self, name: str) -> None:
        """See :class:`CollectionStore`."""
        self._server.ask(f"collection {name}", lambda client: client.drop_collection(name, timeout=TIMEOUT_S))

    def _stored(self, row: Mapping[str, Any]) -> Stored:
        vector = row.get(self._vector)
        return Stored(
            id=str(row[self._id]),
            text=row.get(self._text),
            revision=row.get(self._revision) if self._revision is not None else None,
            vector=None if vector is None else [float(value) for value in vector],
        )

"""Documents from the points of a Qdrant collection, which it gives in the order of their ids only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from switchover.edge.edge import Edge
from switchover.edge.names import qdrant_name
from switchover.errors import GoldError
from switchover.gold.corpus.base import Blue
from switchover.gold.corpus.table import whole_documents
from switchover.gold.jsonl import MAX_DOCUMENT, MIB
from switchover.gold.records import CORPUS
from switchover.indexes.qdrant import QdrantIndexSpec, any_of, scroll, value_at
from switchover.pointers.qdrant import Missing, QdrantStore, qdrant_place

PAGE = 500  # points
ASKED = 100  # documents whose points are in memory at a time


class Piece(NamedTuple):
    """One point."""

    doc: str
    start: Any
    text: str


def of(edge: Edge, blue: Blue, start: str | None) -> QdrantDocuments:
    """The documents of Blue's collection."""
    spec = blue.index
    assert isinstance(spec, QdrantIndexSpec) and spec.doc is not None
    server = QdrantStore(client=edge.client("qdrant", spec.connection), place=qdrant_place(edge, spec.connection))
    name = qdrant_name(spec.resolved(blue.arm), f"index of {blue.arm!r} in qdrant")
    return QdrantDocuments(server=server, name=name, doc=spec.doc, text=spec.text, start=start)


class QdrantDocuments:
    """See ``Documents``. All documents are read twice: their ids, and then some documents at a time."""

    def __init__(self, *, server: QdrantStore, name: str, doc: str, text: str, start: str | None) -> None:
        self._server, self._name = server, name
        self._doc, self._text, self._start = doc, text, start
        self._what = f"corpus {name!r} in qdrant at {server.place}"

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """See ``Documents``."""
        found: dict[str, str] = {}
        for first in range(0, len(docs), ASKED):
            found |= self._documents(docs[first : first + ASKED])
        return found

    def each(self) -> Iterator[tuple[str, str]]:
        """See ``Documents``."""
        docs: set[str] = set()
        for payload in self._payloads([self._doc], None):
            if (doc := value_at(payload, self._doc)) is not None:
                docs.add(str(doc))
            if len(docs) > CORPUS.records:
                raise GoldError(f"{self._what}: more than {CORPUS.records} documents; allowed: up to that")
        ordered = sorted(docs)
        for first in range(0, len(ordered), ASKED):
            yield from self._documents(ordered[first : first + ASKED])

    def _documents(self, docs: Sequence[str]) -> Iterator[tuple[str, str]]:
        fields = [name for name in (self._doc, self._text, self._start) if name is not None]
        pieces, held = [], 0
        for payload in self._payloads(fields, any_of(self._doc, docs)):
            piece = self._piece(payload)
            held += len(piece.text)
            if held > 2 * MAX_DOCUMENT:
                raise GoldError(f"{self._what}: {len(docs)} documents hold more than {2 * MAX_DOCUMENT // MIB} MiB")
            pieces.append(piece)
        yield from whole_documents(sorted(pieces), pieces=self._start is not None)

    def _piece(self, payload: Mapping[str, Any]) -> Piece:
        doc, text = str(value_at(payload, self._doc)), value_at(payload, self._text)
        if not isinstance(text, str):
            raise GoldError(f"{self._what}: a point of document {doc!r} has no text in {self._text!r}")
        start = 0 if self._start is None else value_at(payload, self._start)
        if not isinstance(start, int):
            raise GoldError(f"{self._what}: a point of document {doc!r} has no whole number in {self._start!r}")
        return Piece(doc=doc, start=start, text=text)

    def _payloads(self, fields: Sequence[str], of: Any) -> Iterator[Mapping[str, Any]]:
        asked: dict[str, Any] = {"limit": PAGE, "with_payload": [*fields], "with_vectors": False, "scroll_filter": of}
        while True:
            try:
                page = partial(scroll, name=self._name, asked=asked)
                points, after = self._server.ask(f"collection {self._name}", page, missing=True)
            except Missing:
                raise GoldError(f"{self._what}: is not there") from None
            yield from (point.payload or {} for point in points)
            if after is None:
                return
            asked["offset"] = after

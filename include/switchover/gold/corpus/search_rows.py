"""Documents from the rows of an index in OpenSearch or Elasticsearch, in the order of document and place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from switchover.edge.edge import Edge
from switchover.edge.names import search_name
from switchover.edge.search_api import SearchApi, quoted, search_api
from switchover.errors import GoldError
from switchover.gold.corpus.base import Blue
from switchover.gold.corpus.table import whole_documents
from switchover.indexes.search import SearchIndexSpec
from switchover.indexes.search_mapping import asked_documents

PAGE = 500  # rows
ASKED = 500  # documents in one search
KEPT = "2m"  # how long the cluster keeps the view of an index between two pages


class Piece(NamedTuple):
    """One row."""

    doc: str
    text: str
    start: Any


def of(edge: Edge, blue: Blue, start: str | None) -> SearchDocuments:
    """The documents of Blue's index."""
    spec = blue.index
    assert isinstance(spec, SearchIndexSpec) and spec.doc is not None
    api = search_api(edge, kind=spec.kind, connection=spec.connection)
    index = search_name(spec.resolved(blue.arm), f"index of {blue.arm!r} in {spec.kind}")
    return SearchDocuments(api=api, index=index, doc=spec.doc, text=spec.text, start=start)


class SearchDocuments:
    """See ``Documents``. A page of rows is in memory at a time, of one view of the index."""

    def __init__(self, *, api: SearchApi, index: str, doc: str, text: str, start: str | None) -> None:
        self._api, self._index = api, index
        self._doc, self._text, self._start = doc, text, start
        self._what = f"corpus {index!r} in {api.kind} at {api.place}"

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """See ``Documents``."""
        found: dict[str, str] = {}
        mappings = self._mappings() if docs else {}
        for first in range(0, len(docs), ASKED):
            asked = asked_documents(mappings, self._doc, docs[first : first + ASKED])
            found |= self._documents(asked["query"])
        return found

    def each(self) -> Iterator[tuple[str, str]]:
        """See ``Documents``."""
        yield from self._documents({"match_all": {}} if self._doc == "_id" else {"exists": {"field": self._doc}})

    def _documents(self, query: Any) -> Iterator[tuple[str, str]]:
        return whole_documents(map(self._piece, self._hits(query)), pieces=self._start is not None)

    def _piece(self, hit: Mapping[str, Any]) -> Piece:
        """What a row is sorted by is its document and its place, whatever its ``_source`` holds."""
        text = hit.get("_source", {}).get(self._text)
        if not isinstance(text, str):
            raise GoldError(f"{self._what}: row {hit['_id']!r} has no text in {self._text!r} of its _source")
        doc, *place = [hit["_id"]] if self._doc == "_id" else hit["sort"]
        return Piece(doc=str(doc), text=text, start=place[0] if self._start is not None else 0)

    def _hits(self, query: Any) -> Iterator[Mapping[str, Any]]:
        fields = [name for name in (self._doc, self._start) if name is not None]
        sort = ["_doc"] if self._doc == "_id" else [{name: "asc"} for name in fields]
        body = {"query": query, "size": PAGE, "sort": sort, "_source": [self._text]}
        answer = self._ask(f"/{quoted(self._index)}/_search", body, scroll=KEPT)
        try:
            while hits := answer["hits"]["hits"]:
                yield from hits
                answer = self._ask("/_search/scroll", {"scroll": KEPT, "scroll_id": answer["_scroll_id"]})
        finally:
            self._api.call("DELETE", "/_search/scroll", {"scroll_id": [answer["_scroll_id"]]})

    def _mappings(self) -> Mapping[str, Any]:
        answer = self._api.call("GET", f"/{quoted(self._index)}/_mapping")
        if not answer.ok or self._index not in answer.body:
            raise GoldError(f"{self._what}: is not there")
        return dict(answer.body[self._index]["mappings"])

    def _ask(self, path: str, body: Any, **params: str) -> dict[str, Any]:
        """A page of every shard."""
        return self._api.every_shard(self._what, "POST", path, body, absent=GoldError, **params)

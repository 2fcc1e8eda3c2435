"""Indexes in OpenSearch or Elasticsearch.

A document's id is its ``_id``; ``text``, ``revision`` and the vector stand in its ``_source``, and the manifest in
``_meta`` of the mapping, as ``manifest`` and ``index_hash``. Documents with a later revision than the manifest's are
live writes and do not belong to the build.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.names import search_name
from switchover.edge.search_api import SearchApi, quoted, search_api
from switchover.errors import TargetRefused, Unreachable
from switchover.indexes.base import Content, Health, Index, IndexSpec, Sample
from switchover.lazy import lazy
from switchover.pins import Manifest, content_digest, pairs_digest

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

PAGE = 1_000  # documents
KEEP = "1m"  # how long the server keeps its place between two pages
SEED = 1


class SearchIndexSpec(IndexSpec):
    """What both kinds are told."""

    vector: str = Field("embedding", min_length=1, description="Field of `_source` with the vector.")
    targets: dict[str, str] | None = Field(
        None, description="Index of each arm; without it an arm's name is its index's name."
    )

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`IndexSpec`."""
        super().check_arms(arms)
        for arm in arms:
            search_name((self.targets or {}).get(arm, arm), f"index: arm {arm!r}", ValueError)

    def _build(self, edge: Edge, kind: str) -> Index:
        api = search_api(edge, kind=kind, connection=self.connection)
        return SearchIndex(api=api, vector=self.vector, targets=self.targets or {})


class OpenSearchIndexSpec(SearchIndexSpec):
    """Indexes in OpenSearch, each with its manifest in the mapping."""

    kind: Literal["opensearch"]

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        return self._build(edge, self.kind)


class ElasticsearchIndexSpec(SearchIndexSpec):
    """Indexes in Elasticsearch, each with its manifest in the mapping."""

    kind: Literal["elasticsearch"]

    def build(self, edge: Edge) -> Index:
        """See :class:`IndexSpec`."""
        return self._build(edge, self.kind)


class SearchIndex:
    """The indexes of one cluster. ``targets``: arm to index, where the two differ."""

    def __init__(self, *, api: SearchApi, vector: str, targets: Mapping[str, str]) -> None:
        self._api = api
        self._vector = vector
        self._targets = targets

    def health(self, target: str) -> Health:
        """See :class:`Index`."""
        meta = self._meta(target)
        if meta is None:
            return Health(exists=False, empty=True, stored_hash=None)
        return Health(exists=True, empty=not self._count(target, {"match_all": {}}), stored_hash=meta.get("index_hash"))

    def content(self, target: str) -> Content:
        """See :class:`Index`.

        The ids cannot be sorted by every cluster, so they are kept here: about 0.25 kB a document.
        """
        manifest = self._manifest(target)
        pairs = [
            (hit["_id"], content_digest(self._field(target, hit, "text"))) for hit in self._every(target, manifest)
        ]
        facts = dataclasses.replace(manifest.facts, count=len(pairs), pairs=pairs_digest(pairs))
        return Content(manifest=manifest, count=len(pairs), index_hash=facts.index_hash())

    def sample(self, target: str, *, size: int) -> Sample:
        """See :class:`Index`."""
        random = {"random_score": {"seed": SEED, "field": "_seq_no"}, "query": _of(self._manifest(target))}
        body = {"query": {"function_score": random}, "size": size, "_source": ["text", self._vector]}
        hits = self._ask(target, "POST", f"/{self._path(target)}/_search", body)["hits"]["hits"]
        vectors = [self._field(target, hit, self._vector) for hit in hits]
        if not all(isinstance(vector, list) and all(isinstance(n, (int, float)) for n in vector) for vector in vectors):
            raise TargetRefused(f"{self._what(target)}: {self._vector!r} is no list of numbers in every document")
        if len({len(vector) for vector in vectors}) > 1:
            raise TargetRefused(f"{self._what(target)}: its vectors in {self._vector!r} are not of one dimension")
        texts = [self._field(target, hit, "text") for hit in hits]
        return Sample(texts=texts, vectors=np.array(vectors, dtype=np.float64))

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """See :class:`Index`."""
        body = {"query": {"ids": {"values": list(ids)}}, "size": len(ids), "_source": ["text"]}
        hits = self._ask(target, "POST", f"/{self._path(target)}/_search", body)["hits"]["hits"]
        return {hit["_id"]: str(hit["_source"]["text"]) for hit in hits if "text" in hit.get("_source", {})}

    def drop(self, target: str) -> None:
        """See :class:`Index`. Removing an index would take its aliases with it, so an alias keeps it."""
        index = self._index(target)
        found = self._api.call("GET", f"/{quoted(index)}/_alias").body.get(index, {}).get("aliases", {})
        if found:
            raise TargetRefused(f"{self._what(target)}: carries the alias {', '.join(sorted(found))}; not removed")
        if self._meta(target) is not None:
            self._api.change("DELETE", f"/{quoted(index)}", None)

    def shared(self, target: str, others: Collection[str]) -> list[str]:
        """See :class:`Index`. Two names are two indexes here: an alias is no target."""
        return [other for other in others if self._index(other) == self._index(target)]

    def _every(self, target: str, manifest: Manifest) -> Iterator[dict[str, Any]]:
        """All documents of the build, page by page."""
        body = {"query": _of(manifest), "size": PAGE, "_source": ["text"], "sort": ["_doc"]}
        page = self._ask(target, "POST", f"/{self._path(target)}/_search", body, scroll=KEEP)
        try:
            while page["hits"]["hits"]:
                yield from page["hits"]["hits"]
                place = {"scroll": KEEP, "scroll_id": page["_scroll_id"]}
                page = self._ask(target, "POST", "/_search/scroll", place)
        finally:
            with contextlib.suppress(Unreachable):  # then it lapses by itself
                self._api.call("DELETE", "/_search/scroll", {"scroll_id": page["_scroll_id"]})

    def _count(self, target: str, query: Any) -> int:
        return int(self._ask(target, "POST", f"/{self._path(target)}/_count", {"query": query})["count"])

    def _ask(self, target: str, method: str, path: str, body: Any, **params: str) -> dict[str, Any]:
        """An answer of every shard; ``TargetRefused`` when there is no such index."""
        answer = self._api.call(method, path, body, params=params)
        if not answer.ok:
            raise TargetRefused(f"{self._what(target)}: {answer.error[1]}")
        shards = answer.body["_shards"]
        if shards["successful"] != shards["total"] or answer.body.get("timed_out"):
            raise Unreachable(f"{self._what(target)}: {shards['successful']} of {shards['total']} shards answered")
        return dict(answer.body)

    def _meta(self, target: str) -> Mapping[str, Any] | None:
        """``_meta`` of the mapping; ``None`` when there is no index of that very name."""
        index = self._index(target)
        answer = self._api.call("GET", f"/{quoted(index)}/_mapping")
        if not answer.ok or index not in answer.body:
            return None
        meta: Mapping[str, Any] = answer.body[index]["mappings"].get("_meta", {})
        return meta

    def _manifest(self, target: str) -> Manifest:
        found = (self._meta(target) or {}).get("manifest")
        if found is None:
            raise TargetRefused(f"{self._what(target)}: has no manifest; build it again, or write one into its _meta")
        try:
            return Manifest.from_json(found)
        except (KeyError, TypeError) as error:
            raise TargetRefused(f"{self._what(target)}: its manifest lacks {error}") from error

    def _field(self, target: str, hit: Mapping[str, Any], name: str) -> Any:
        found = hit.get("_source", {}).get(name)
        if found is None:
            raise TargetRefused(
                f"{self._what(target)}: document {hit['_id']!r} has no {name!r} in its _source; is it kept there?"
            )
        return found

    def _index(self, target: str) -> str:
        return search_name(self._targets.get(target, target), f"index of {target!r} in {self._api.kind}")

    def _path(self, target: str) -> str:
        return quoted(self._index(target))

    def _what(self, target: str) -> str:
        return f"index {self._index(target)!r} in {self._api.kind} at {self._api.place}"


def _of(manifest: Manifest) -> dict[str, Any]:
    """Documents of the build."""
    return {"range": {"revision": {"lte": manifest.facts.corpus_revision}}}

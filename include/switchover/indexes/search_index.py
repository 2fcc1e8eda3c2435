"""Indexes in OpenSearch or Elasticsearch.

A document's id is its ``_id``; ``text``, ``revision`` and the vector stand in its ``_source`` (a cluster that leaves
vectors out of it is asked for ``fields``), and the manifest in ``_meta`` of the mapping, as ``manifest`` and
``index_hash``. Documents with a later revision than the manifest's are live writes and do not belong to the build.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from switchover.edge.names import search_name
from switchover.edge.search_api import SearchApi, quoted
from switchover.errors import TargetRefused, Unreachable
from switchover.indexes import search_mapping
from switchover.indexes.base import Health, Mark, Row, Sample, Vectors
from switchover.indexes.receipt import Adder, Choice, Tally
from switchover.indexes.search_mapping import asked_fields, held_vectors
from switchover.lazy import lazy
from switchover.pins import Manifest, content_digest, pairs_digest

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy("numpy")

PAGE = 1_000  # documents
RANGE = 100_000  # of a shard's sequence numbers: one part of a reading
SEED = 1
_PART = re.compile(r"(\d+):(\d+)-(\d+)")


class SearchIndex:
    """The indexes of one cluster."""

    def __init__(
        self,
        *,
        api: SearchApi,
        vector: str | None,
        text: str = "text",
        revision: str | None = "revision",
        doc: str | None = None,
    ) -> None:
        self._api = api
        self._text, self._vector, self._revision, self._doc = text, vector, revision, doc

    def health(self, target: str) -> Health:
        """See :class:`Index`."""
        meta = self._meta(target)
        if meta is None:
            return Health(exists=False, empty=True, stored_hash=None)
        return Health(exists=True, empty=not self._count(target, {"match_all": {}}), stored_hash=meta.get("index_hash"))

    def manifest(self, target: str) -> Manifest:
        """See :class:`Index`."""
        found = (self._meta(target) or {}).get("manifest")
        if found is None:
            raise TargetRefused(f"{self._what(target)}: has no manifest; build it again, or write one into its _meta")
        try:
            return Manifest.from_json(found)
        except (KeyError, TypeError) as error:
            raise TargetRefused(f"{self._what(target)}: its manifest lacks {error}") from error

    def describe(self, target: str, manifest: Manifest) -> None:
        """See :class:`Index`. ``_meta`` is replaced whole, so what else stands there goes along."""
        there = dict(self._meta(target) or {})
        told = {**there, "manifest": manifest.to_json(), "index_hash": manifest.index_hash}
        answer = self._api.change("PUT", f"/{self._path(target)}/_mapping", {"_meta": told})
        if not answer.ok:
            raise TargetRefused(f"{self._what(target)}: {answer.error[1]}")

    def newest(self, target: str) -> int:
        """See :class:`Index`."""
        if self._revision is None:
            return 0
        body = {"size": 0, "aggs": {"newest": {"max": {"field": self._revision}}}}
        found = self._ask(target, "POST", f"/{self._path(target)}/_search", body)
        return int(found["aggregations"]["newest"]["value"] or 0)

    def mark(self, target: str) -> Mark:
        """See :class:`Index`. Each write of a shard has a sequence number: the last ones tell whether there was one."""
        uuid = self._settings(target)["uuid"]
        last = self._last_numbers(target)
        numbers = " ".join(f"{shard}:{last[shard]}" for shard in sorted(last))
        return Mark(creation=f"{self._api.kind} {uuid}", change=numbers or "empty")

    def vectors(self, target: str) -> Vectors:
        """See :class:`Index`."""
        return held_vectors(self._mappings(target) or {}, self._vector or "")

    def count(self, target: str) -> int:
        """See :class:`Index`."""
        return self._count(target, {"match_all": {}})

    def shards(self, target: str) -> Sequence[str]:
        """See :class:`Index`. Ranges of sequence numbers of each shard."""
        self._api.call("POST", f"/{self._path(target)}/_refresh")
        return [
            f"{shard}:{first}-{min(first + RANGE, last + 1)}"
            for shard, last in sorted(self._last_numbers(target).items())
            for first in range(0, last + 1, RANGE)
        ]

    def tally(self, target: str, shard: str, *, upto: int, choice: Choice) -> Tally:
        """See :class:`Index`. One page of documents is in memory at a time."""
        adder = Adder(choice)
        for hit in self._every(target, shard):
            if self._revision is not None and self._field(target, hit, self._revision) > upto:
                adder.later += 1
                continue
            row = self._row(target, hit)
            adder.add(row.id, row.text, row.vector)
        return adder.tally()

    def ordered_pairs(self, target: str, *, upto: int) -> str:
        """See :class:`Index`.

        The ids cannot be sorted by every cluster, so they are kept here: about 0.25 kB a document.
        """
        return pairs_digest(
            (hit["_id"], content_digest(self._field(target, hit, self._text)))
            for shard in self.shards(target)
            for hit in self._every(target, shard)
            if self._revision is None or self._field(target, hit, self._revision) <= upto
        )

    def rows(self, target: str, ids: Collection[str]) -> list[Row]:
        """See :class:`Index`."""
        asked = asked_fields(self._vector, self._text)
        body = {"query": {"ids": {"values": list(ids)}}, "size": max(len(ids), 1), **asked}
        found = self._ask(target, "POST", f"/{self._path(target)}/_search", body)
        return [self._row(target, hit) for hit in found["hits"]["hits"]]

    def sample(self, target: str, *, size: int) -> Sample:
        """See :class:`Index`."""
        upto = self.manifest(target).facts.corpus_revision
        of = {"range": {self._revision: {"lte": upto}}} if self._revision is not None else {"match_all": {}}
        random = {"random_score": {"seed": SEED, "field": "_seq_no"}, "query": of}
        body = {"query": {"function_score": random}, "size": size, **asked_fields(self._vector, self._text)}
        hits = self._ask(target, "POST", f"/{self._path(target)}/_search", body)["hits"]["hits"]
        rows = [self._row(target, hit) for hit in hits]
        if self._vector is None:
            return Sample(texts=[row.text for row in rows], vectors=np.empty((len(rows), 0)))
        bare = [row.id for row in rows if row.values is None]
        if bare:
            raise TargetRefused(
                f"{self._what(target)}: document {bare[0]!r} has no {self._vector!r} in its _source; is it kept there?"
            )
        if len({row.dimension for row in rows}) > 1:
            raise TargetRefused(f"{self._what(target)}: its vectors in {self._vector!r} are not of one dimension")
        return Sample(texts=[row.text for row in rows], vectors=np.array([row.values for row in rows]))

    def texts(self, target: str, ids: Sequence[str]) -> dict[str, str]:
        """See :class:`Index`."""
        body = {"query": {"ids": {"values": list(ids)}}, "size": len(ids), "_source": [self._text]}
        hits = self._ask(target, "POST", f"/{self._path(target)}/_search", body)["hits"]["hits"]
        return {hit["_id"]: str(hit["_source"][self._text]) for hit in hits if self._text in hit.get("_source", {})}

    def documents(self, target: str, docs: Sequence[str]) -> set[str] | None:
        """See :class:`Index`."""
        if self._doc is None:
            return None
        found, mappings = set[str](), self._mappings(target) or {}
        for first in range(0, len(docs), PAGE):
            body = search_mapping.asked_documents(mappings, self._doc, docs[first : first + PAGE])
            answer = self._ask(target, "POST", f"/{self._path(target)}/_search", body)
            found |= search_mapping.found_documents(answer)
        return found

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

    def _every(self, target: str, part: str) -> Iterator[dict[str, Any]]:
        """The documents of one part, page by page in the order in which they were written to their shard.

        No snapshot is kept open: while the change mark is what it was, the pages are of one state.
        """
        found = _PART.fullmatch(part)
        assert found, f"part {part!r} is none of ours"
        shard, first, last = map(int, found.groups())
        path = f"/{self._path(target)}/_search"
        wanted = [self._text, *([self._revision] if self._revision is not None else [])]
        while first < last:
            body = {
                "query": {"range": {"_seq_no": {"gte": first, "lt": last}}},
                "size": PAGE,
                "sort": [{"_seq_no": "asc"}],
                "track_total_hits": False,
                **asked_fields(self._vector, *wanted),
            }
            hits = self._ask(target, "POST", path, body, preference=f"_shards:{shard}")["hits"]["hits"]
            yield from hits
            if len(hits) < PAGE:
                return
            first = int(hits[-1]["sort"][0]) + 1

    def _last_numbers(self, target: str) -> dict[int, int]:
        """Shard -> the sequence number of its last write; without the empty shards. Every shard must answer."""
        of = int(self._settings(target)["number_of_shards"])
        found = self._api.call("GET", f"/{self._path(target)}/_stats/docs", params={"level": "shards"})
        held = found.body["indices"].get(self._index(target), {"shards": {}})["shards"] if found.ok else {}
        last = {
            int(shard): int(copy["seq_no"]["max_seq_no"])
            for shard, copies in held.items()
            for copy in copies
            if copy["routing"]["primary"]
        }
        if len(last) != of:
            raise Unreachable(f"{self._what(target)}: {len(last)} of {of} shards answered")
        return {shard: number for shard, number in last.items() if number >= 0}

    def _settings(self, target: str) -> Mapping[str, str]:
        """What the cluster itself has set: the index's own id, the number of its shards."""
        index = self._index(target)
        if not (found := self._api.call("GET", f"/{quoted(index)}/_settings")).ok or index not in found.body:
            raise TargetRefused(f"{self._what(target)}: is not there")
        return dict(found.body[index]["settings"]["index"])

    def _row(self, target: str, hit: Mapping[str, Any]) -> Row:
        text, numbers = str(self._field(target, hit, self._text)), None
        if self._vector is not None:
            numbers = hit.get("_source", {}).get(self._vector, hit.get("fields", {}).get(self._vector))
        if numbers is None:
            return Row(id=hit["_id"], text=text, vector=None, values=None, dimension=0)
        if not isinstance(numbers, list) or not all(isinstance(number, (int, float)) for number in numbers):
            raise TargetRefused(f"{self._what(target)}: {self._vector!r} is no list of numbers in every document")
        values = np.array(numbers, dtype=np.float64)
        stored = values.astype(">f4").tobytes()
        return Row(id=hit["_id"], text=text, vector=stored, values=values, dimension=len(values))

    def _count(self, target: str, query: Any) -> int:
        return int(self._ask(target, "POST", f"/{self._path(target)}/_count", {"query": query})["count"])

    def _ask(self, target: str, method: str, path: str, body: Any, **params: str) -> dict[str, Any]:
        """An answer of every shard; ``TargetRefused`` when there is no such index."""
        return self._api.every_shard(self._what(target), method, path, body, absent=TargetRefused, **params)

    def _meta(self, target: str) -> Mapping[str, Any] | None:
        """``_meta`` of the mapping; ``None`` when there is no index of that very name."""
        return None if (found := self._mappings(target)) is None else dict(found.get("_meta", {}))

    def _mappings(self, target: str) -> Mapping[str, Any] | None:
        index = self._index(target)
        answer = self._api.call("GET", f"/{quoted(index)}/_mapping")
        return dict(answer.body[index]["mappings"]) if answer.ok and index in answer.body else None

    def _field(self, target: str, hit: Mapping[str, Any], name: str) -> Any:
        found = hit.get("_source", {}).get(name)
        if found is None:
            raise TargetRefused(
                f"{self._what(target)}: document {hit['_id']!r} has no {name!r} in its _source; is it kept there?"
            )
        return found

    def _index(self, target: str) -> str:
        return search_name(target, f"index in {self._api.kind}")

    def _path(self, target: str) -> str:
        return quoted(self._index(target))

    def _what(self, target: str) -> str:
        return f"index {self._index(target)!r} in {self._api.kind} at {self._api.place}"

"""The sandbox's indexes in OpenSearch: built, searched and written to there.

A document is a chunk: the columns of the pgvector table, its terms by the sandbox's own analyzer for BM25, and
the INDEX_HASH of its build. The manifest stands in ``_meta`` of the mapping, beside its ``index_hash``. The
smallest distribution has no k-NN: the store gives candidates by BM25, their stored vectors give the cosine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg

from sandbox.service import analyzer, build, corpus, ranking, tables
from sandbox.service.store import NoIndex, Stored
from switchover.edge.connection import environment_connections
from switchover.edge.edge import Edge
from switchover.encoders.base import Vectors
from switchover.errors import SwitchoverError, TargetRefused, Unreachable
from switchover.indexing.rows import Chunk
from switchover.pins import Manifest
from switchover.text import first_line

CONNECTION = "docs_opensearch"
STORE = {"database": "opensearch", "similarity": "BM25", "fields": ["terms"]}
PAGE = 10_000  # the most that one search gives
_KEPT = {"type": "keyword"}
_ONLY_KEPT = {"index": False, "doc_values": False}
_FIELDS = {
    "doc": _KEPT,
    "section": _KEPT,
    "start_char": {"type": "integer", **_ONLY_KEPT},
    "end_char": {"type": "integer", **_ONLY_KEPT},
    "tokens": {"type": "integer", **_ONLY_KEPT},
    "text": {"type": "text", "index": False},
    "terms": {"type": "text", "analyzer": "whitespace"},
    "content_digest": _KEPT,
    "index_hash": _KEPT,
    "revision": {"type": "long"},
    "embedding": {"type": "float", **_ONLY_KEPT},
}


def document(row: Chunk, vector: Vectors, *, revision: int, index_hash: str) -> dict[str, Any]:
    """A chunk as it is stored; its id is not part of it."""
    fields = row._asdict()
    del fields["id"]
    fields["start_char"], fields["end_char"] = fields.pop("start"), fields.pop("end")
    named = " ".join(f'"{word}"' for word in row.doc.split("-"))  # a topic's name is a term of all its chunks
    return {
        **fields,
        "terms": " ".join(analyzer.terms(row.text) + analyzer.terms(named)),
        "revision": revision,
        "index_hash": index_hash,
        "embedding": [float(f"{value:.9g}") for value in vector.tolist()],  # all that a float32 holds
    }


def build_index(client: Any, spec: build.BuildSpec) -> Manifest:
    """Build one index with its manifest; the very build that is there already is left as it is.

    Errors: TargetRefused if another build of that name is there; build under a free name.
    """
    rows = build.chunks(spec)
    built = build.manifest(spec, rows, store=STORE)
    if client.indices.exists(index=spec.target):
        if stored_of(client, spec.target)[0].index_hash == built.index_hash:
            return built
        raise TargetRefused(f"build: {spec.target!r} holds another build in OpenSearch; build under a free name")
    meta = {"index_hash": built.index_hash, "manifest": built.to_json()}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    client.indices.create(
        index=spec.target,
        body={"settings": settings, "mappings": {"dynamic": "strict", "_meta": meta, "properties": _FIELDS}},
    )
    revisions = itertools.repeat(corpus.CORPUS_REVISION, len(rows))
    write(client, built, zip(rows, build.vectors(spec, rows), revisions, strict=True), refresh=True)
    return built


def write(client: Any, manifest: Manifest, rows: Iterable[tuple[Chunk, Vectors, int]], *, refresh: bool) -> None:
    """Write chunks, each with vector and revision, into the manifest's index under their ids."""
    from opensearchpy.helpers import bulk

    actions = (
        {
            "_index": manifest.target,
            "_id": row.id,
            "_source": document(row, vector, revision=revision, index_hash=manifest.index_hash),
        }
        for row, vector, revision in rows
    )
    bulk(client, actions, refresh=refresh, request_timeout=60)


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turn the client's errors into one line."""
    from opensearchpy.exceptions import OpenSearchException

    try:
        yield
    except OpenSearchException as error:
        first = first_line(error)
        raise Unreachable(f"OpenSearch: did not answer as it must: {type(error).__name__}: {first}") from error


def stored_of(client: Any, name: str) -> list[Stored]:
    """The indexes behind a name, with what stands in their ``_meta``; none when there is no such name."""
    from opensearchpy.exceptions import NotFoundError

    with contextlib.suppress(NotFoundError):
        found = client.indices.get_mapping(index=name)
        metas = {index: body["mappings"].get("_meta", {}) for index, body in found.items()}
        return [
            Stored(target=index, index_hash=meta.get("index_hash"), manifest=meta.get("manifest"))
            for index, meta in sorted(metas.items())
        ]
    return []


class OpenSearchStore:
    """See :class:`sandbox.service.store.Store`. The client blocks, so every call goes through a thread."""

    def __init__(self, *, client: Any) -> None:
        self._client = client

    async def live(self, alias: str) -> Stored | None:
        """See :class:`Store`."""
        found = await _ask(stored_of, self._client, alias)
        return found[0] if len(found) == 1 else None

    async def named(self, target: str) -> Stored | None:
        """See :class:`Store`."""
        found = await _ask(stored_of, self._client, target)
        return next((each for each in found if each.target == target and each.manifest), None)

    async def targets(self) -> list[str]:
        """See :class:`Store`."""
        found = await _ask(stored_of, self._client, "*")
        return [each.target for each in found if each.manifest]

    async def search(
        self, manifest: Manifest, question: str, vector: Vectors, *, limit: int
    ) -> list[tuple[ranking.Candidate, str]]:
        """See :class:`Store`. The best by BM25."""
        terms = " ".join(analyzer.terms(question))
        body = {"query": {"match": {"terms": terms}}, "size": limit, "sort": ["_score", {"_doc": "asc"}]}
        hits = await self._hits(manifest, {**body, "_source": {"excludes": ["terms", "revision"]}})
        return [_candidate(hit["_id"], hit["_source"], vector) for hit in hits]

    async def texts(self, manifest: Manifest) -> Sequence[tuple[str, str]]:
        """See :class:`Store`."""
        body = {"query": _of_the_build(manifest), "size": PAGE, "_source": ["content_digest", "text"]}
        return [(hit["_source"]["content_digest"], hit["_source"]["text"]) for hit in await self._hits(manifest, body)]

    async def count(self, manifest: Manifest) -> int:
        """See :class:`Store`."""
        body = {"query": _of_the_build(manifest)}
        return int((await _ask(self._client.count, index=manifest.target, body=body))["count"])

    async def _hits(self, manifest: Manifest, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = await _ask(self._client.search, index=manifest.target, body=body)
        return list(found["hits"]["hits"])


def _candidate(id: str, fields: Mapping[str, Any], vector: Vectors) -> tuple[ranking.Candidate, str]:
    row = ranking.Candidate(
        id=id,
        doc=fields["doc"],
        section=fields["section"],
        start=fields["start_char"],
        end=fields["end_char"],
        tokens=fields["tokens"],
        text=fields["text"],
        content_digest=fields["content_digest"],
        cosine=float(np.dot(np.asarray(fields["embedding"], dtype=np.float64), vector)),
    )
    return row, str(fields["index_hash"])


def _of_the_build(manifest: Manifest) -> dict[str, Any]:
    return {"range": {"revision": {"lte": manifest.facts.corpus_revision}}}


async def _ask(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    from opensearchpy.exceptions import NotFoundError

    with answering():
        try:
            return await asyncio.to_thread(call, *args, **kwargs)
        except NotFoundError:
            raise NoIndex from None


def main() -> None:
    """``python -m sandbox.service.opensearch --target docs_v2 [--variant truncated]``: build one index.

    Needs DOCS_DB_URL, for the corpus and the writers' tables, and the connection ``docs_opensearch``.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.service.opensearch", description="Build one index in OpenSearch."
    )
    parser.add_argument("--target", choices=tuple(build.SPECS), required=True)
    parser.add_argument("--variant", choices=build.VARIANTS, default="good")
    args = parser.parse_args()
    try:
        with psycopg.connect(os.environ.get("DOCS_DB_URL", ""), autocommit=True) as conn:
            tables.create(conn)
            corpus.load(conn)
        edge = Edge(connections=environment_connections())
        with answering():
            built = build_index(edge.client("opensearch", CONNECTION), build.spec_for(args.target, args.variant))
    except (SwitchoverError, psycopg.Error) as error:
        sys.exit(f"build: {first_line(error)}")
    print(f"{built.target}: {built.facts.count} chunks, INDEX_HASH {built.index_hash}")


if __name__ == "__main__":
    main()

"""The plan's part of indexes in OpenSearch or Elasticsearch."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.edge.names import search_name
from switchover.edge.search_api import search_api
from switchover.indexes.base import Index, IndexSpec
from switchover.indexes.search_index import SearchIndex


class SearchIndexSpec(IndexSpec):
    """What both kinds are told."""

    store: ClassVar[str] = "a search cluster"

    text: str = Field("text", min_length=1, description="Field with the text that was embedded.")
    vector: str | None = Field(
        "embedding", min_length=1, description="Field with the vector; null: an index by words alone."
    )
    revision: str | None = Field(
        "revision", min_length=1, description="Field with the revision of a document's last write; null: it has none."
    )
    doc: str | None = Field(
        None,
        min_length=1,
        description="Field (of keywords or numbers) with the id of the document that a row is of, `_id` where rows are"
        " documents; null: there is none.",
    )
    targets: dict[str, str] | None = Field(
        None, description="Index of each arm; without it an arm's name is its index's name."
    )

    def check_arms(self, arms: Collection[str]) -> None:
        """See :class:`IndexSpec`."""
        super().check_arms(arms)
        for arm in arms:
            search_name(self.resolved(arm), f"index: arm {arm!r}", ValueError)

    def _build(self, edge: Edge, kind: str) -> Index:
        api = search_api(edge, kind=kind, connection=self.connection)
        return SearchIndex(api=api, text=self.text, vector=self.vector, revision=self.revision, doc=self.doc)


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

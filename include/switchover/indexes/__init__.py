"""Indexes by kind. Adding one is one file and one line here; an installed package adds one by an entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.indexes.base import Health, Index, IndexSpec, Mark, Row, Sample
from switchover.registry import kinds, one_of

__all__ = ["KINDS", "AnyIndex", "Health", "Index", "IndexSpec", "Mark", "Row", "Sample"]

KINDS = kinds(
    "switchover.indexes",
    (
        "switchover.indexes.pgvector:PgvectorIndexSpec",
        "switchover.indexes.search:OpenSearchIndexSpec",
        "switchover.indexes.search:ElasticsearchIndexSpec",
        "switchover.indexes.qdrant:QdrantIndexSpec",
        "switchover.indexes.milvus:MilvusIndexSpec",
        "switchover.indexes.chroma:ChromaIndexSpec",
    ),
)

if TYPE_CHECKING:
    AnyIndex = IndexSpec
else:
    AnyIndex = one_of(KINDS)

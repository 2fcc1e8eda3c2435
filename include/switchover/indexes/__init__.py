"""Indexes by kind: the one place that knows every store of indexes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from switchover.indexes.base import Content, Health, Index, IndexSpec, Sample
from switchover.indexes.pgvector import PgvectorIndexSpec
from switchover.indexes.search import ElasticsearchIndexSpec, OpenSearchIndexSpec

__all__ = ["AnyIndex", "Content", "Health", "Index", "IndexSpec", "Sample"]

AnyIndex = Annotated[
    PgvectorIndexSpec | OpenSearchIndexSpec | ElasticsearchIndexSpec,
    Field(discriminator="kind"),
]

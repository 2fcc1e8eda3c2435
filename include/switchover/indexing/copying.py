"""A batch's rows as PostgreSQL's COPY takes them, in its binary form."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from switchover.encoders.base import Vectors
from switchover.indexing.rows import Batch

COLUMNS = "id, doc, section, start_char, end_char, tokens, text, content_digest, revision, embedding"
COPY_TYPES = ("text", "text", "text", "int4", "int4", "int4", "text", "text", "int8", "bytea")


def copy_rows(batch: Batch) -> Iterator[tuple[Any, ...]]:
    """The batch's rows as ``COPY_TYPES`` takes them."""
    for row, revision, vector in zip(batch.chunks, batch.revisions, _packed(batch.vectors), strict=True):
        yield (*row, revision, vector)


def _packed(vectors: Vectors) -> Iterator[memoryview]:
    """Each vector in pgvector's receive format: dimension, an unused word, big-endian float32 values."""
    count, dimension = vectors.shape
    packed = np.empty((count, 4 + 4 * dimension), dtype=np.uint8)
    packed[:, :4] = np.frombuffer(struct.pack(">HH", dimension, 0), dtype=np.uint8)
    packed[:, 4:] = vectors.astype(">f4").view(np.uint8).reshape(count, 4 * dimension)
    whole = memoryview(packed.tobytes())
    for start in range(0, packed.size, 4 + 4 * dimension):
        yield whole[start : start + 4 + 4 * dimension]

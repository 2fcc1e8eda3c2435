"""A corpus of any size for measurements: the Python reference again and again, each edition under its own names.

An edition's documents begin with its number, so no two chunks at a document's start are equal; the rest repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg

from sandbox.service import corpus, tables
from switchover.encoders.base import Vectors
from switchover.encoders.wordllama import WordLlamaEncoder

TABLE = "editions"


def fill(conn: psycopg.Connection[Any], editions: int) -> int:
    """Make the table anew with so many editions; gives the number of documents."""
    tables.create(conn)
    corpus.load(conn)
    conn.execute(f"DROP TABLE IF EXISTS {TABLE}")
    done = conn.execute(
        f"CREATE TABLE {TABLE} AS SELECT doc || '-' || lpad(n::text, 4, '0') AS doc, title,"
        " 'Edition ' || n || E'.\\n\\n' || text AS text, revision"
        " FROM documents, generate_series(1, %s) AS n WHERE revision = %s",
        [editions, corpus.CORPUS_REVISION],
    )
    conn.execute(f'CREATE INDEX ON {TABLE} (revision, doc COLLATE "C")')
    conn.execute(f"ANALYZE {TABLE}")
    return done.rowcount


class ReadyVectors(WordLlamaEncoder):
    """Encoding that costs nothing: unit vectors that were made before, by turns. No query finds anything by them."""

    def __init__(self, *, dimension: int = 256) -> None:
        super().__init__(dimension=dimension)
        made = np.random.default_rng(1).standard_normal((4096, dimension)).astype(np.float32)
        self._made = made / np.linalg.norm(made, axis=1, keepdims=True)
        self._next = 0

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """See :class:`Encoder`."""
        at = (self._next + np.arange(len(texts))) % len(self._made)
        self._next += len(texts)
        vectors: Vectors = self._made[at]
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See :class:`Encoder`. The number of words."""
        return [text.count(" ") + 1 for text in texts]

"""From documents to rows: cut, count tokens, encode; as many at a time as one batch holds."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from switchover.encoders.base import Encoder, Vectors
from switchover.indexing.chunking import CHUNKINGS
from switchover.indexing.documents import Document
from switchover.pins import content_digest


class Chunk(NamedTuple):
    """One row of an index, without its vector. A section is a document: it is what an answer cites."""

    id: str
    doc: str
    section: str
    start: int
    end: int
    tokens: int
    text: str
    content_digest: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Whole documents with all their rows: ``vectors`` has shape (len(chunks), dimension)."""

    documents: Sequence[Document]
    chunks: Sequence[Chunk]
    revisions: Sequence[int]
    vectors: Vectors


Piece = tuple[Document, int, int]


def batches(
    documents: Iterable[Document], *, chunking: str, encoder: Encoder, size: int
) -> Generator[Batch, None, None]:
    """Documents as batches of about ``size`` chunks; only a document that has more makes a larger one."""
    taken: list[Document] = []
    cut: list[Piece] = []
    for document in documents:
        taken.append(document)
        cut += pieces(document, chunking)
        if len(cut) >= size:
            yield _batch(taken, cut, encoder)
            taken, cut = [], []
    if taken:
        yield _batch(taken, cut, encoder)


def pieces(document: Document, chunking: str) -> list[Piece]:
    """Where a document is cut: document, start and end of each chunk."""
    return [(document, start, end) for start, end in CHUNKINGS[chunking](document.text)]


def chunks(cut: Sequence[Piece], encoder: Encoder) -> list[Chunk]:
    """The rows of pieces of documents."""
    texts = [document.text[start:end] for document, start, end in cut]
    return [
        Chunk(
            id=f"{document.doc}:{start}-{end}",
            doc=document.doc,
            section=document.doc,
            start=start,
            end=end,
            tokens=tokens,
            text=text,
            content_digest=content_digest(text),
        )
        for (document, start, end), text, tokens in zip(cut, texts, encoder.count_tokens(texts), strict=True)
    ]


def chunk_ids(doc: str) -> tuple[str, str]:
    """Between which two ids all chunks of a document stand, the second one excluded; others may stand there too."""
    return f"{doc}:", f"{doc};"


def _batch(documents: list[Document], cut: list[Piece], encoder: Encoder) -> Batch:
    rows = chunks(cut, encoder)
    return Batch(
        documents=documents,
        chunks=rows,
        revisions=[document.revision for document, _, _ in cut],
        vectors=encoder.encode([row.text for row in rows]),
    )

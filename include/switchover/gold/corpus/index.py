"""The corpus that is Blue's index itself: the texts of its rows, by the field with the id of their document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.gold.corpus.base import Blue, CorpusSpec, Documents
from switchover.gold.corpus.table import TableDocuments
from switchover.indexes import IndexSpec
from switchover.indexes.pgvector import PgvectorIndexSpec, quoted
from switchover.indexes.pgvector_sums import quoted_name
from switchover.indexes.qdrant import QdrantIndexSpec
from switchover.indexes.search import SearchIndexSpec
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.gold.corpus import qdrant_rows, search_rows
else:
    qdrant_rows = lazy("switchover.gold.corpus.qdrant_rows")
    search_rows = lazy("switchover.gold.corpus.search_rows")


class IndexCorpus(CorpusSpec):
    """Blue's index itself, by `doc` of the plan's `index`. Blue is the first arm that is not `green`.

    With `start` a row is a piece of a document, and the document is put together from its pieces.
    """

    kind: Literal["index"] = "index"
    start: str | None = Field(
        None,
        min_length=1,
        description="Field (or column) with the place of a row's text in its document, in characters; null: a row is a"
        " whole document.",
    )

    def check(self, blue: Blue) -> None:
        """See ``CorpusSpec``."""
        if _reader(blue.index) is None:
            raise ValueError(
                f"gold.corpus: found an index of kind {blue.index.kind!r}; allowed: {', '.join(READ)}, or another"
                " kind of corpus"
            )
        doc = getattr(blue.index, "doc", None)
        if doc is None:
            raise ValueError("gold.corpus: kind index needs `index.doc`, which says of which document a row is")
        if doc == "_id" and self.start is not None:
            raise ValueError("gold.corpus: start and `index.doc: _id`: rows are documents; allowed: one of the two")

    def build(self, edge: Edge, blue: Blue | None = None) -> Documents:
        """See ``CorpusSpec``."""
        assert blue is not None, "a plan says where Blue's index is"
        reader = _reader(blue.index)
        assert reader is not None, "a plan was checked"
        return reader(edge, blue, self.start)


Reader = Callable[[Edge, Blue, "str | None"], Documents]


def _reader(spec: IndexSpec) -> Reader | None:
    return next((reader for kind, reader in READERS if isinstance(spec, kind)), None)


def _of_pgvector(edge: Edge, blue: Blue, start: str | None) -> Documents:
    spec = blue.index
    assert isinstance(spec, PgvectorIndexSpec)
    doc, text, place = (None if name is None else _column(name) for name in (spec.doc, spec.text, start))
    table = quoted(spec.resolved(blue.arm))
    return TableDocuments(engine=edge.sql(spec.connection), table=table, doc=doc or "", text=text or "", start=place)


def _column(name: str) -> str:
    """As it stands in a query in which a colon begins a parameter."""
    return quoted_name(name).replace(":", "\\:")


def _of_search(edge: Edge, blue: Blue, start: str | None) -> Documents:
    return search_rows.of(edge, blue, start)


def _of_qdrant(edge: Edge, blue: Blue, start: str | None) -> Documents:
    return qdrant_rows.of(edge, blue, start)


READERS: tuple[tuple[type[IndexSpec], Reader], ...] = (
    (PgvectorIndexSpec, _of_pgvector),
    (SearchIndexSpec, _of_search),
    (QdrantIndexSpec, _of_qdrant),
)
READ = ("pgvector", "opensearch", "elasticsearch", "qdrant")

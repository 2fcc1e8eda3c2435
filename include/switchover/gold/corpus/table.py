"""The corpus in a table of PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from switchover.edge.edge import Edge
from switchover.errors import GoldError
from switchover.gold.corpus.base import Blue, CorpusSpec, Documents
from switchover.gold.jsonl import MAX_DOCUMENT
from switchover.lazy import lazy
from switchover.part import ConnectionId, Identifier

if TYPE_CHECKING:
    import sqlalchemy as sa

    from switchover.edge import sql
else:
    sa = lazy("sqlalchemy")
    sql = lazy("switchover.edge.sql")


class TableCorpus(CorpusSpec):
    """A table of PostgreSQL. The id may be of any type; a document without a text has an empty one.

    With `start` a row is a piece of a document, as in an index, and the document is put together from its pieces.
    """

    kind: Literal["table"] = "table"
    connection: ConnectionId = Field(description="PostgreSQL connection with the source texts.")
    table: Identifier = Field("documents", description="The table.")
    doc: Identifier = Field("doc", description="Its column with the id of the document.")
    text: Identifier = Field("text", description="Its column with the text.")
    start: Identifier | None = Field(
        None, description="Its column with the place of the text in the document, in characters: rows are pieces."
    )

    def build(self, edge: Edge, blue: Blue | None = None) -> Documents:
        """See ``CorpusSpec``."""
        return TableDocuments(
            engine=edge.sql(self.connection), table=self.table, doc=self.doc, text=self.text, start=self.start
        )


class TableDocuments:
    """See ``TableCorpus``. ``doc::text`` is the column itself where that is text: its index is still used."""

    def __init__(
        self, *, engine: sa.Engine, table: str, doc: str = "doc", text: str = "text", start: str | None = None
    ) -> None:
        self._engine = engine
        self._what = f"corpus {table} in {sql.place(engine)}"
        self._query = f"SELECT {doc}::text AS doc, coalesce({text}, '') AS text, {start or 0} AS start FROM {table}"
        self._doc = f"{doc}::text"
        self._order = f"{doc}::text, {start}" if start else f"{doc}::text"
        self._pieces = start is not None

    def texts(self, docs: Sequence[str]) -> Mapping[str, str]:
        """See ``Documents``."""
        query = sa.text(f"{self._query} WHERE {self._doc} = ANY(:docs) ORDER BY {self._order}")
        with sql.transaction(self._engine, self._what) as connection:
            return dict(self._documents(connection.execute(query, {"docs": list(docs)})))

    def each(self) -> Iterator[tuple[str, str]]:
        """Every document in order of its id, read a hundred rows at a time."""
        query = sa.text(f"{self._query} ORDER BY {self._order}").execution_options(yield_per=100)
        with sql.transaction(self._engine, self._what) as connection:
            yield from self._documents(connection.execute(query))

    def _documents(self, rows: Iterable[sa.Row[Any]]) -> Iterator[tuple[str, str]]:
        return whole_documents(rows, pieces=self._pieces)


def whole_documents(rows: Iterable[Any], *, pieces: bool) -> Iterator[tuple[str, str]]:
    """Documents from rows (``doc``, ``text``, ``start``) in the order of document and start.

    ``pieces``: a document has many rows, and where none of them lies there are spaces; otherwise it has one.
    """
    for doc, found in itertools.groupby(rows, key=lambda row: str(row.doc)):
        text = ""
        for number, piece in enumerate(found):
            if number and not pieces:
                raise GoldError(f"corpus: document {doc!r} has several rows; allowed: one, or name their `start`")
            if not isinstance(piece.start, int) or not 0 <= piece.start <= MAX_DOCUMENT:
                raise GoldError(f"corpus: a row of document {doc!r} has no `start`; allowed: a number of characters")
            text = text.ljust(piece.start)[: piece.start] + piece.text + text[piece.start + len(piece.text) :]
            if len(text) > MAX_DOCUMENT:
                raise GoldError(f"corpus: document {doc!r} is longer than {MAX_DOCUMENT} characters")
        yield doc, text

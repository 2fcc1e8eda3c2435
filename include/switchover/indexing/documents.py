"""The source of a build: documents in a PostgreSQL table, read in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from switchover.edge import sql
from switchover.errors import BadInput

SORTING_S = 600.0  # a large table is sorted before its first row comes
# `doc::text` is the column itself where it is text, so that an index on it is still used.
_AFTER = '(revision, doc::text COLLATE "C") > (:revision, :doc)'
_COLUMNS = "doc::text AS doc, coalesce(text, '') AS text, revision"
_HINT = "the table needs doc, text and revision; see docs/build.md"


@dataclass(frozen=True, kw_only=True, order=True)
class Position:
    """How far a build has read: everything up to this document of this revision."""

    revision: int = -(2**63)
    doc: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One source text; offsets everywhere count characters of ``text``."""

    doc: str
    text: str
    revision: int

    @property
    def position(self) -> Position:
        """Where it stands in the order of a build."""
        return Position(revision=self.revision, doc=self.doc)


class SqlDocuments:
    """A table or view with ``doc`` (of any type), ``text`` and ``revision``, a whole number.

    A later write of a document has a higher revision; one without a text has no chunk.

    Raises ``Unreachable`` without an answer, ``BadInput`` for an absent table, column or right.
    """

    def __init__(self, *, engine: sa.Engine, table: str) -> None:
        self._engine = engine
        self._table = table
        self._what = f"documents {table} in {sql.place(engine)}"

    def check(self) -> None:
        """``BadInput`` for documents that no order of revisions has a place for."""
        found = self._all(f"SELECT count(*) AS n FROM {self._table} WHERE doc IS NULL OR revision IS NULL")
        if found[0].n:
            raise BadInput(f"{self._what}: {found[0].n:,} rows have no doc or no revision (NULL); give each both")

    def after(self, position: Position) -> Iterator[Document]:
        """Documents after ``position`` in its order, from one snapshot, a hundred in memory at a time."""
        query = f'SELECT {_COLUMNS} FROM {self._table} WHERE {_AFTER} ORDER BY revision, doc::text COLLATE "C"'
        for row in self._stream(query, vars(position)):
            yield Document(doc=row.doc, text=row.text, revision=row.revision)

    def named(self, docs: Sequence[str]) -> list[Document]:
        """Those of these documents that are there."""
        query = f"SELECT {_COLUMNS} FROM {self._table} WHERE doc::text = ANY(:docs)"
        return [Document(doc=row.doc, text=row.text, revision=row.revision) for row in self._all(query, docs=docs)]

    def revisions(self, *, in_order: bool = True) -> Iterator[tuple[str, int]]:
        """Name and revision of every document, by name in code-point order unless that does not matter."""
        query = f"SELECT doc::text AS doc, revision FROM {self._table}"
        query += ' ORDER BY doc::text COLLATE "C"' if in_order else ""
        for row in self._stream(query, {}, size=5_000):
            if row.doc is None or row.revision is None:
                self.check()
            yield row.doc, row.revision

    def count_after(self, position: Position) -> int:
        """How many documents are after ``position``."""
        found = self._all(f"SELECT count(*) AS n FROM {self._table} WHERE {_AFTER}", **vars(position))
        return int(found[0].n)

    def _stream(self, query: str, values: dict[str, object], *, size: int = 100) -> Iterator[sa.Row[tuple[object]]]:
        statement = sa.text(query).execution_options(yield_per=size)
        with sql.transaction(self._engine, self._what, hint=_HINT, answer_s=SORTING_S) as connection:
            yield from connection.execute(statement, values)

    def _all(self, query: str, **values: object) -> Sequence[sa.Row[tuple[object]]]:
        with sql.transaction(self._engine, self._what, hint=_HINT, answer_s=SORTING_S) as connection:
            return connection.execute(sa.text(query), values).all()

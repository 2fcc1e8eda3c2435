"""The source of a build: documents in a PostgreSQL table, read in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from switchover import sql

SORTING_S = 600.0  # a large table is sorted before its first row comes
_AFTER = '(revision, doc COLLATE "C") > (:revision, :doc)'
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
    """A table or view with ``doc``, ``text`` and ``revision``. A later write of a document has a higher revision.

    Raises ``Unreachable`` without an answer, ``BadInput`` for an absent table, column or right.
    """

    def __init__(self, *, engine: sa.Engine, table: str) -> None:
        self._engine = engine
        self._table = table
        self._what = f"documents {table} in {sql.place(engine)}"

    def after(self, position: Position) -> Iterator[Document]:
        """Documents after ``position`` in its order, from one snapshot, a hundred in memory at a time."""
        query = f'SELECT doc, text, revision FROM {self._table} WHERE {_AFTER} ORDER BY revision, doc COLLATE "C"'
        for row in self._stream(query, vars(position)):
            yield Document(doc=row.doc, text=row.text, revision=row.revision)

    def named(self, docs: Sequence[str]) -> list[Document]:
        """These documents, as far as they are there."""
        query = f"SELECT doc, text, revision FROM {self._table} WHERE doc = ANY(:docs)"
        return [Document(doc=row.doc, text=row.text, revision=row.revision) for row in self._all(query, docs=docs)]

    def revisions(self, *, in_order: bool = True) -> Iterator[tuple[str, int]]:
        """Name and revision of every document, by name in code-point order unless that does not matter."""
        query = f"SELECT doc, revision FROM {self._table}" + (' ORDER BY doc COLLATE "C"' if in_order else "")
        for row in self._stream(query, {}, size=5_000):
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

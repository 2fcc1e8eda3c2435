"""The source texts that gold spans point into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from switchover.edge import sql
from switchover.gold.goldset import Corpus

TEXT = "coalesce(text, '') AS text"  # `doc::text` is the column itself where it is text: its index is still used


def sql_corpus(engine: sa.Engine, table: str) -> Callable[[Sequence[str]], Corpus]:
    """Documents from a table with ``doc`` (of any type) and ``text``; one without a text has an empty one."""

    def fetch(docs: Sequence[str]) -> Corpus:
        query = sa.text(f"SELECT doc::text AS doc, {TEXT} FROM {table} WHERE doc::text = ANY(:docs)")
        with sql.transaction(engine, f"corpus {table} in {sql.place(engine)}") as connection:
            return {row.doc: row.text for row in connection.execute(query, {"docs": list(docs)})}

    return fetch


def sql_documents(engine: sa.Engine, table: str) -> Iterator[tuple[str, str]]:
    """Every document (id, text) in order of its id, a hundred at a time."""
    query = sa.text(f"SELECT doc::text AS doc, {TEXT} FROM {table} ORDER BY doc::text").execution_options(yield_per=100)
    with sql.transaction(engine, f"corpus {table} in {sql.place(engine)}") as connection:
        for row in connection.execute(query):
            yield row.doc, row.text

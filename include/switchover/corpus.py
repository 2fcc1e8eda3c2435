"""The source texts that gold spans point into."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from switchover import sql
from switchover.gold import Corpus


def sql_corpus(engine: sa.Engine, table: str) -> Callable[[Sequence[str]], Corpus]:
    """Documents from a table with ``doc`` and ``text`` columns."""

    def fetch(docs: Sequence[str]) -> Corpus:
        query = sa.text(f"SELECT doc, text FROM {table} WHERE doc = ANY(:docs)")
        with sql.transaction(engine, f"corpus {table} in {sql.place(engine)}") as connection:
            return {row.doc: row.text for row in connection.execute(query, {"docs": list(docs)})}

    return fetch

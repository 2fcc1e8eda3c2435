"""A source of small documents in a real PostgreSQL, and the product's builds over it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import psycopg
import sqlalchemy as sa

from sandbox.service import build as sandbox_build
from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.indexes.attest import Attested, attest
from switchover.indexes.pgvector import PgvectorIndex
from switchover.indexing.documents import SqlDocuments
from switchover.indexing.pgvector import PgvectorTarget
from switchover.indexing.run import Builder, Place
from switchover.indexing.spec import Build, BuildDocuments

Conn = psycopg.Connection[Any]
TEXT = "One sentence about {0}. Another one about {0}, which is longer. " * 8


@dataclasses.dataclass(kw_only=True)
class World:
    """A source of twelve small documents, and builders over it."""

    conn: Conn
    engine: sa.Engine
    live: str | None = None
    said: list[str] = dataclasses.field(default_factory=list)

    def write(self, doc: str, revision: int, text: str | None = None) -> None:
        self.conn.execute(
            "INSERT INTO documents (doc, title, text, revision) VALUES (%s, '', %s, %s)"
            " ON CONFLICT (doc) DO UPDATE SET text = excluded.text, revision = excluded.revision",
            [doc, TEXT.format(doc) if text is None else text, revision],
        )

    def builder(self, target: str = "arm", *, alone: Any = contextlib.nullcontext, **changes: Any) -> Builder:
        documents = BuildDocuments(connection="docs_db", table=changes.pop("table", "documents"))
        pins = changes.pop("pins", sandbox_build.pins())
        encoder = changes.pop("encoded_by", None)
        recipe = Build(documents=documents, chunking="fixed-300/1", batch=3, pins=pins, **changes)
        return Builder(
            build=recipe,
            documents=SqlDocuments(engine=self.engine, table=recipe.documents.table),
            target=PgvectorTarget(engine=self.engine, target=target),
            encoder=encoder or WordLlamaEncoder(dimension=recipe.encoder.dimension),
            place=Place(live=lambda: self.live, pins=dict, alone=alone),
            say=self.said.append,
        )

    def rows(self, target: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(f"SELECT id, text, revision, embedding::text FROM {target} ORDER BY id").fetchall()

    def oid(self, target: str) -> Any:
        return self.conn.execute("SELECT to_regclass(%s)::oid", [target]).fetchone()


def held(world: World) -> Attested:
    """What the index ``arm`` holds, read whole."""
    return attest(PgvectorIndex(engine=world.engine), "arm", kept=None, save=lambda proof: None)

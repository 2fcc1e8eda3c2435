"""Build jobs of the sandbox: the corpus becomes an index by the product's own build.

``docs_v1`` and ``docs_v2`` are two honestly different builds (dimensions and chunking). The demo's bad
Greens are variants of ``docs_v2`` that go wrong as real jobs do: ``truncated`` lost one of its two
workers, each of which takes every second document, and wrote a manifest of what it had; ``wrong-encoder``
encoded with another revision of the encoder than its manifest claims. ``better-prompt`` and ``bad-prompt`` are no
builds: there both arms stand over one index and differ in their prompt alone.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from sandbox.service import analyzer, corpus, ranking, tables
from sandbox.service.prompts import BETTER, COPIES_ITS_EXAMPLE
from switchover.encoders.base import Vectors
from switchover.encoders.wordllama import WordLlamaEncoder, WordLlamaSpec
from switchover.errors import BadInput, SwitchoverError
from switchover.indexes.pgvector import PgvectorIndex
from switchover.indexes.receipt import pairs_sum
from switchover.indexing import rows
from switchover.indexing.documents import Document, SqlDocuments
from switchover.indexing.pgvector import PgvectorTarget
from switchover.indexing.rows import Chunk
from switchover.indexing.run import Builder, Place
from switchover.indexing.spec import Build, BuildDocuments, Hnsw, manifest_of
from switchover.pins import Manifest
from switchover.text import first_line

CONSUMER_VER = "docs_ingest/1"
SECRETS = ("DOCS_SERVICE_TOKEN",)
#: Arms over Blue's own index, which differ in the prompt alone.
PROMPT_VARIANTS = {"better-prompt": BETTER, "bad-prompt": COPIES_ITS_EXAMPLE}
VARIANTS = ("good", "truncated", "wrong-encoder")
_LOCK = 7_340_002  # advisory lock: one build job at a time


@dataclass(frozen=True, kw_only=True)
class BuildSpec:
    """A target with its recipe; ``variant`` is how the job goes wrong."""

    target: str
    recipe: Build
    variant: str = "good"

    def encoder(self) -> WordLlamaEncoder:
        """The encoder that the job really runs."""
        turned = "-rotated" if self.variant == "wrong-encoder" else ""
        claimed = self.recipe.encoder
        return WordLlamaEncoder(dimension=claimed.dimension, revision=f"{claimed.revision}{turned}")


def _spec(target: str, *, dimension: int, chunking: str, hnsw: Hnsw | None) -> BuildSpec:
    documents = BuildDocuments(connection="docs_db", table="documents")
    encoder = WordLlamaSpec(dimension=dimension)
    return BuildSpec(target=target, recipe=Build(documents=documents, encoder=encoder, chunking=chunking, hnsw=hnsw))


DOCS_V1 = _spec("docs_v1", dimension=64, chunking="fixed-300/1", hnsw=None)
DOCS_V2 = _spec(
    "docs_v2", dimension=256, chunking="sentences-420-overlap-120/1", hnsw=Hnsw(ef_search=ranking.EF_SEARCH)
)
SPECS = {spec.target: spec for spec in (DOCS_V1, DOCS_V2)}


def spec_for(target: str, variant: str = "good") -> BuildSpec:
    """The build of a target name in one of the ``VARIANTS``."""
    if target not in SPECS:
        raise BadInput(f"build: target {target!r} is not known; allowed: {', '.join(SPECS)}")
    if variant not in VARIANTS:
        raise BadInput(f"build: variant {variant!r} is not known; allowed: {', '.join(VARIANTS)}")
    spec = SPECS[target]
    table = tables.TRUNCATED if variant == "truncated" else spec.recipe.documents.table
    documents = spec.recipe.documents.model_copy(update={"table": table})
    recipe = spec.recipe.model_copy(update={"documents": documents})
    return BuildSpec(target=target, recipe=recipe, variant=variant)


def chunks(spec: BuildSpec, documents: Sequence[corpus.Document] | None = None) -> list[Chunk]:
    """The chunks of a build in corpus order, without a database."""
    read = corpus.documents() if documents is None else documents
    cut = [
        piece
        for each in (read[::2] if spec.variant == "truncated" else read)
        for piece in rows.pieces(
            Document(doc=each.doc, text=each.text, revision=corpus.CORPUS_REVISION), spec.recipe.chunking
        )
    ]
    return rows.chunks(cut, spec.encoder())


def vectors(spec: BuildSpec, of: Sequence[Chunk]) -> Vectors:
    """The rows' vectors, shape (len(rows), dimension), as this job really encodes them."""
    return spec.encoder().encode([row.text for row in of])


def manifest(spec: BuildSpec, of: Sequence[Chunk], *, store: Mapping[str, Any] | None = None) -> Manifest:
    """The manifest that the job writes beside these rows; ``store``: the parameters of another store than pgvector."""
    return manifest_of(
        spec.recipe,
        target=spec.target,
        revision=corpus.CORPUS_REVISION,
        count=len(of),
        pairs=pairs_sum((row.id, row.content_digest) for row in of),
        pins=pins(),
        secrets=SECRETS,
        encoder=spec.encoder(),
        store=store,
    )


def pins() -> dict[str, str]:
    """The pins that a build does not make: what this code is, and which commit."""
    return {
        "RERANK_CONF": ranking.RERANK_CONF,
        "PROMPT_VER": ranking.PROMPT_VER,
        "MODEL_VER": ranking.MODEL_VER,
        "ANALYZER_CONF": analyzer.CONF,
        "CONSUMER_VER": CONSUMER_VER,
        "GIT_SHA": git_sha(),
    }


def build(conn: psycopg.Connection[Any], spec: BuildSpec) -> Manifest:
    """Load the corpus and build one index of it; what is there already is left as it is.

    Errors: TargetRefused if the target is live and the build would replace it by another one.
    """
    tables.create(conn)
    corpus.load(conn)
    if not conn.autocommit:
        conn.commit()  # the build reads the corpus over a connection of its own
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conn.info.dsn))

    def live() -> str | None:
        row = conn.execute("SELECT target FROM switchover_alias WHERE target = %s", [spec.target]).fetchone()
        return str(row[0]) if row else None

    @contextlib.contextmanager
    def alone() -> Iterator[None]:
        """A replaced index has lost its live writes: position and effects go with it, so that they return."""
        conn.execute("DELETE FROM ingest_position WHERE target = %s", [spec.target])
        conn.execute("DELETE FROM ingest_effect WHERE target = %s AND effect = 'index'", [spec.target])
        yield

    builder = Builder(
        build=spec.recipe.model_copy(update={"pins": pins()}),
        documents=SqlDocuments(engine=engine, table=spec.recipe.documents.table),
        target=PgvectorTarget(engine=engine, target=spec.target),
        encoder=spec.encoder(),
        place=Place(live=live, pins=dict, alone=alone),
        secrets=SECRETS,
    )
    conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        _no_view(conn, spec.target)
        return builder.run().manifest
    finally:
        conn.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
        engine.dispose()


def stand_over(conn: psycopg.Connection[Any], target: str, *, prompt: str, over: str = DOCS_V1.target) -> Manifest:
    """Another arm over one index: a view under its name, and a manifest that names its prompt.

    The view is how the service finds an arm's index by the arm's name. A table of that name is removed.
    """
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(conn.info.dsn))
    try:
        index = PgvectorIndex(engine=engine)
        found = index.manifest(over)
        shown = replace(found, target=target, pins={**found.pins, "PROMPT_VER": prompt})
        _no_view(conn, target)
        conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(target)))
        view = sql.SQL("CREATE VIEW {} AS SELECT * FROM {}")
        conn.execute(view.format(sql.Identifier(target), sql.Identifier(over)))
        index.describe(target, shown)
        return shown
    finally:
        engine.dispose()


def _no_view(conn: psycopg.Connection[Any], target: str) -> None:
    """What stood over another arm's index makes room for an index of its own."""
    if conn.execute("SELECT 1 FROM pg_views WHERE viewname = %s", [target]).fetchone():
        conn.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(target)))
        conn.execute("DELETE FROM switchover_manifest WHERE target = %s", [target])


def point(conn: psycopg.Connection[Any], *, alias: str, target: str) -> bool:
    """Create the alias row on ``target`` if there is none; an existing pointer is never moved from here."""
    found = conn.execute(
        "INSERT INTO switchover_alias (alias, target, actor) VALUES (%s, %s, 'sandbox build')"
        " ON CONFLICT (alias) DO NOTHING RETURNING target",
        [alias, target],
    ).fetchone()
    if not conn.autocommit:
        conn.commit()
    return found is not None


@functools.cache
def git_sha() -> str:
    """The commit that the build code comes from: GIT_SHA if set, else git's HEAD, else ``unknown``."""
    named = os.environ.get("GIT_SHA", "").strip()
    if named:
        return named
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() or "unknown"


def main() -> None:
    """``python -m sandbox.service.build --target docs_v2 [--variant truncated] [--alias docs]``; needs DOCS_DB_URL."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.service.build", description="Build one index.")
    parser.add_argument("--target", choices=tuple(SPECS), required=True)
    parser.add_argument("--variant", choices=(*VARIANTS, *PROMPT_VARIANTS), default="good")
    parser.add_argument("--alias", help="create this pointer on the target if there is none")
    args = parser.parse_args()
    db_url = os.environ.get("DOCS_DB_URL", "")
    if not db_url:
        sys.exit("build: DOCS_DB_URL is not set; give the libpq URL of the retrieval database")
    try:
        with psycopg.connect(db_url, autocommit=True) as conn:
            if args.variant in PROMPT_VARIANTS:
                built = stand_over(conn, args.target, prompt=PROMPT_VARIANTS[args.variant])
            else:
                built = build(conn, spec_for(args.target, args.variant))
            if args.alias:
                point(conn, alias=args.alias, target=args.target)
    except (SwitchoverError, psycopg.Error) as error:
        sys.exit(first_line(error))
    print(f"{built.target}: {built.facts.count} chunks, INDEX_HASH {built.index_hash}")


if __name__ == "__main__":
    main()

"""Build jobs: the corpus becomes an index table with its manifest, both in one transaction.

``docs_v1`` and ``docs_v2`` are two honestly different builds (dimensions and chunking). The demo's bad
Greens are variants of ``docs_v2`` that go wrong as real jobs do: ``truncated`` lost one of its two
workers, each of which takes every second document, and wrote a manifest of what it had; ``wrong-encoder``
encoded with another revision of the encoder than its manifest claims.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sandbox import analyzer, chunking, corpus, ranking, tables
from sandbox.vectors import Vector
from switchover.encoder import Vectors, WordLlamaEncoder
from switchover.errors import BadInput, SwitchoverError, TargetRefused
from switchover.pins import IndexFacts, Manifest, content_digest, digest, pairs_digest

METRIC = "cosine"
CONSUMER_VER = "docs_ingest/1"
SECRETS = ("DOCS_SERVICE_TOKEN",)
VARIANTS = ("good", "truncated", "wrong-encoder")
_LOCK = 7_340_002  # advisory lock: one build job at a time


@dataclass(frozen=True, kw_only=True)
class BuildSpec:
    """What a build job is told: its target, encoder, chunking and store; ``variant`` is how it goes wrong."""

    target: str
    dimension: int
    chunk_schema: str
    store: Mapping[str, Any]
    encoder_revision: str = "256.1"
    variant: str = "good"

    def encoder(self) -> WordLlamaEncoder:
        """The encoder that the manifest claims."""
        return WordLlamaEncoder(dimension=self.dimension, revision=self.encoder_revision)


HNSW = {"kind": "hnsw", "m": 16, "ef_construction": 128, "ef_search": ranking.EF_SEARCH}
DOCS_V1 = BuildSpec(target="docs_v1", dimension=64, chunk_schema="fixed-300/1", store={"kind": "exact"})
DOCS_V2 = BuildSpec(target="docs_v2", dimension=256, chunk_schema="sentences-420-overlap-120/1", store=HNSW)
SPECS = {spec.target: spec for spec in (DOCS_V1, DOCS_V2)}


def spec_for(target: str, variant: str = "good") -> BuildSpec:
    """The build of a target name in one of the ``VARIANTS``."""
    if target not in SPECS:
        raise BadInput(f"build: target {target!r} is not known; allowed: {', '.join(SPECS)}")
    if variant not in VARIANTS:
        raise BadInput(f"build: variant {variant!r} is not known; allowed: {', '.join(VARIANTS)}")
    return dataclasses.replace(SPECS[target], variant=variant)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """One row of an index, without its vector."""

    id: str
    doc: str
    section: str
    start: int
    end: int
    tokens: int
    text: str
    content_digest: str


def chunks(spec: BuildSpec, documents: Sequence[corpus.Document] | None = None) -> list[Chunk]:
    """The chunks of a build in corpus order. A section is a topic: it is what an answer cites."""
    encoder = spec.encoder()
    cut = chunking.SCHEMAS[spec.chunk_schema]
    found = []
    read = corpus.documents() if documents is None else documents
    for document in read[::2] if spec.variant == "truncated" else read:
        for start, end in cut(document.text):
            text = document.text[start:end]
            found.append(
                Chunk(
                    id=f"{document.doc}:{start}-{end}",
                    doc=document.doc,
                    section=document.doc,
                    start=start,
                    end=end,
                    tokens=len(encoder.tokens(text)),
                    text=text,
                    content_digest=content_digest(text),
                )
            )
    return found


def vectors(spec: BuildSpec, rows: Sequence[Chunk]) -> Vectors:
    """The rows' vectors, shape (len(rows), dimension), as this job really encodes them."""
    revision = "256.1-rotated" if spec.variant == "wrong-encoder" else spec.encoder_revision
    return WordLlamaEncoder(dimension=spec.dimension, revision=revision).encode([row.text for row in rows])


def manifest(spec: BuildSpec, rows: Sequence[Chunk], *, store: Mapping[str, Any] | None = None) -> Manifest:
    """The manifest that the job writes beside ``rows``; ``store``: the parameters of another store than pgvector."""
    encoder = spec.encoder()
    table = {"database": "pgvector", "column": f"vector({spec.dimension})", "index": dict(spec.store)}
    facts = IndexFacts(
        embed_schema=encoder.schema(METRIC),
        tok_ver=ranking.tokenizer_version(),
        chunk_schema_ver=spec.chunk_schema,
        analyzer_conf=analyzer.CONF,
        metric=METRIC,
        store=store or table,
        corpus_revision=corpus.CORPUS_REVISION,
        count=len(rows),
        pairs=pairs_digest((row.id, row.content_digest) for row in rows),
    )
    pins = {
        "INDEX_HASH": facts.index_hash(),
        "EMBED_SCHEMA": facts.embed_schema,
        "RERANK_CONF": ranking.RERANK_CONF,
        "PROMPT_VER": ranking.PROMPT_VER,
        "MODEL_VER": ranking.MODEL_VER,
        "TOK_VER": facts.tok_ver,
        "ANALYZER_CONF": facts.analyzer_conf,
        "CHUNK_SCHEMA_VER": facts.chunk_schema_ver,
        "CONSUMER_VER": CONSUMER_VER,
        "BUILD_ID": f"{spec.target}-{digest([dataclasses.asdict(spec), facts.pairs])[:12]}",
        "GIT_SHA": git_sha(),
    }
    described = {
        "name": encoder.name,
        "revision": encoder.revision,
        "dimension": encoder.dimension,
        "normalised": True,
        "metric": METRIC,
    }
    return Manifest(target=spec.target, pins=pins, facts=facts, encoder=described, secrets=SECRETS)


def build(conn: psycopg.Connection[Any], spec: BuildSpec) -> Manifest:
    """Build one index and its manifest in one transaction; what is there already is left as it is.

    Errors: TargetRefused if the target is live and the build would replace it by another one.
    """
    rows = chunks(spec)
    built = manifest(spec, rows)
    with conn.transaction():
        tables.create(conn)
        corpus.load(conn)
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if not _is_there(conn, built):
            if conn.execute("SELECT 1 FROM switchover_alias WHERE target = %s", [spec.target]).fetchone():
                raise TargetRefused(f"build: {spec.target!r} is live and holds another build; build under a free name")
            _forget_live_writes(conn, spec.target)
            _replace_table(conn, spec)
            _insert(conn, spec.target, rows, vectors(spec, rows))
            _index(conn, spec)
        # The index may stay while other pins change, such as the rerank's settings in newer code.
        conn.execute(
            "INSERT INTO switchover_manifest (target, index_hash, manifest) VALUES (%s, %s, %s) ON CONFLICT (target)"
            " DO UPDATE SET index_hash = excluded.index_hash, manifest = excluded.manifest, built_at = now()"
            " WHERE switchover_manifest.manifest <> excluded.manifest",
            [spec.target, built.index_hash, Jsonb(built.to_json())],
        )
    if not conn.autocommit:
        conn.commit()
    return built


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


def _is_there(conn: psycopg.Connection[Any], wanted: Manifest) -> bool:
    """Whether this very build is stored: same BUILD_ID, same INDEX_HASH, all rows."""
    row = conn.execute(
        "SELECT index_hash, manifest -> 'pins' ->> 'BUILD_ID' FROM switchover_manifest"
        " WHERE target = %s AND to_regclass(%s) IS NOT NULL",
        [wanted.target, f'"{wanted.target}"'],
    ).fetchone()
    if row is None or tuple(row) != (wanted.index_hash, wanted.pins["BUILD_ID"]):
        return False
    count = conn.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE revision <= %s").format(sql.Identifier(wanted.target)),
        [wanted.facts.corpus_revision],
    ).fetchone()
    return count == (wanted.facts.count,)


def _forget_live_writes(conn: psycopg.Connection[Any], target: str) -> None:
    """A replaced index has lost its live writes: their position and effects go with it, so that they return."""
    conn.execute("DELETE FROM ingest_position WHERE target = %s", [target])
    conn.execute("DELETE FROM ingest_effect WHERE target = %s AND effect = 'index'", [target])


def _replace_table(conn: psycopg.Connection[Any], spec: BuildSpec) -> None:
    table = sql.Identifier(spec.target)
    conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    conn.execute(
        sql.SQL(
            "CREATE TABLE {} (id text PRIMARY KEY, doc text NOT NULL, section text NOT NULL,"
            " start_char int NOT NULL, end_char int NOT NULL, tokens int NOT NULL, text text NOT NULL,"
            " content_digest text NOT NULL, revision bigint NOT NULL, embedding vector({}) NOT NULL)"
        ).format(table, sql.Literal(spec.dimension))
    )
    # Vectors stay in the row: an exact scan reads every one of them.
    conn.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN embedding SET STORAGE PLAIN").format(table))


def _insert(conn: psycopg.Connection[Any], target: str, rows: Sequence[Chunk], encoded: Vectors) -> None:
    statement = sql.SQL(
        "INSERT INTO {} (id, doc, section, start_char, end_char, tokens, text, content_digest, revision, embedding)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::vector)"
    ).format(sql.Identifier(target))
    with conn.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                (*dataclasses.astuple(row), corpus.CORPUS_REVISION, Vector(vector))
                for row, vector in zip(rows, encoded, strict=True)
            ],
        )


def _index(conn: psycopg.Connection[Any], spec: BuildSpec) -> None:
    table = sql.Identifier(spec.target)
    if spec.store["kind"] == "hnsw":
        # Vectors are unit vectors: the inner product is the cosine, at a third of its cost.
        conn.execute(
            sql.SQL(
                "CREATE INDEX ON {} USING hnsw (embedding vector_ip_ops) WITH (m = {}, ef_construction = {})"
            ).format(table, sql.Literal(spec.store["m"]), sql.Literal(spec.store["ef_construction"]))
        )
    conn.execute(sql.SQL("ANALYZE {}").format(table))


def main() -> None:
    """``python -m sandbox.build --target docs_v2 [--variant truncated] [--alias docs]``; needs DOCS_DB_URL."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.build", description="Build one index.")
    parser.add_argument("--target", choices=tuple(SPECS), required=True)
    parser.add_argument("--variant", choices=VARIANTS, default="good")
    parser.add_argument("--alias", help="create this pointer on the target if there is none")
    args = parser.parse_args()
    db_url = os.environ.get("DOCS_DB_URL", "")
    if not db_url:
        sys.exit("build: DOCS_DB_URL is not set; give the libpq URL of the retrieval database")
    try:
        with psycopg.connect(db_url, autocommit=True) as conn:
            built = build(conn, spec_for(args.target, args.variant))
            if args.alias:
                point(conn, alias=args.alias, target=args.target)
    except (SwitchoverError, psycopg.Error) as error:
        sys.exit(str(error).splitlines()[0])
    print(f"{built.target}: {built.facts.count} chunks, INDEX_HASH {built.index_hash}")


if __name__ == "__main__":
    main()

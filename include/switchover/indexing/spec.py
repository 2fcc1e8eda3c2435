"""The plan's part that says how an index is built, and what of it becomes the manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field, field_validator

from switchover.edge.names import BUILDING, built_table_name
from switchover.encoders import DEFAULT, AnyEncoder, Encoder
from switchover.indexing.chunking import CHUNKINGS
from switchover.part import ConnectionId, Identifier, Part
from switchover.pins import PIN_NAMES, IndexFacts, Manifest, check_pin_names, digest, embed_schema

METRIC = "cosine"
MADE_HERE = ("INDEX_HASH", "EMBED_SCHEMA", "TOK_VER", "CHUNK_SCHEMA_VER", "BUILD_ID")
TAKEN_OVER = tuple(name for name in PIN_NAMES if name not in MADE_HERE)


class BuildDocuments(Part):
    """Where the documents are."""

    connection: ConnectionId = Field(description="PostgreSQL connection with the source texts.")
    table: Identifier = Field(
        "documents", description="Table or view with `doc`, `text` and `revision`; see docs/build.md."
    )


class Hnsw(Part):
    """The approximate index over the vectors."""

    m: int = Field(16, ge=2, le=100, description="Links a node.")
    ef_construction: int = Field(128, ge=4, le=1000, description="Candidates looked at while building.")
    ef_search: int = Field(64, ge=1, le=1000, description="Candidates that readers look at; part of INDEX_HASH.")


class Build(Part):
    """How an arm's index is built from the source texts; without it the plan has no build DAG."""

    documents: BuildDocuments
    encoder: AnyEncoder = Field(
        default_factory=DEFAULT, description="The encoder whose vectors are stored, and that queries must use."
    )
    chunking: str = Field(description="How documents are cut: the CHUNK_SCHEMA_VER pin. Names are in docs/build.md.")
    hnsw: Hnsw | None = Field(None, description="The approximate index; without it readers scan every vector.")
    batch: int = Field(2000, ge=1, le=50_000, description="Chunks in one transaction; two such are in memory at once.")
    catch_up: int = Field(100, ge=0, description="Catching up ends when no more documents than this are behind.")
    pins: dict[str, str] = Field(
        default_factory=dict, description="Pins that the build does not make; the others are those of the live arm."
    )

    @field_validator("chunking")
    @classmethod
    def _known_chunking(cls, value: str) -> str:
        if value not in CHUNKINGS:
            raise ValueError(f"{value!r} is not known; allowed: {', '.join(CHUNKINGS)}")
        return value

    @field_validator("pins")
    @classmethod
    def _known_pins(cls, value: dict[str, str]) -> dict[str, str]:
        check_pin_names(value, TAKEN_OVER)
        return value

    def check_arms(self, arms: Collection[str]) -> None:
        """Raise ``ValueError`` unless every arm is a table that a build can make, and none is one that it fills."""
        for arm in arms:
            built_table_name(arm, f"build: arm {arm!r}", ValueError)
            if arm + BUILDING in arms:
                raise ValueError(f"build: arm {arm + BUILDING!r} is where {arm!r} is built; allowed: another name")

    def recipe(self) -> dict[str, Any]:
        """What decides every row: two builds of one recipe over the same documents hold the same rows."""
        return {
            **self.model_dump(mode="json", include={"documents", "chunking", "hnsw"}),
            "encoder": self.encoder.facts(),
        }

    def store(self) -> dict[str, Any]:
        """The store's parameters, as they enter INDEX_HASH."""
        index = {"kind": "hnsw", **self.hnsw.model_dump()} if self.hnsw else {"kind": "exact"}
        return {"database": "pgvector", "column": f"vector({self.encoder.dimension})", "index": index}


def manifest_of(
    build: Build,
    *,
    target: str,
    revision: int,
    count: int,
    pairs: str,
    pins: Mapping[str, str],
    secrets: tuple[str, ...],
    encoder: Encoder,
    store: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of the rows that a build has made.

    ``revision``: the corpus revision up to which they hold everything. ``pairs``: see ``pins.pairs_digest``.
    ``pins``: a value for each of ``TAKEN_OVER``. ``encoder``: the one that really ran; its revision
    enters BUILD_ID, while EMBED_SCHEMA says what the plan asks for. ``store``: the parameters of another store than
    pgvector.
    """
    asked_for = build.encoder.facts()
    facts = IndexFacts(
        embed_schema=embed_schema(**asked_for, normalised=True, metric=METRIC),
        tok_ver=encoder.tokenizer_version(),
        chunk_schema_ver=build.chunking,
        analyzer_conf=pins["ANALYZER_CONF"],
        metric=METRIC,
        store=store or build.store(),
        corpus_revision=revision,
        count=count,
        pairs=pairs,
    )
    made = {
        "INDEX_HASH": facts.index_hash(),
        "EMBED_SCHEMA": facts.embed_schema,
        "TOK_VER": facts.tok_ver,
        "CHUNK_SCHEMA_VER": facts.chunk_schema_ver,
        "BUILD_ID": f"{target}-{digest([build.recipe(), encoder.revision, pairs])[:12]}",
    }
    found = {**pins, **made}
    described = {**asked_for, "normalised": True, "metric": METRIC}
    return Manifest(
        target=target,
        pins={name: found[name] for name in PIN_NAMES},
        facts=facts,
        encoder=described,
        secrets=secrets,
    )

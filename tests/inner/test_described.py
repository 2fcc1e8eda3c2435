"""A manifest is held against itself and against what the store says; what cannot be read is shown as promised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from switchover.indexes.base import Vectors
from switchover.indexes.search_mapping import held_vectors
from switchover.pins import IndexFacts, Manifest, embed_schema
from switchover.steps.described import described_checks

ENCODER = {"name": "e", "revision": "1", "dimension": 256, "normalised": True, "metric": "cosine"}
HELD = Vectors(metric="cosine", dimension=256, parameters="hnsw m=16")


def manifest(encoder: Any = ENCODER, pins: Any = None, **more: Any) -> Manifest:
    schema = embed_schema(**ENCODER)  # type: ignore[arg-type]
    named = {"embed_schema": schema, "tok_ver": "t", "chunk_schema_ver": "c", "analyzer_conf": "a", "metric": "cosine"}
    facts = IndexFacts(**{**named, **more}, store={}, corpus_revision=1, count=1, pairs="0" * 64)
    made = {"INDEX_HASH": facts.index_hash(), "EMBED_SCHEMA": facts.embed_schema, "TOK_VER": facts.tok_ver}
    return Manifest(target="docs_v2", pins={**made, **(pins or {})}, facts=facts, encoder=encoder)


def found(manifest: Manifest, held: Vectors = HELD) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.ok, check.found) for check in described_checks("Green", manifest, held)}


def test_a_true_one_holds_and_says_what_nobody_can_read() -> None:
    assert found(manifest()) == {
        "Green manifest": (
            True,
            "INDEX_HASH and EMBED_SCHEMA worked out again; only promised: TOK_VER, CHUNK_SCHEMA_VER, ANALYZER_CONF",
        ),
        "Green store": (True, "metric cosine; 256 dimensions; hnsw m=16"),
    }


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (manifest(pins={"INDEX_HASH": "anything"}), "INDEX_HASH is anything, its facts give "),
        (manifest(pins={"EMBED_SCHEMA": "anything"}), "EMBED_SCHEMA is anything, its facts say "),
        (manifest(pins={"TOK_VER": "other"}), "TOK_VER is other, its facts say t"),
        (manifest(embed_schema="A"), "EMBED_SCHEMA is A, its encoder gives "),
        (manifest(metric="l2"), "metric is l2, its encoder's is cosine"),
    ],
)
def test_a_manifest_that_contradicts_itself_fails(wrong: Manifest, told: str) -> None:
    ok, said = found(wrong)["Green manifest"]
    assert not ok and told in said


def test_ten_pins_that_all_say_anything_fail() -> None:
    pins = dict.fromkeys(("INDEX_HASH", "EMBED_SCHEMA", "TOK_VER", "CHUNK_SCHEMA_VER", "ANALYZER_CONF"), "anything")
    ok, said = found(manifest(pins=pins))["Green manifest"]
    assert not ok and said.count("anything") == len(pins)


@pytest.mark.parametrize(
    ("encoder", "held", "told"),
    [
        ({**ENCODER, "normalised": False}, replace(HELD, metric="l2"), "metric is l2, the manifest's cosine"),
        (ENCODER, replace(HELD, metric="hamming"), "metric is hamming, the manifest's cosine"),
        (ENCODER, replace(HELD, dimension=768), "vectors have 768 dimensions, the encoder's 256"),
    ],
)
def test_a_store_that_holds_other_vectors_fails(encoder: Any, held: Vectors, told: str) -> None:
    ok, said = found(manifest(encoder=encoder), held)["Green store"]
    assert not ok and told in said


@pytest.mark.parametrize(
    ("field", "told"),
    [
        (
            {
                "type": "dense_vector",
                "dims": 4,
                "similarity": "dot_product",
                "index_options": {"type": "hnsw", "m": 16},
            },
            Vectors(metric="ip", dimension=4, parameters="m 16, type hnsw"),
        ),
        (
            {"dimension": 4, "method": {"name": "hnsw", "space_type": "cosinesimil", "parameters": {"m": 24}}},
            Vectors(metric="cosine", dimension=4, parameters="m 24, type hnsw"),
        ),
        ({"dimension": 4, "space_type": "l2"}, Vectors(metric="l2", dimension=4)),
        ({"type": "float"}, Vectors()),
    ],
    ids=["elasticsearch", "opensearch", "opensearch without a method", "numbers"],
)
def test_a_mapping_says_how_vectors_are_held(field: dict[str, Any], told: Vectors) -> None:
    nested = {"properties": {"parts": {"properties": {"vector": field}}}}
    assert held_vectors(nested, "parts.vector") == told


def test_of_normalised_vectors_the_inner_product_is_the_cosine() -> None:
    assert found(manifest(), replace(HELD, metric="ip"))["Green store"][0]


def test_a_store_and_a_manifest_that_say_little_are_shown_as_promises() -> None:
    adopted = manifest(encoder={}, metric="unknown", tok_ver="unknown", chunk_schema_ver="unknown")
    said = found(adopted, Vectors())
    assert said["Green manifest"] == (True, "INDEX_HASH worked out again; only promised: EMBED_SCHEMA, ANALYZER_CONF")
    assert said["Green store"] == (
        True, "metric unknown, only promised: the store names none; dimensions not said by the store",
    )  # fmt: skip

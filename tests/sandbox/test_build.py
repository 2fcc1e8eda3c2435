"""The build jobs on a real PostgreSQL: index and manifest agree, and a job is all or nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import psycopg
import pytest

from sandbox.service import build, corpus, ranking
from switchover.encoders import encoder_from
from switchover.errors import BadInput, TargetRefused
from switchover.indexes.receipt import pairs_sum
from switchover.indexing.pgvector import PgvectorTarget
from switchover.pins import PIN_NAMES, Manifest, changed_pins, content_digest

Conn = psycopg.Connection[Any]


def stored(conn: Conn, target: str) -> tuple[str, Manifest]:
    row = conn.execute("SELECT index_hash, manifest FROM switchover_manifest WHERE target = %s", [target]).fetchone()
    assert row is not None
    return row[0], Manifest.from_json(row[1])


def own_cosine(conn: Conn, target: str) -> float:
    """Least cosine of stored vectors to the same texts encoded by the manifest's encoder."""
    rows = conn.execute(f"SELECT text, embedding::real[] FROM {target} ORDER BY id LIMIT 40").fetchall()
    vectors = encoder_from(stored(conn, target)[1].encoder).encode([text for text, _ in rows])
    return float(np.min(np.sum(vectors * np.array([v for _, v in rows]), axis=1)))


@pytest.mark.parametrize("spec", [build.DOCS_V1, build.DOCS_V2], ids=lambda s: s.target)
def test_manifest_agrees_with_what_is_stored(built: Conn, spec: build.BuildSpec) -> None:
    index_hash, manifest = stored(built, spec.target)
    rows = built.execute(f"SELECT id, text, content_digest, revision FROM {spec.target}").fetchall()
    assert manifest.index_hash == index_hash == manifest.facts.index_hash()
    assert manifest.facts.count == len(rows) > 1000
    assert manifest.facts.pairs == pairs_sum((row[0], content_digest(row[1])) for row in rows)
    assert all(row[2] == content_digest(row[1]) and row[3] == 1 for row in rows)
    assert set(manifest.pins) == set(PIN_NAMES)
    assert all(manifest.pins.values())
    assert manifest.secrets == ("DOCS_SERVICE_TOKEN",)
    assert own_cosine(built, spec.target) > 0.9999


def test_chunks_are_what_their_offsets_say(built: Conn) -> None:
    wrong = built.execute(
        "SELECT count(*) FROM docs_v2 i JOIN documents d USING (doc)"
        " WHERE substr(d.text, i.start_char + 1, i.end_char - i.start_char) <> i.text"
        " OR i.id <> i.doc || ':' || i.start_char || '-' || i.end_char"
    ).fetchone()
    assert wrong == (0,)


def test_the_two_builds_differ_in_what_they_say_they_do(built: Conn) -> None:
    _, blue = stored(built, "docs_v1")
    _, green = stored(built, "docs_v2")
    assert changed_pins(blue.pins, green.pins) == ["INDEX_HASH", "EMBED_SCHEMA", "CHUNK_SCHEMA_VER", "BUILD_ID"]
    assert (blue.encoder["dimension"], green.encoder["dimension"]) == (64, 256)


def test_a_repeat_leaves_everything_as_it_is(built: Conn) -> None:
    before = built.execute("SELECT built_at, xmin::text FROM switchover_manifest ORDER BY target").fetchall()
    oid = built.execute("SELECT 'docs_v2'::regclass::oid").fetchone()
    assert build.build(built, build.DOCS_V2) == stored(built, "docs_v2")[1]
    assert built.execute("SELECT built_at, xmin::text FROM switchover_manifest ORDER BY target").fetchall() == before
    assert built.execute("SELECT 'docs_v2'::regclass::oid").fetchone() == oid


def test_newer_code_over_the_same_index_writes_its_pins_and_leaves_the_rows(
    empty: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(empty, build.DOCS_V1)
    build.point(empty, alias="docs", target="docs_v1")
    oid = empty.execute("SELECT 'docs_v1'::regclass::oid").fetchone()
    monkeypatch.setattr(ranking, "RERANK_CONF", "newer")
    build.build(empty, build.DOCS_V1)
    assert stored(empty, "docs_v1")[1].pins["RERANK_CONF"] == "newer"
    assert empty.execute("SELECT 'docs_v1'::regclass::oid").fetchone() == oid


def test_another_build_never_replaces_the_live_one(built: Conn) -> None:
    before = stored(built, "docs_v1")
    with pytest.raises(TargetRefused, match="'docs_v1' is live"):
        build.build(built, build.spec_for("docs_v1", "truncated"))
    assert stored(built, "docs_v1") == before
    assert built.execute("SELECT count(*) FROM docs_v1").fetchone() == (before[1].facts.count,)


def test_the_pointer_is_created_once_and_never_moved(built: Conn) -> None:
    assert not build.point(built, alias="docs", target="docs_v2")
    assert built.execute("SELECT target FROM switchover_alias WHERE alias = 'docs'").fetchone() == ("docs_v1",)


def test_bad_names_are_refused_with_what_is_allowed() -> None:
    with pytest.raises(BadInput, match="'docs_v9' is not known; allowed: docs_v1, docs_v2"):
        build.spec_for("docs_v9")
    with pytest.raises(BadInput, match="'odd' is not known; allowed: good, truncated, wrong-encoder"):
        build.spec_for("docs_v2", "odd")


def test_a_truncated_build_is_consistent_with_itself(empty: Conn) -> None:
    manifest = build.build(empty, build.spec_for("docs_v2", "truncated"))
    count = empty.execute("SELECT count(*) FROM docs_v2").fetchone()
    assert count == (manifest.facts.count,)
    assert 0.3 < manifest.facts.count / len(build.chunks(build.DOCS_V2)) < 0.7
    docs = empty.execute("SELECT count(DISTINCT doc) FROM docs_v2").fetchone()
    assert docs == (len(corpus.documents()) // 2,)
    assert manifest.index_hash == manifest.facts.index_hash()
    assert own_cosine(empty, "docs_v2") > 0.9999


def test_a_wrong_encoder_shows_only_in_the_vectors(empty: Conn) -> None:
    good = build.manifest(build.DOCS_V2, build.chunks(build.DOCS_V2))
    wrong = build.build(empty, build.spec_for("docs_v2", "wrong-encoder"))
    assert changed_pins(good.pins, wrong.pins) == ["BUILD_ID"]
    assert wrong.encoder == good.encoder
    assert own_cosine(empty, "docs_v2") < 0.5


def test_a_green_is_replaced_by_its_next_build_and_its_live_writes_return(empty: Conn) -> None:
    build.build(empty, build.spec_for("docs_v2", "truncated"))
    empty.execute("INSERT INTO ingest_position VALUES ('docs_v2', 'dag', 7), ('*', 'dag', 7)")
    empty.execute("INSERT INTO ingest_effect (seq, effect, target) VALUES (7, 'index', 'docs_v2'), (7, 'notify', '*')")
    good = build.build(empty, build.DOCS_V2)
    assert stored(empty, "docs_v2") == (good.index_hash, good)
    assert empty.execute("SELECT target FROM ingest_position").fetchall() == [("*",)]
    assert empty.execute("SELECT effect FROM ingest_effect").fetchall() == [("notify",)]


def test_a_job_that_dies_leaves_the_former_build(empty: Conn, monkeypatch: pytest.MonkeyPatch) -> None:
    former = build.build(empty, build.spec_for("docs_v2", "truncated"))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(PgvectorTarget, "index", fail)
    with pytest.raises(RuntimeError, match="disk is full"):
        build.build(empty, build.DOCS_V2)
    assert stored(empty, "docs_v2") == (former.index_hash, former)
    assert empty.execute("SELECT count(*) FROM docs_v2").fetchone() == (former.facts.count,)


def test_build_id_says_the_same_for_the_same_input() -> None:
    rows = build.chunks(build.DOCS_V1)
    again = build.manifest(build.DOCS_V1, list(reversed(rows)))
    assert build.manifest(build.DOCS_V1, rows) == again
    recipe = build.DOCS_V1.recipe.model_copy(update={"chunking": "sentences-420-overlap-120/1"})
    other = dataclasses.replace(build.DOCS_V1, recipe=recipe)
    assert build.manifest(other, build.chunks(other)).pins["BUILD_ID"] != again.pins["BUILD_ID"]
    assert again.pins["RERANK_CONF"] == ranking.RERANK_CONF

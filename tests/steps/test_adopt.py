"""An index that somebody else has built is taken over: read, described, and nothing else of it changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from switchover.cli.entry import main
from switchover.errors import BadInput, StateConflict
from switchover.pins import embed_schema
from switchover.steps.adopt import Adopted, adopt
from switchover.steps.attest import read_whole
from tests.world import ROOT, World

ENCODER = {"name": "theirs", "revision": "1", "dimension": 3, "normalised": True, "metric": "cosine"}


@pytest.fixture
def theirs(world: World) -> Iterator[World]:
    """A table of 50 rows of another team, without a manifest."""
    world.sql("CREATE TABLE theirs (id uuid PRIMARY KEY, text text, revision bigint, embedding vector(3))")
    written(
        world,
        "INSERT INTO theirs SELECT gen_random_uuid(), 'text ' || i, i, ARRAY[i, 1, 2]::real[]::vector"
        " FROM generate_series(1, 50) AS i",
    )
    yield world
    world.sql("DROP TABLE theirs")
    world.sql("DELETE FROM switchover_manifest WHERE target = 'theirs'")


def written(world: World, statement: str) -> None:
    """Its counts are published at once; by themselves they may come while the index is read, as a write would."""
    with psycopg.connect(world.db_url, autocommit=True) as connection:
        for each in (statement, "SELECT pg_stat_force_next_flush()", "SELECT 1"):
            connection.execute(each)


def take(world: World, **more: object) -> Adopted:
    told = {"pins": {"PROMPT_VER": "7"}, "encoder": ENCODER, "person": "ada", **more}
    return adopt(world.plan.indexes(world.edge), world.ledger, "theirs", **told)  # type: ignore[arg-type]


def test_an_adopted_index_is_proven_like_one_of_ours(theirs: World) -> None:
    rows = theirs.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM theirs AS t")
    found = take(theirs)
    assert theirs.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM theirs AS t") == rows
    index = theirs.plan.indexes(theirs.edge)
    assert index.manifest("theirs") == found.manifest
    assert (found.manifest.facts.count, found.manifest.facts.corpus_revision) == (50, 50)
    assert found.manifest.pins["EMBED_SCHEMA"] == embed_schema(**ENCODER)  # type: ignore[arg-type]
    assert found.manifest.pins["PROMPT_VER"] == "7"
    again = read_whole(index, theirs.ledger, "theirs", actor="t", say=lambda line: None, written=False)
    assert again.index_hash == found.manifest.index_hash
    assert again.vectors_kept


def test_what_nobody_knows_is_said_and_not_made_up(theirs: World) -> None:
    found = take(theirs, encoder={})
    assert "EMBED_SCHEMA" in found.unknown and "TOK_VER" in found.unknown
    assert set(found.unknown) | set(found.manifest.pins) >= {"MODEL_VER", "PROMPT_VER", "INDEX_HASH"}
    assert not set(found.unknown) & set(found.manifest.pins)
    assert "not known, and so not compared: EMBED_SCHEMA" in found.line


def test_an_index_that_is_described_is_left_as_it_is(theirs: World) -> None:
    first = take(theirs)
    written(theirs, "DELETE FROM theirs WHERE revision = 50")
    with pytest.raises(StateConflict, match="has a manifest already .*; nothing was changed. --again takes it over"):
        take(theirs)
    assert take(theirs, again=True).manifest.index_hash != first.manifest.index_hash


def test_what_cannot_be_adopted_is_refused(theirs: World) -> None:
    with pytest.raises(BadInput, match="encoder: normalised, metric missing; allowed: all of name"):
        take(theirs, encoder={"name": "x", "revision": "1", "dimension": 3})
    with pytest.raises(BadInput, match="EMBED_SCHEMA: other was given, the encoder's is"):
        take(theirs, pins={"EMBED_SCHEMA": "other"})
    theirs.sql("DELETE FROM theirs")
    with pytest.raises(BadInput, match="index 'theirs': is empty; nothing to adopt"):
        take(theirs)
    assert theirs.sql("SELECT 1 FROM switchover_manifest WHERE target = 'theirs'") == []


def test_the_command_says_what_it_has_done(
    theirs: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in theirs.environ.items():
        if name.startswith("AIRFLOW_CONN_"):
            monkeypatch.setenv(name, value)
    plan = tmp_path / "docs.yaml"
    text = (ROOT / "include" / "plans" / "docs.yaml").read_text().replace("docs_v2", "theirs")
    plan.write_text(text.replace("../gold/", f"{ROOT}/include/gold/"))
    monkeypatch.setenv("SWITCHOVER_FILES", str(ROOT / "include"))
    facts = tmp_path / "facts.yaml"
    facts.write_text(f"pins: {{PROMPT_VER: '7'}}\nencoder: {json.dumps(ENCODER)}\n")
    assert main(["index", "adopt", "--plan", str(plan), "--facts", str(facts), "--pin", "MODEL_VER=3"]) == 0
    assert "theirs: adopted, 50 rows up to revision 50, INDEX_HASH " in capsys.readouterr().out
    assert main(["index", "attest", "--plan", str(plan)]) == 0
    assert "theirs: read before, nothing was written since: 50 rows, holds its build" in capsys.readouterr().out
    facts.write_text("pins: [1]\n")
    assert main(["index", "adopt", "--plan", str(plan), "--facts", str(facts)]) == 2
    assert main(["index", "adopt", "--plan", str(plan), "--pin", "NONE=1"]) == 2

"""What an index build refuses or stops at, each with one line; and who may use what it made. On a real PostgreSQL."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.sandbox.index_world import World, held

from switchover.encoders.wordllama import WordLlamaEncoder
from switchover.errors import BadInput, TargetRefused, Unreachable
from switchover.indexing.copying import copy_rows


def test_bad_input_is_one_clear_line(world: World) -> None:
    with pytest.raises(BadInput, match=r'documents nowhere in .*: relation "nowhere" does not exist.*docs/build.md'):
        world.builder(table="nowhere").run()
    with pytest.raises(BadInput, match="build.pins: RERANK_CONF, PROMPT_VER.* not given, and no arm is live"):
        world.builder(pins={}).run()
    world.conn.execute("UPDATE documents SET text = ' '")
    with pytest.raises(BadInput, match="the source has no document with a chunk; nothing was published"):
        world.builder().run()
    with pytest.raises(BadInput, match="which has 60 bytes; allowed: 56 bytes"):
        world.builder("x" * 60)
    assert world.oid("arm") == (None,)


def test_what_no_build_has_made_is_never_replaced(world: World) -> None:
    world.conn.execute("CREATE TABLE arm (id text); INSERT INTO arm VALUES ('somebody''s')")
    with pytest.raises(TargetRefused, match="no build has made .*left as it is; rename it, or build under a free name"):
        world.builder().run()
    assert world.conn.execute("SELECT id FROM arm").fetchall() == [("somebody's",)]
    assert world.oid("arm__build") == (None,), "found before anything was loaded"
    world.conn.execute("DROP TABLE arm; CREATE VIEW arm AS SELECT 1 AS id")
    with pytest.raises(TargetRefused, match="no build has made"):
        world.builder().run()


def test_an_old_table_that_a_view_shows_stays(world: World) -> None:
    first = world.builder().run()
    world.conn.execute("CREATE VIEW shown AS SELECT id FROM arm")
    world.write("doc-20", 2)
    with pytest.raises(TargetRefused, match="view shown depends on table arm; nothing was removed"):
        world.builder().run()
    assert held(world).index_hash == first.manifest.index_hash
    world.conn.execute("DROP VIEW shown")
    assert world.builder().run().changed, "what was built is there still"


def test_an_encoder_of_another_dimension_is_refused_and_another_revision_begins_again(world: World) -> None:
    with pytest.raises(BadInput, match="the plan says 256 dimensions, encoder 'wordllama-l2-supercat' .* gives 64"):
        world.builder(encoded_by=WordLlamaEncoder(dimension=64))
    begun = world.builder(encoded_by=WordLlamaEncoder(revision="256.1-rotated"))
    begun.begin()
    begun.load()
    world.said.clear()
    world.builder().run()
    assert "arm: started" in world.said
    world.builder("other").run()
    assert world.rows("arm") == world.rows("other"), "vectors of two encoders are never mixed"


def test_a_full_disk_stops_it_with_one_line_and_it_goes_on_afterwards(world: World) -> None:
    """The server's own error for it, raised by a trigger: no disk was filled."""
    whole = world.builder("other").run()
    builder = world.builder()
    builder.begin()
    world.conn.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON arm__build FOR EACH ROW WHEN (NEW.doc >= 'doc-07')"
        " EXECUTE FUNCTION full_disk()"
    )
    with pytest.raises(BadInput, match=r"No space left on device; what was stored before stays: make room") as raised:
        builder.load()
    assert len(str(raised.value).splitlines()) == 1
    world.conn.execute("DROP TRIGGER full_disk ON arm__build")
    assert world.builder().run().manifest.index_hash == whole.manifest.index_hash
    assert any(line.startswith("going on behind ") for line in world.said)


def test_a_connection_that_is_lost_in_a_batch_is_said_and_it_goes_on_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = world.builder("other").run()
    builder = world.builder()
    builder.begin()

    def cut_off(batch: Any) -> Iterator[Any]:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %' AND state = 'active'"
        yield from copy_rows(batch)
        if batch.documents[0].doc >= "doc-06":
            world.conn.execute(others)

    with monkeypatch.context() as patched:
        patched.setattr("switchover.indexing.pgvector.copy_rows", cut_off)
        with pytest.raises(Unreachable, match="build of 'arm' in .*: did not answer: ") as raised:
            builder.load()
    assert len(str(raised.value).splitlines()) == 1
    world.engine.dispose()
    assert world.builder().run().manifest.index_hash == whole.manifest.index_hash


@pytest.fixture
def role(world: World) -> Iterator[Callable[[str], str]]:
    """Makes roles that may log in and nothing else; gives their names, which no other test has."""
    made: list[str] = []

    def make(name: str) -> str:
        made.append(f"{name}_{uuid.uuid4().hex[:8]}")
        world.conn.execute(f"CREATE ROLE {made[-1]} LOGIN")
        return made[-1]

    yield make
    world.engine.dispose()
    for name in made:
        world.conn.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def needed_rights() -> list[str]:
    """What the page says that a build's role needs."""
    page = (Path(__file__).parents[2] / "docs" / "build.md").read_text()
    return re.findall(r"^GRANT (.*) TO builder;", page, re.MULTILINE)


def as_role(world: World, name: str) -> World:
    """The same, as another role."""
    return dataclasses.replace(world, engine=sa.create_engine(world.engine.url.set(username=name)))


def test_a_right_that_is_missing_is_named_before_anything_is_loaded(world: World, role: Callable[[str], str]) -> None:
    builds = role("builds")
    assert needed_rights() == [
        "SELECT ON documents",
        "CREATE ON SCHEMA public",
        "SELECT, INSERT, UPDATE ON switchover_manifest",
    ]
    world.conn.execute("DROP TABLE switchover_build")
    mine = as_role(world, builds)
    with pytest.raises(BadInput, match="permission denied for schema public; a build creates its tables itself"):
        mine.builder().run()
    world.conn.execute(f"GRANT CREATE ON SCHEMA public TO {builds}")
    with pytest.raises(BadInput, match="permission denied for table switchover_manifest"):
        mine.builder().run()
    world.conn.execute(f"GRANT SELECT, INSERT, UPDATE ON switchover_manifest TO {builds}")
    with pytest.raises(BadInput, match="documents documents in .*: permission denied for table documents"):
        mine.builder().run()
    world.conn.execute(f"GRANT SELECT ON documents TO {builds}")
    assert mine.builder().run().changed, "these rights are enough"
    world.builder("arm_of_another").run()
    world.write("doc-20", 2)
    with pytest.raises(BadInput, match="belongs to role 'postgres', and only its owner may replace it"):
        mine.builder("arm_of_another").begin()
    mine.engine.dispose()


def test_green_has_the_rights_that_blue_has_and_no_others(world: World, role: Callable[[str], str]) -> None:
    builds, reads, writes, sees_little, nobody = map(role, ("builds", "reads", "writes", "sees_little", "nobody"))
    world.builder("blue").run()
    world.conn.execute("DROP TABLE switchover_build")
    for grant in needed_rights():
        world.conn.execute(f"GRANT {grant} TO {builds}")
    world.live = "blue"
    world.conn.execute(
        f"GRANT SELECT ON blue TO {reads}; GRANT SELECT, INSERT ON blue TO {writes};"
        f" GRANT SELECT (id, doc) ON blue TO {sees_little}"
    )
    world.write("doc-20", 2)
    mine = as_role(world, builds)
    mine.builder("green").run()
    mine.engine.dispose()
    may = {
        who: [
            right
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
            if world.conn.execute("SELECT has_table_privilege(%s, 'green', %s)", [who, right]).fetchone() == (True,)
        ]
        for who in (reads, writes, sees_little, nobody)
    }
    assert may == {reads: ["SELECT"], writes: ["SELECT", "INSERT"], sees_little: [], nobody: []}
    assert world.conn.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'green'").fetchone() == (builds,)
    reader = as_role(world, sees_little).engine
    with reader.connect() as connection:
        assert connection.execute(sa.text("SELECT count(id) FROM green")).scalar_one() == len(world.rows("green"))
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            connection.execute(sa.text("SELECT text FROM green"))
    reader.dispose()
    said = next(line for line in world.said if line.startswith('green: who may use it: as on "blue": '))
    assert f"{reads}: SELECT" in said and f"{writes}: INSERT, SELECT" in said and f"{sees_little}: SELECT (doc)" in said


def test_an_arm_that_is_built_again_before_any_is_live_keeps_its_rights(
    world: World, role: Callable[[str], str]
) -> None:
    reads = role("reads")
    world.builder().run()
    world.conn.execute(f"GRANT SELECT ON arm TO {reads}")
    world.write("doc-20", 2)
    world.builder().run()
    assert world.conn.execute("SELECT has_table_privilege(%s, 'arm', 'SELECT')", [reads]).fetchone() == (True,)


def test_rows_that_policies_hide_are_not_opened_by_a_build(world: World, role: Callable[[str], str]) -> None:
    reads = role("reads")
    world.builder("blue").run()
    world.live = "blue"
    world.conn.execute(
        f"GRANT SELECT ON blue TO {reads}; ALTER TABLE blue ENABLE ROW LEVEL SECURITY;"
        f" CREATE POLICY own ON blue TO {reads} USING (doc = 'doc-01')"
    )
    world.builder("green").run()
    assert world.conn.execute("SELECT has_table_privilege(%s, 'green', 'SELECT')", [reads]).fetchone() == (False,)
    assert any('its owner ONLY: "blue" has row security; create the policies' in line for line in world.said)

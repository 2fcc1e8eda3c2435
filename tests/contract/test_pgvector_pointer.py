"""What only the alias row does: it moves only to the build that was approved."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from switchover.edge.edge import Edge
from switchover.errors import BadInput, TargetRefused
from switchover.pointers import Pointer
from switchover.pointers.pgvector import PgvectorPointer
from switchover.steps.move import pointer_spec
from tests.contract.worlds.base import BLUE, CONNECTION, back, change
from tests.contract.worlds.sql import PgvectorWorld


@pytest.fixture
def world(pg_server: object) -> Iterator[PgvectorWorld]:
    world = PgvectorWorld(pg_server)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def test_a_build_that_was_not_approved_is_refused(world: PgvectorWorld) -> None:
    pointer = world.pointer()
    with pytest.raises(TargetRefused, match="has INDEX_HASH hash-docs_v2, approved is another"):
        pointer.apply(change(approved="another"))
    assert world.serve() == {BLUE}
    assert pointer.apply(change(approved="hash-docs_v2")).changed


def test_a_build_that_changes_between_look_and_write_is_refused(world: PgvectorWorld) -> None:
    pointer = world.pointer()
    wanted = change(approved="hash-docs_v2")
    now = pointer.read()
    world.execute("UPDATE switchover_manifest SET index_hash = 'rebuilt' WHERE target = 'docs_v2'")
    try:
        assert not pointer.swap(now, wanted)
        assert world.serve() == {BLUE}
    finally:
        world.execute("UPDATE switchover_manifest SET index_hash = 'hash-docs_v2' WHERE target = 'docs_v2'")


def as_role(world: PgvectorWorld, *grants: str) -> Pointer:
    """The pointer of a user who has these rights and no others."""
    world.execute(
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'alias_role') THEN"
        " CREATE ROLE alias_role LOGIN; END IF; END $$"
    )
    world.execute("REVOKE ALL ON switchover_alias, switchover_manifest FROM alias_role")
    for grant in grants:
        world.execute(f"GRANT {grant} TO alias_role")
    own = dataclasses.replace(world.connection(world.address), login="alias_role")
    return pointer_spec({"kind": "pgvector", "connection": CONNECTION, "alias": world.name}).build(
        Edge(connections=lambda _: own)
    )


def test_the_grants_of_the_page_are_enough_for_everything(world: PgvectorWorld) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pointers" / "pgvector.md").read_text()
    grants = ["SELECT, INSERT, UPDATE, DELETE ON switchover_alias", "SELECT ON switchover_manifest"]
    assert all(f"GRANT {grant} TO switchover;" in page for grant in grants)
    pointer = as_role(world, *grants)
    pointer.refuse_older(3)
    assert pointer.apply(change(epoch=3)).changed
    with pointer.shadow(BLUE) as shadow:
        assert shadow.apply(change(epoch=3)).changed
    assert pointer.apply(back(epoch=3)).changed


@pytest.mark.parametrize(
    ("grants", "lacking"),
    [
        (["SELECT ON switchover_alias", "SELECT ON switchover_manifest"], "switchover_alias"),
        (["SELECT, UPDATE ON switchover_alias"], "switchover_manifest"),
    ],
)
def test_a_missing_right_is_said_and_changes_nothing(world: PgvectorWorld, grants: list[str], lacking: str) -> None:
    with pytest.raises(BadInput, match=f"permission denied for table {lacking}") as raised:
        as_role(world, *grants).apply(change())
    assert "\n" not in str(raised.value)
    assert world.serve() == {BLUE}


def test_missing_tables_are_bad_input(fresh_db: str) -> None:
    engine = sa.create_engine(fresh_db)
    with pytest.raises(BadInput, match='relation "switchover_alias" does not exist'):
        PgvectorPointer(engine=engine, alias="docs").read()
    engine.dispose()

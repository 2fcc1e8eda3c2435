"""What only the alias row does: it moves only to the build that was approved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from switchover.errors import BadInput, TargetRefused
from switchover.pointers.pgvector import PgvectorPointer
from tests.contract.worlds.base import BLUE, change
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


def test_missing_tables_are_bad_input(fresh_db: str) -> None:
    engine = sa.create_engine(fresh_db)
    with pytest.raises(BadInput, match='relation "switchover_alias" does not exist'):
        PgvectorPointer(engine=engine, alias="docs").read()
    engine.dispose()

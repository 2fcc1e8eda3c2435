"""What only an SQL fence has: its table may be missing, and a write that never ends may hold its row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.processes.postgres import Postgres
from switchover.errors import BadInput
from tests.contract.writers.sql import WriteGateWorld


@pytest.fixture
def world(pg_server: Postgres) -> Iterator[WriteGateWorld]:
    world = WriteGateWorld(pg_server)
    world.set_up()
    yield world
    world.tear_down()
    world.close()


def test_a_database_without_the_table_is_one_line_with_the_next_step(world: WriteGateWorld) -> None:
    world.execute("ALTER TABLE switchover_fence RENAME TO away")
    try:
        with pytest.raises(
            BadInput, match='"switchover_fence" does not exist; docs/writers.md has the table'
        ) as raised:
            world.writer().find()
    finally:
        world.execute("ALTER TABLE away RENAME TO switchover_fence")
    assert len(str(raised.value).splitlines()) == 1


def test_a_write_that_never_ends_does_not_keep_an_open_fence_from_being_resumed(world: WriteGateWorld) -> None:
    writer = world.writer()
    found = writer.find()
    world.begin()
    writer.freeze(epoch=1)
    assert not writer.drained().done
    world.writer().resume(found, epoch=1)
    assert world.state() is False

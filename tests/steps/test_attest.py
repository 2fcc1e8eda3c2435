"""What verify asks of both indexes: Green holds its build, as it was read before the freeze; Blue has lived."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from switchover.errors import InvariantBroken, Unreachable
from switchover.indexes.pgvector import PgvectorIndex
from switchover.protocol import State
from switchover.steps import finish
from switchover.steps.attest import attest_green
from switchover.steps.freeze import freeze
from switchover.steps.switch import Switch
from switchover.steps.verify import verify
from tests.world import World

LIVED = (
    "UPDATE docs_v1 SET text = 'new text', revision = 99 WHERE id = (SELECT min(id) FROM docs_v1)",
    "DELETE FROM docs_v1 WHERE id = (SELECT max(id) FROM docs_v1)",
    "INSERT INTO docs_v1 SELECT 'more', doc, section, 0, 4, 1, 'more', 'x', 99, embedding FROM docs_v1 LIMIT 1",
)


@pytest.fixture
def lived(world: World) -> Iterator[World]:
    """Blue after an update, a delete and an insert; put back afterwards."""
    world.sql("CREATE TABLE kept_blue AS SELECT * FROM docs_v1")
    for statement in LIVED:
        world.sql(statement)
    yield world
    world.sql("DELETE FROM docs_v1")
    world.sql("INSERT INTO docs_v1 SELECT * FROM kept_blue")
    world.sql("DROP TABLE kept_blue")


def checks(world: World, switch: Switch) -> dict[str, tuple[bool, str]]:
    rows = world.ledger.journal.checks(switch.id)
    return {row["name"]: (row["ok"], row["found"]) for row in rows}


def test_blue_lives_and_verify_passes(lived: World) -> None:
    switch = lived.open()
    freeze(switch)
    verify(switch)
    assert switch.read().state is State.VERIFIED
    count = lived.sql("SELECT count(*) FROM docs_v1")[0][0]
    assert checks(lived, switch)["Blue since its build"] == (True, f"{count:,} rows, as built")
    lived.sql("DELETE FROM docs_v1 WHERE id = 'more'")
    verify(lived.again(switch))
    assert checks(lived, switch)["Blue since its build"][1].endswith("rows, -1 beside its build")
    finish.abort(switch)


def test_an_empty_blue_is_refused(lived: World) -> None:
    switch = lived.open()
    freeze(switch)
    lived.sql("DELETE FROM docs_v1")
    with pytest.raises(InvariantBroken, match="Blue index docs_v1: found empty"):
        verify(switch)
    finish.abort(switch)


def test_a_reading_before_the_freeze_is_not_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = world.open()
    assert "read whole" in attest_green(switch)
    assert "nothing was written since" in attest_green(world.again(switch))
    freeze(switch)

    def read(*_: object, **__: object) -> None:
        raise AssertionError("a whole reading under the freeze")

    monkeypatch.setattr(PgvectorIndex, "tally", read)
    verify(switch)
    audited = checks(world, switch)["Green audit"][1]
    assert "rows as they were read; one altered row is found with probability 100.00%" in audited
    finish.abort(switch)


def test_what_is_written_after_the_reading_is_found(world: World) -> None:
    switch = world.open()
    attest_green(switch)
    freeze(switch)
    with psycopg.connect(world.db_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE docs_v2 SET embedding = embedding + embedding WHERE id = (SELECT min(id) FROM docs_v2)"
        )
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")
    with pytest.raises(InvariantBroken, match="Green vectors: found others than when they were first read"):
        verify(switch)
    finish.abort(switch)


def test_blue_that_was_made_again_is_another_index(world: World) -> None:
    """Its manifest row is still there, and its name."""
    switch = world.open()
    mark = switch.index.mark("docs_v1")
    manifest = switch.index.manifest("docs_v1")
    proof = switch.ledger.receipts
    attest_green(switch)
    found = proof.of(switch.index.mark("docs_v2").creation)
    assert found is not None
    older = {**found.to_json(), "target": "docs_v1", "index_hash": manifest.index_hash, "creation": "dropped since"}
    proof.keep(type(found).from_json(older), actor="a run before")
    freeze(switch)
    with pytest.raises(InvariantBroken, match=f"Blue is the same index: found {mark.creation}, expected dropped since"):
        verify(switch)
    finish.abort(switch)


def test_a_promotion_names_the_build_that_blue_must_be(world: World) -> None:
    first = world.open("docs:promoted")
    world.warm(first)
    finish.abort(first)
    with psycopg.connect(world.db_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE switchover_run SET state = 'promoted', green = 'docs_v1', approved_hash = 'another build'"
        )
    switch = world.open("docs:next")
    freeze(switch)
    with pytest.raises(InvariantBroken, match="Blue is the promoted build: found .*, expected another build; if not"):
        verify(switch)
    finish.abort(switch)


@pytest.mark.parametrize("broken", ["health", "manifest", "mark", "tally", "rows"])
def test_an_index_that_does_not_answer_is_a_check_that_has_failed(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    switch = world.open()
    freeze(switch)

    def silent(*_: object, **__: object) -> None:
        raise Unreachable("index: did not answer")

    with monkeypatch.context() as patched:
        patched.setattr(PgvectorIndex, broken, silent)
        with pytest.raises(InvariantBroken, match="index: did not answer"):
            verify(switch)
    assert {"gold set", "signals answer", "pointer on Blue"} <= set(checks(world, switch)), "the others were made"
    finish.abort(switch)


def test_an_arm_that_does_not_answer_is_a_check_that_has_failed(world: World) -> None:
    switch = world.open()
    freeze(switch)
    arms = {name: arm.model_copy(update={"connection": "nobody"}) for name, arm in switch.plan.arms.items()}
    switch.__dict__["plan"] = switch.plan.model_copy(update={"arms": arms})
    with pytest.raises(InvariantBroken, match="Blue arm: found"):
        verify(switch)
    assert "signals answer" in checks(world, switch)
    finish.abort(switch)


def test_the_ledger_keeps_one_reading_an_index(world: World) -> None:
    switch = world.open()
    attest_green(switch)
    attest_green(switch)
    with world.edge.sql(world.plan.ledger).connect() as connection:
        rows = connection.execute(sa.text("SELECT target, whole, actor FROM switchover_receipt")).all()
    assert [tuple(row) for row in rows] == [("docs_v2", True, "test")]
    finish.abort(switch)

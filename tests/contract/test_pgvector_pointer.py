"""The alias row against the pointer contract, on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from switchover.errors import BadInput, LeaseLost, PointerConflict, TargetRefused, Unreachable
from switchover.pointers import Change
from switchover.pointers.pgvector import PgvectorPointer, create_tables

BLUE, GREEN = "docs_v1", "docs_v2"


@pytest.fixture
def engine(fresh_db: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(fresh_db, pool_size=8)
    create_tables(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO switchover_alias (alias, target) VALUES ('docs', 'docs_v1')"))
        for target in (BLUE, GREEN):
            connection.execute(
                sa.text("INSERT INTO switchover_manifest (target, index_hash, manifest) VALUES (:t, :h, '{}')"),
                {"t": target, "h": f"hash-{target}"},
            )
    yield engine
    engine.dispose()


@pytest.fixture
def pointer(engine: sa.Engine) -> PgvectorPointer:
    return PgvectorPointer(engine=engine, alias="docs")


def change(before: str = BLUE, after: str = GREEN, *, epoch: int = 1, approved: str | None = None) -> Change:
    return Change(before=before, after=after, epoch=epoch, actor="test", approved_hash=approved or f"hash-{after}")


def test_read_after_write(pointer: PgvectorPointer) -> None:
    assert pointer.read().target == BLUE
    applied = pointer.apply(change())
    assert applied.changed
    reading = pointer.read()
    assert (reading.target, reading.version, reading.epoch) == (GREEN, applied.version, 1)
    assert pointer.verify(GREEN)
    assert not pointer.verify(BLUE)


def test_apply_at_the_target_changes_nothing(pointer: PgvectorPointer) -> None:
    pointer.apply(change())
    before = pointer.read()
    assert not pointer.apply(change()).changed
    assert pointer.read() == before


def test_rollback_is_the_same_apply_with_the_arms_exchanged(pointer: PgvectorPointer) -> None:
    pointer.apply(change())
    assert pointer.apply(change(GREEN, BLUE)).changed
    assert pointer.read().target == BLUE


def test_wrong_expected_arm_changes_nothing_and_shows_both_values(pointer: PgvectorPointer) -> None:
    with pytest.raises(PointerConflict, match="expected 'other', found 'docs_v1'; nothing was changed"):
        pointer.apply(change("other", GREEN))
    assert pointer.read().target == BLUE


def test_a_late_writer_with_an_old_epoch_loses(pointer: PgvectorPointer) -> None:
    pointer.fence(5)
    with pytest.raises(LeaseLost, match="epoch 5 has written, this holder has 4"):
        pointer.apply(change(epoch=4))
    assert pointer.read().target == BLUE
    assert pointer.apply(change(epoch=5)).changed


def test_a_fence_never_goes_back(pointer: PgvectorPointer) -> None:
    pointer.fence(5)
    pointer.fence(3)
    assert pointer.read().epoch == 5


def test_a_build_that_was_not_approved_is_refused(pointer: PgvectorPointer) -> None:
    with pytest.raises(TargetRefused, match="has INDEX_HASH hash-docs_v2, approved is another"):
        pointer.apply(change(approved="another"))
    with pytest.raises(TargetRefused, match="'docs_v9' has INDEX_HASH none"):
        pointer.apply(change(after="docs_v9"))
    assert pointer.read().target == BLUE


def test_an_absent_alias_is_said_and_not_created(engine: sa.Engine) -> None:
    absent = PgvectorPointer(engine=engine, alias="nowhere")
    assert absent.read().target is None
    with pytest.raises(PointerConflict, match="no alias row of this name"):
        absent.apply(change())
    assert absent.read().target is None


def test_of_two_writers_at_once_one_wins(engine: sa.Engine) -> None:
    pointer = PgvectorPointer(engine=engine, alias="docs")
    barrier = threading.Barrier(8)
    changed: list[bool] = []

    def race() -> None:
        barrier.wait()
        changed.append(pointer.apply(change()).changed)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False] * 7 + [True]
    assert pointer.read().version == 2


def test_plan_says_what_would_change_and_changes_nothing(pointer: PgvectorPointer) -> None:
    assert "would move from 'docs_v1' to 'docs_v2'" in pointer.plan(change())
    assert pointer.read().target == BLUE
    pointer.apply(change())
    assert "nothing would change" in pointer.plan(change())


def test_a_shadow_is_walked_there_and_back_and_is_gone(pointer: PgvectorPointer, engine: sa.Engine) -> None:
    with pointer.shadow(BLUE) as shadow:
        assert shadow.apply(change()).changed
        assert shadow.apply(change(GREEN, BLUE)).changed
        assert pointer.read().version == 1, "the live pointer was not touched"
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM switchover_alias")).scalar_one() == 1


def test_a_store_that_does_not_answer_is_unreachable() -> None:
    engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 2})
    with pytest.raises(Unreachable, match="127.0.0.1:1/none"):
        PgvectorPointer(engine=engine, alias="docs").read()


def test_missing_tables_are_bad_input(fresh_db: str) -> None:
    engine = sa.create_engine(fresh_db)
    with pytest.raises(BadInput, match='relation "switchover_alias" does not exist'):
        PgvectorPointer(engine=engine, alias="docs").read()
    engine.dispose()

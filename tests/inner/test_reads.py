"""A read of any database has an end, and leaves nothing behind that goes on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from switchover.edge import reads
from switchover.errors import Unreachable

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_statement_that_never_ends_is_given_up_and_ended(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'log.db'}")
    before = set(threading.enumerate())
    with pytest.raises(Unreachable, match="log: did not answer: no whole answer within 0.2 s"):
        reads.rows(engine, "log", sa.text(ENDLESS), {}, seconds=0.2)
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=20)
        assert not thread.is_alive(), "the statement goes on and takes a core"
    assert reads.rows(engine, "log", sa.text("SELECT 1 AS one"), {}) == [{"one": 1}]

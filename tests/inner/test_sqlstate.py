""" "Did not answer" is true: what an error of a real PostgreSQL is called, and what becomes of a row it cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
import sqlalchemy as sa
from judge_cases import typed

from switchover.edge import sql
from switchover.errors import BadInput, LedgerUnreachable, LockBusy, SwitchoverError, Unreachable, Unstorable
from switchover.ledger import Ledger


@pytest.fixture
def engine(fresh_db: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(fresh_db)
    yield engine
    engine.dispose()


def raised(engine: sa.Engine, statement: str, **given: object) -> SwitchoverError:
    with pytest.raises(SwitchoverError) as found, sql.transaction(engine, "db", unreachable=LedgerUnreachable) as open_:
        open_.execute(sa.text(statement), given)
    assert "\n" not in str(found.value)
    return found.value


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("08006", LedgerUnreachable, "did not answer"),
        ("57P01", LedgerUnreachable, "did not answer"),
        ("57P03", LedgerUnreachable, "did not answer"),
        ("53100", LedgerUnreachable, "did not answer"),
        ("53300", LedgerUnreachable, "did not answer"),
        ("57014", LedgerUnreachable, "did not answer"),
        ("55P03", LockBusy, "a lock"),
        ("40P01", LockBusy, "met another transaction"),
        ("40001", LockBusy, "met another transaction"),
        ("54000", Unstorable, "cannot hold this"),
        ("54001", BadInput, "refused"),
        ("22021", Unstorable, "cannot hold this"),
        ("55000", BadInput, "refused"),
    ],
)
def test_the_sqlstate_says_what_an_error_is(engine: sa.Engine, state: str, kind: type, said: str) -> None:
    error = raised(engine, f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
    assert isinstance(error, kind), f"{type(error).__name__}: {error}"
    assert said in str(error)
    assert isinstance(error, Unreachable) == (kind is LedgerUnreachable)


def test_what_an_index_or_a_text_cannot_hold_is_said_so(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id text PRIMARY KEY, n int)")
    noise = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(20_000))
    assert isinstance(raised(engine, "INSERT INTO t VALUES (:id, 1)", id=noise), Unstorable)
    assert isinstance(raised(engine, "INSERT INTO t VALUES (:id, 1)", id="a\x00b"), Unstorable)
    assert isinstance(raised(engine, "INSERT INTO t VALUES ('x', cast(:n AS int8))", n=2**40), Unstorable)


def test_a_server_that_is_not_there_did_not_answer() -> None:
    nowhere = sa.create_engine("postgresql+psycopg://x@127.0.0.1:1/x?connect_timeout=2")
    with (
        pytest.raises(LedgerUnreachable, match="did not answer"),
        sql.transaction(nowhere, "db", unreachable=LedgerUnreachable),
    ):
        pass


def test_a_row_that_cannot_be_stored_becomes_a_failed_probe(ledger: Ledger) -> None:
    row = {
        "phase": "hold",
        "tick": 0,
        "arm": "green",
        "paraphrase": 0,
        "seed": 0,
        "ds_question": 0.1,
        "ds_anchor": 0.1,
        "coverage": 1.0,
        "cited": None,
        "status": 200,
        "error": None,
        "ms_retrieve": 1.0,
        "ms_rerank": 1.0,
        "ms_reason": 1.0,
        "ms_total": 1.0,
        "tool_loop": False,
        "hits": [],
        "at": datetime.now(timezone.utc),
    }
    bad = {**row, "question": "q1", "cited": "a\x00b", "hits": [{"snippet_id": "a\x00"}]}
    kept = ledger.evidence.keep("docs:1", typed([{**row, "question": "q0"}, bad, {**row, "question": "q2"}]))
    stored = {row.question: row for row in ledger.evidence.rows("docs:1", phase="hold")}
    assert sorted(stored) == ["q0", "q1", "q2"]
    assert stored["q1"].ms_total is None and stored["q1"].coverage == 0.0 and stored["q1"].cited is None
    assert stored["q0"].ms_total == 1.0
    assert [str(each.error).split(":")[0] for each in kept] == ["None", "cannot be stored", "None"]

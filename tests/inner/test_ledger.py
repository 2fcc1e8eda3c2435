"""The ledger on a real PostgreSQL: conditional moves, leases with epochs, evidence that is never doubled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from switchover.errors import BadInput, LeaseLost, LedgerUnreachable, StateConflict
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.traffic import AskedFigure, Dead
from switchover.ledger import Lease, Ledger, RunRow
from switchover.ledger.leases import require
from switchover.ledger.tables import metadata
from switchover.plan import Plan
from switchover.planfile.load import load_plan
from switchover.protocol import Decision, State

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"


@pytest.fixture
def ledger(fresh_db: str) -> Iterator[Ledger]:
    engine = sa.create_engine(fresh_db, pool_size=10)
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    yield ledger
    engine.dispose()


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(PLAN)


def open_run(ledger: Ledger, plan: Plan, id: str = "docs:1") -> RunRow:
    return ledger.runs.open(id=id, plan=plan, pointer="p", blue="v1", green="v2", hold_minutes=20)


def test_opening_twice_is_one_run_and_keeps_its_plan(ledger: Ledger, plan: Plan) -> None:
    first = open_run(ledger, plan)
    edited = plan.model_copy(update={"owner": "someone else"})
    again = ledger.runs.open(id="docs:1", plan=edited, pointer="p", blue="x", green="y", hold_minutes=1)
    assert again == first
    assert again.read_plan() == plan
    assert again.state is State.PLANNED


def lead(ledger: Ledger, holder: str = "docs:1", seconds: float = 60) -> Lease:
    return ledger.leases.take("p", holder=holder, seconds=seconds)


def test_moves_follow_the_protocol(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    lease = lead(ledger)
    assert ledger.runs.move("docs:1", State.FROZEN, lease=lease).state is State.FROZEN
    assert ledger.runs.move("docs:1", State.FROZEN, lease=lease).state is State.FROZEN, "a repeat is a no-op"
    with pytest.raises(StateConflict, match="is frozen, so it was not recorded as flipping; .*`switchover doctor`"):
        ledger.runs.move("docs:1", State.FLIPPING, lease=lease)
    ended = ledger.runs.move("docs:1", State.ABORTED, lease=lease, reason="test")
    assert ended.ended_at is not None
    with pytest.raises(StateConflict):
        ledger.runs.move("docs:1", State.VERIFIED, lease=lease)


def test_the_first_decision_stands(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    ledger.runs.decide("docs:1", Decision.ROLL_BACK, lease=lead(ledger), reason="first")
    row = ledger.runs.decide("docs:1", Decision.PROMOTE, lease=lead(ledger), reason="second")
    assert (row.decision, row.reason) == (Decision.ROLL_BACK, "first")


@pytest.mark.parametrize("taken", ["same holder", "another", "nobody"])
def test_a_process_whose_lease_has_ended_writes_neither_state_nor_decision(
    ledger: Ledger, plan: Plan, taken: str
) -> None:
    open_run(ledger, plan)
    zombie = lead(ledger, seconds=0.05)
    time.sleep(0.1)
    if taken != "nobody":
        lead(ledger, holder="docs:1" if taken == "same holder" else "watchdog")
    with pytest.raises(LeaseLost, match=r"this process \('docs:1', epoch 1\) may not write any more"):
        ledger.runs.move("docs:1", State.FROZEN, lease=zombie)
    with pytest.raises(LeaseLost):
        ledger.runs.decide("docs:1", Decision.PROMOTE, lease=zombie, reason="late")
    row = ledger.runs.get("docs:1")
    assert (row.state, row.decision) == (State.PLANNED, None)


def test_a_lease_on_another_pointer_moves_nothing(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    other = ledger.leases.take("q", holder="docs:1", seconds=60)
    with pytest.raises(StateConflict):
        ledger.runs.move("docs:1", State.FROZEN, lease=other)
    assert ledger.runs.decide("docs:1", Decision.PROMOTE, lease=other, reason="").decision is None


def test_nobody_takes_the_lease_while_a_move_is_being_written(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    lease = lead(ledger)
    taken = threading.Event()

    def seize() -> None:
        ledger.leases.seize("p", holder="person", seconds=60)
        taken.set()

    with ledger.database.transaction() as connection:
        require(connection, lease)
        thread = threading.Thread(target=seize)
        thread.start()
        assert not taken.wait(0.2)
    assert taken.wait(10)
    thread.join()


def test_a_stamp_is_written_once(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    first = ledger.runs.stamp("docs:1", "judged_at").judged_at
    assert first is not None
    assert ledger.runs.stamp("docs:1", "judged_at").judged_at == first


def test_of_two_movers_one_wins(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    lease = lead(ledger)
    results: list[str] = []
    barrier = threading.Barrier(2)

    def race(to: State) -> None:
        barrier.wait()
        try:
            results.append(ledger.runs.move("docs:1", to, lease=lease).state.value)
        except StateConflict:
            results.append("lost")

    threads = [threading.Thread(target=race, args=(to,)) for to in (State.FROZEN, State.ABORTED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.runs.get("docs:1").state.value in results


def test_a_lease_is_exclusive_until_it_runs_out_and_its_epoch_grows(ledger: Ledger) -> None:
    mine = lead(ledger, "a", 0.3)
    assert (mine.epoch, mine.alive) == (1, True)
    assert ledger.leases.renew(mine, seconds=0.3).epoch == 1, "renewing keeps the epoch"
    with pytest.raises(LeaseLost, match="held by 'a' since"):
        lead(ledger, "b")
    time.sleep(0.4)
    with pytest.raises(LeaseLost, match="ran out at"):
        ledger.leases.renew(mine, seconds=1)
    assert lead(ledger, "b").epoch == 2
    with pytest.raises(LeaseLost, match=r"held by 'b' .*; this process \('a', epoch 1\)"):
        ledger.leases.renew(mine, seconds=1)


def test_of_one_holder_s_processes_the_newest_leads(ledger: Ledger) -> None:
    old, new = lead(ledger, "a"), lead(ledger, "a")
    assert (old.epoch, new.epoch, new.seized_from) == (1, 2, None)
    with pytest.raises(LeaseLost):
        ledger.leases.renew(old, seconds=60)
    ledger.leases.release(old)
    assert ledger.leases.renew(new, seconds=60).alive


def test_a_living_lease_is_seized_and_it_is_known_from_whom(ledger: Ledger) -> None:
    old = lead(ledger, "docs:1")
    seized = ledger.leases.seize("p", holder="person:ada", seconds=60)
    assert (seized.epoch, seized.seized_from) == (2, "docs:1")
    with pytest.raises(LeaseLost, match="held by 'person:ada' since .*, seized from 'docs:1', until"):
        ledger.leases.renew(old, seconds=60)
    ledger.leases.release(seized)
    free = ledger.leases.seize("p", holder="person:bob", seconds=60)
    assert free.seized_from is None, "nobody had it"


def test_joining_is_for_the_holder_s_living_lease_only(ledger: Ledger) -> None:
    with pytest.raises(LeaseLost, match="nobody holds its lease"):
        ledger.leases.join("p", holder="a")
    mine = lead(ledger, "a")
    assert ledger.leases.join("p", holder="a") == mine
    with pytest.raises(LeaseLost, match="held by 'a'"):
        ledger.leases.join("p", holder="b")
    ledger.leases.release(mine)
    with pytest.raises(LeaseLost, match="let go at"):
        ledger.leases.join("p", holder="a")


def test_a_released_lease_is_free_and_its_epoch_is_not_used_again(ledger: Ledger) -> None:
    mine = lead(ledger, "a")
    ledger.leases.release(mine)
    assert lead(ledger, "b").epoch == 2


def test_of_many_takers_one_gets_the_lease(ledger: Ledger) -> None:
    won: list[str] = []
    barrier = threading.Barrier(6)

    def race(holder: str) -> None:
        barrier.wait()
        try:
            lead(ledger, holder)
            won.append(holder)
        except LeaseLost:
            pass

    threads = [threading.Thread(target=race, args=(f"h{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_ledger_of_an_older_version_gets_its_missing_columns(ledger: Ledger) -> None:
    lead(ledger, "a")
    with ledger.database.transaction() as connection:
        connection.execute(sa.text("ALTER TABLE switchover_lease DROP COLUMN seized_from"))
    ledger.create_tables()
    ledger.create_tables()
    assert ledger.leases.seize("p", holder="b", seconds=60).seized_from == "a", "and the rows are still there"


def evidence(tick: int = 0, arm: str = "blue", coverage: float | None = 1.0) -> EvidenceRow:
    return EvidenceRow.from_row({
        "phase": "hold", "tick": tick, "arm": arm, "question": "q1", "paraphrase": 0, "seed": 0,
        "ds_question": 0.3, "ds_anchor": 0.2, "coverage": coverage, "cited": "s", "status": 200, "error": None,
        "ms_retrieve": 1.0, "ms_rerank": 1.0, "ms_reason": 1.0, "ms_total": 3.0, "tool_loop": False,
        "hits": [{"doc": "d"}],
    })  # fmt: skip


def test_evidence_is_written_once_however_often_it_is_sent(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    rows = [evidence(tick, arm) for tick in range(3) for arm in ("blue", "green")]
    ledger.evidence.add("docs:1", rows)
    ledger.evidence.add("docs:1", [evidence(row.tick, row.arm, 0.0) for row in rows])
    stored = ledger.evidence.rows("docs:1", phase="hold")
    assert len(stored) == 6
    assert {row.coverage for row in stored} == {1.0}
    assert ledger.evidence.last_tick("docs:1", phase="hold") == 2
    assert ledger.evidence.last_tick("docs:1", phase="warm") == -1


def test_verdicts_of_the_newest_look(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    for tick in (0, 1):
        ledger.journal.judged("docs:1", gate="stop", tick=tick, verdicts=[{"rule": "r", "outcome": "PASS", "n": tick}])
    latest = ledger.journal.verdicts("docs:1", gate="stop", latest=True)
    assert [row["body"]["n"] for row in latest] == [1]
    assert len(ledger.journal.verdicts("docs:1")) == 2


def test_how_a_writer_was_found_is_remembered_once(ledger: Ledger, plan: Plan) -> None:
    open_run(ledger, plan)
    ledger.journal.found_writer("docs:1", "w", {"frozen": False})
    row = ledger.journal.found_writer("docs:1", "w", {"frozen": True})
    assert row["found"] == {"frozen": False}, "a repeat sees the frozen writer and must not remember that"


def test_a_ledger_that_does_not_answer() -> None:
    engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 2})
    with pytest.raises(LedgerUnreachable, match="ledger 127.0.0.1:1/none: did not answer"):
        Ledger(engine=engine).runs.find("docs:1")


def test_a_ledger_without_tables_says_what_to_do(fresh_db: str) -> None:
    engine = sa.create_engine(fresh_db)
    with pytest.raises(BadInput, match="`switchover ledger init`"):
        Ledger(engine=engine).runs.find("docs:1")
    engine.dispose()


def test_an_unknown_run_is_bad_input(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="not in the ledger"):
        ledger.runs.get("nothing")


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
def test_what_no_database_stores_is_replaced_in_every_line(ledger: Ledger, plan: Plan, text: str) -> None:
    open_run(ledger, plan)
    ledger.journal.say("docs:1", text, actor=text)
    ledger.journal.step_started("docs:1", "verify", actor=text)
    ledger.journal.step_ended("docs:1", "verify", ok=False, note=text)
    row = ledger.runs.decide("docs:1", Decision.ROLL_BACK, lease=lead(ledger), reason=text)
    shown = text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    assert ledger.journal.events("docs:1")[-1]["text"] == shown
    assert (ledger.journal.steps("docs:1")[-1]["note"], row.reason) == (shown, shown)


#: Columns that hold what a plan or a reply says: both were read into bounds and types at the edge.
READ_AT_THE_EDGE = {
    ("switchover_run", "plan"),
    ("switchover_evidence", "hits"),
    ("switchover_question", "paraphrases"),
    ("switchover_question", "spans"),
    ("switchover_question", "tags"),
    ("switchover_fingerprint", "facts"),
}


def test_every_other_json_column_takes_text_of_any_origin() -> None:
    plain = {(t.name, c.name) for t in metadata.tables.values() for c in t.c if type(c.type) is JSONB}
    assert plain == READ_AT_THE_EDGE


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "\udfff"])
def test_a_store_that_answers_in_no_text_keeps_no_look_from_being_written(
    ledger: Ledger, plan: Plan, text: str
) -> None:
    open_run(ledger, plan)
    shown = text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    asked = AskedFigure(figure="requests", arm="docs_v2", query=text, instant="now", value=None, why=text, raw=text)
    ledger.journal.sampled("docs:1", 0, Dead(why=text, asked=[asked]).to_json())
    assert ledger.journal.samples("docs:1") == [Dead(why=shown)]
    (look,) = ledger.journal.asked("docs:1")
    assert (look["asked"][0]["query"], look["asked"][0]["raw"]) == (shown, shown)
    body = {"rule": "http_5xx", "outcome": "ERROR", "needs": text, "value": float("inf"), "detail": text}
    ledger.journal.judged("docs:1", gate="stop", tick=0, verdicts=[body])
    (verdict,) = (row["body"] for row in ledger.journal.verdicts("docs:1"))
    assert (verdict["needs"], verdict["detail"], verdict["value"]) == (shown, shown, None)

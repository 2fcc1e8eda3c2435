"""The audit chain on a real PostgreSQL: each kind of record, one gapless chain of two writers, old ledgers."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from switchover.approval import Person
from switchover.cli.entry import main
from switchover.errors import BadInput, LeaseLost
from switchover.ledger import Lease, Ledger
from switchover.ledger.audit import append
from switchover.ledger.chain import AuditRecord, verify
from switchover.page.bundle import audit_lines
from switchover.planfile.load import load_plan
from switchover.protocol import Decision, State

ROOT = Path(__file__).parents[2]


def lead(ledger: Ledger, holder: str = "docs:1") -> Lease:
    return ledger.leases.take("p", holder=holder, seconds=60)


def chain(ledger: Ledger) -> list[AuditRecord]:
    return list(ledger.audit.records())


def run_sql(ledger: Ledger, statement: str) -> None:
    with ledger.database.transaction() as connection:
        connection.execute(sa.text(statement))


def ended(ledger: Ledger) -> None:
    ledger.runs.move("docs:1", State.ABORTED, lease=lead(ledger), reason="größer \x00 \ud800")


def test_an_end_is_recorded_once_with_its_facts(ledger: Ledger) -> None:
    ledger.subjects.found_arm("docs:1", "blue", target="docs_v1", pins={"INDEX_HASH": "a"}, reported={})
    ledger.journal.judged("docs:1", gate="acceptance", tick=0, verdicts=[{"rule": "coverage", "outcome": "PASS"}])
    ended(ledger)
    ledger.runs.move("docs:1", State.ABORTED, lease=lead(ledger))
    (record,) = chain(ledger)
    body = json.loads(record.body)
    assert (record.seq, record.kind, record.run, record.actor, record.previous) == (1, "end", "docs:1", "docs:1", "")
    assert (body["state"], body["blue"], body["green"]) == ("aborted", "docs_v1", "docs_v2")
    assert body["reason"].startswith("größer") and body["ended_at"].endswith("+00:00")
    assert len(body["pins_digest"]) == len(body["verdicts_digest"]) == 64
    assert not verify([record]).faulty, "what no database stores is replaced before it is hashed"


def test_a_move_that_is_no_end_writes_no_record(ledger: Ledger) -> None:
    ledger.runs.move("docs:1", State.FROZEN, lease=lead(ledger))
    assert chain(ledger) == []


def test_the_end_of_a_way_back_is_of_its_own_kind(ledger: Ledger) -> None:
    plan = load_plan(ROOT / "include" / "plans" / "docs.yaml")
    ledger.runs.open(id="b", plan=plan, pointer="p", blue="g", green="b", hold_minutes=1, back_of="docs:1")
    ledger.runs.move("b", State.ABORTED, lease=lead(ledger))
    assert [record.kind for record in chain(ledger)] == ["back"]


def test_an_answer_is_recorded_and_a_second_one_is_not(ledger: Ledger) -> None:
    ledger.approvals.ask("docs:1", "before_flip", person_number=1, subject="s", until=ledger.now() + timedelta(hours=1))
    for name in ("anna", "bert"):
        ledger.approvals.answer(
            "docs:1", "before_flip", person_number=1, answer="approved", by=Person(id=name, name=name)
        )
    (record,) = chain(ledger)
    assert (record.kind, record.actor) == ("approval", "anna")
    assert json.loads(record.body)["subject"] == "s"


def test_breaking_the_glass_names_the_person_also_when_another_decision_stands(ledger: Ledger) -> None:
    ledger.runs.decide("docs:1", Decision.PROMOTE, lease=lead(ledger), reason="rules")
    ledger.runs.decide("docs:1", Decision.ROLL_BACK, lease=lead(ledger), reason="why", person="ada")
    (record,) = chain(ledger)
    assert (record.kind, record.actor) == ("break_glass", "ada")
    assert json.loads(record.body) == {"asked": Decision.ROLL_BACK.value, "first": False, "reason": "why"}


def test_a_step_of_retire_is_a_line_and_a_record(ledger: Ledger) -> None:
    ledger.journal.say("docs:1", "said only", actor="ada")
    ledger.journal.say("docs:1", "index 'docs_v1' is removed", actor="ada", audited="retire")
    (record,) = chain(ledger)
    assert (record.kind, json.loads(record.body)) == ("retire", {"text": "index 'docs_v1' is removed"})


def test_a_transaction_that_is_rolled_back_writes_no_record(ledger: Ledger) -> None:

    def dies() -> None:
        with ledger.database.transaction() as connection:
            append(connection, "docs:1", "end", actor="a", facts={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        dies()
    late = lead(ledger)
    lead(ledger)
    with pytest.raises(LeaseLost):
        ledger.runs.move("docs:1", State.ABORTED, lease=late)
    assert chain(ledger) == []
    ended(ledger)
    assert [record.seq for record in chain(ledger)] == [1], "no gap is left"


def test_writers_at_the_same_time_make_one_gapless_chain(ledger: Ledger) -> None:
    barrier = threading.Barrier(4)

    def write(name: str) -> None:
        barrier.wait()
        for number in range(25):
            ledger.journal.say("docs:1", f"{number}", actor=name, audited="retire")

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = chain(ledger)
    assert [record.seq for record in found] == list(range(1, 101))
    assert not verify(found).faulty
    assert {record.actor for record in found} == {"w0", "w1", "w2", "w3"}


def test_a_ledger_without_the_table_ends_its_runs_says_so_and_gets_it(ledger: Ledger) -> None:
    run_sql(ledger, "DROP TABLE switchover_audit")
    ended(ledger)
    assert ledger.runs.get("docs:1").state is State.ABORTED
    (event,) = ledger.journal.events("docs:1")
    assert event["text"].startswith("not in the audit chain (end): relation")
    assert event["text"].endswith("; `switchover ledger init` creates its table")
    assert audit_lines(ledger, "docs:1") == ""
    with pytest.raises(
        BadInput, match=r"switchover_audit.* does not exist; `switchover ledger init` creates the table"
    ):
        chain(ledger)
    ledger.create_tables()
    ledger.journal.say("docs:1", "later", actor="a", audited="retire")
    assert audit_lines(ledger, "docs:1") == f"{chain(ledger)[0].line}\n"


def test_a_missing_right_is_not_told_with_the_cure_of_a_missing_table(ledger: Ledger) -> None:
    """The database's own state of a missing right, raised by a trigger: the test's login has every right."""
    run_sql(
        ledger,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'permission denied' USING ERRCODE = '42501'; END $$;"
        " CREATE TRIGGER refuse BEFORE INSERT ON switchover_audit EXECUTE FUNCTION refuse()",
    )
    ended(ledger)
    assert ledger.runs.get("docs:1").state is State.ABORTED
    (event,) = ledger.journal.events("docs:1")
    assert event["text"] == "not in the audit chain (end): permission denied; docs/audit.md has the rights it needs"


@pytest.fixture
def three(ledger: Ledger, fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    for number in range(3):
        ledger.journal.say("docs:1", f"{number}", actor="ada", audited="retire")
    url = ledger.database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("AIRFLOW_CONN_SWITCHOVER_LEDGER", url.replace("postgresql+psycopg", "postgres"))
    return ledger


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main(["audit", *map(str, arguments)])
    caught = capsys.readouterr()
    return code, caught.out + caught.err


def test_the_command_verifies_and_prints_the_newest_hash(three: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    newest = chain(three)[-1].hash
    code, out = call(capsys, "verify")
    assert code == 0
    assert out.splitlines() == [
        "3 records: the chain is whole",
        f"service 'docs': newest is record 3, hash {newest}",
    ]
    run_sql(three, "DELETE FROM switchover_audit WHERE seq = 3")
    assert call(capsys, "verify")[0] == 0, "a cut end is found by a kept hash only"
    assert call(capsys, "verify", "--service", "dosc") == (
        1,
        "service 'dosc': has no record\n0 records: 1 fault\n",
    ), "a name that is wrong is no good news"
    code, out = call(capsys, "verify", "--head", newest)
    assert code == 1 and f"hash {newest}: was kept and is not in the chain" in out


@pytest.mark.parametrize(
    "change", ["body = body || ' '", "at = at + interval '1 microsecond'", "run = NULL", "seq = 7"]
)
def test_the_command_finds_a_changed_row(three: Ledger, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_sql(three, f"UPDATE switchover_audit SET {change} WHERE seq = 2")
    code, out = call(capsys, "verify", "--service", "docs")
    assert code == 1 and "service 'docs', record " in out


def test_an_export_is_verified_without_a_database(
    three: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    assert call(capsys, "export", "--out", file) == (0, f"{file}: 3 records\n")
    monkeypatch.delenv("AIRFLOW_CONN_SWITCHOVER_LEDGER")
    assert call(capsys, "verify", "--file", file, "--head", chain(three)[1].hash)[0] == 0
    file.write_bytes(file.read_bytes().replace(b"ada", b"eve", 1))
    code, out = call(capsys, "verify", "--file", file)
    assert code == 1 and "record 1: was changed" in out
    code, out = call(capsys, "verify", "--file", tmp_path / "none")
    assert code == 2 and "cannot be read" in out

"""A whole run written into a ledger by hand, as the steps would write it: for tests of reports and pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.inner.judge_cases import Row, probes, sample, typed

from switchover.approval import Person
from switchover.edge.answers import Hit
from switchover.gold.goldset import GoldSet, Item, Span
from switchover.judge.evidence import Evidence
from switchover.judge.gates import judge_acceptance, judge_stop
from switchover.judge.outcome import Verdict
from switchover.ledger import Ledger, tables
from switchover.ledger.tables import run as runs
from switchover.pins import PIN_NAMES
from switchover.planfile.load import load_plan
from switchover.protocol import Decision, State

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"
QUESTIONS = 24
TICKS = 4


def gold() -> GoldSet:
    """Questions of which each one's answer stands at 100..160 of its own document."""
    items = [
        Item.model_validate(
            {
                "id": f"q{number}",
                "question": f"What is {number}?",
                "paraphrases": [f"What is {number}?", f"Say what {number} is.", f"{number}: what is it?"],
                "answers": [{"doc": f"doc{number}", "start": 100, "end": 160}],
                "tags": {"topic": "even" if number % 2 == 0 else "odd"},
            }
        )
        for number in range(QUESTIONS)
    ]
    empty: Any = []
    return GoldSet(
        digest="d" * 64,
        items=items,
        invalid={},
        spans=[[Span(doc=f"doc{number}", start=100, end=160)] for number in range(QUESTIONS)],
        anchors=[f"the answer to {number}" for number in range(QUESTIONS)],
        docs=[],
        token_question=empty,
        token_doc=empty,
        token_start=empty,
        token_end=empty,
    )


def with_hits(of: Row) -> Row:
    """The row with one hit that holds the answer's first half, and one that holds nothing of it."""
    number = of["question"][1:]
    near = {"snippet_id": f"{of['arm']}:{number}", "doc": f"doc{number}", "start": 50, "end": 130, "section_id": "s"}
    far = {"snippet_id": f"{of['arm']}:far", "doc": "other", "start": 0, "end": 50, "section_id": "far"}
    return {**of, "hits": [near, far]}


def record(ledger: Ledger, id: str = "docs:1", *, state: State = State.HOLDING, spoil: Any = lambda row: row) -> None:
    """Every kind of record of a run that is in its hold, or that ended from there."""
    plan = load_plan(PLAN)
    journal, subjects = ledger.journal, ledger.subjects
    ledger.runs.open(id=id, plan=plan, pointer="p", blue="docs_v1", green="docs_v2", hold_minutes=20)
    ledger.leases.take("p", holder=id, seconds=60)
    journal.say(id, "opened", actor="test")
    for name in ("freeze", "verify", "warm", "flip"):
        journal.step_started(id, name, actor="test")
        journal.step_ended(id, name, ok=True, note=f"{name} is done")
    journal.found_writer(id, "ingest", {"frozen": False})
    journal.drained(id, "ingest", proof="nothing in flight")
    journal.checked(id, [{"name": "Blue pins", "ok": True, "found": "all equal", "expected": "all equal"}])
    pins = {name: f"{name} of both" for name in PIN_NAMES}
    subjects.found_arm(id, "blue", target="docs_v1", pins=pins, reported=pins)
    subjects.found_arm(id, "green", target="docs_v2", pins={**pins, "INDEX_HASH": "new", "TOK_VER": "9"}, reported=pins)
    subjects.asks(id, gold())
    ledger.approvals.ask(
        id, "before_flip", person_number=1, subject="a" * 64, until=ledger.now() + timedelta(minutes=30)
    )
    ledger.approvals.answer(id, "before_flip", person_number=1, answer="approved", by=Person(id="anna", name="anna"))
    flip = journal.intend_flip(id, pointer="p", before="docs_v1", after="docs_v2", epoch=1, actor="test")
    journal.applied_flip(flip, changed=True, version=2)
    journal.read_back(flip, readers={"docs-service": "docs_v2"}, seconds=0.2)
    where = {"service": plan.service, "pointer": ledger.runs.get(id).pointer, "blue": "docs_v1", "green": "docs_v2"}
    ledger.rehearsals.add(**where, seconds=0.2, budget_s=120, note="rehearsed", actor="test")
    with ledger.database.transaction() as connection:
        connection.execute(sa.update(tables.rehearsal).values(at=ledger.now() - timedelta(seconds=50)))
    rows = [with_hits(spoil(row)) for row in probes(ticks=TICKS, questions=QUESTIONS)]
    ledger.evidence.add(id, typed(rows))
    ledger.evidence.add(id, typed({**row, "phase": "hold"} for row in rows))
    hits = [
        (row["arm"], Hit(id=hit["snippet_id"], text="x" * (hit["end"] - hit["start"])))
        for row in rows
        for hit in row["hits"]
    ]
    subjects.retrieved(id, hits)
    whole = Evidence.from_rows(typed(rows), gold().ids)
    accepted = judge_acceptance(whole, rules=plan.rules, rehearsal_ttr_s=0.2, traffic=False)
    _judged(ledger, id, "acceptance", TICKS - 1, accepted)
    flipped = ledger.now() - timedelta(seconds=40)
    for tick in range(TICKS):
        journal.sampled(id, tick, {**sample(200 * (tick + 1)).to_json(), **_times(flipped, tick)})
        journal.gauged(id, tick, {"waiting": 3, "oldest_s": 12.5, "doubts": []})
        so_far = Evidence.from_rows(typed(row for row in rows if row["tick"] <= tick), gold().ids)
        now = judge_acceptance(
            so_far, rules=plan.rules, signals=sample(200 * (tick + 1)), rehearsal_ttr_s=0.2, traffic=True
        )
        _judged(ledger, id, "now", tick, now)
        _judged(ledger, id, "stop", tick, judge_stop(so_far, rules=plan.rules, signals=sample(200 * (tick + 1))))
    times: dict[str, Any] = {"gold_digest": "d" * 64, "approved_hash": "new", "blue_hash": "old"}
    times |= {"flipped_at": flipped, "hold_until": flipped + timedelta(minutes=20), "state": state.value}
    if state in (State.PROMOTED, State.ROLLED_BACK):
        times |= {"decision": Decision.PROMOTE.value if state is State.PROMOTED else Decision.ROLL_BACK.value}
        times |= {"ended_at": ledger.now(), "reason": "stop rule: coverage FAIL" if state is State.ROLLED_BACK else ""}
    with ledger.database.transaction() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == id).values(times))


def _judged(ledger: Ledger, id: str, gate: str, tick: int, verdicts: list[Verdict]) -> None:
    ledger.journal.judged(id, gate=gate, tick=tick, verdicts=[verdict.to_json() for verdict in verdicts])


def _times(flipped: datetime, tick: int) -> dict[str, str]:
    return {"since": flipped.isoformat(), "until": (flipped + timedelta(seconds=10 * (tick + 1))).isoformat()}

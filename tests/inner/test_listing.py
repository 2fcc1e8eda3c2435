"""The list of switchovers: filters, pages, verdicts, and who may see what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from switchover.ledger import Ledger
from switchover.ledger.listing import PAGE
from switchover.ledger.tables import run as runs
from switchover.plan import Plan
from switchover.planfile.load import load_plan

PLAN = Path(__file__).parents[2] / "include" / "plans" / "docs.yaml"


@pytest.fixture
def ledger(fresh_db: str) -> Iterator[Ledger]:
    engine = sa.create_engine(fresh_db)
    found = Ledger(engine=engine)
    found.create_tables()
    found.create_tables()  # a second time adds nothing and fails at nothing
    yield found
    engine.dispose()


def opened(ledger: Ledger, plan: Plan, id: str, **changes: object) -> None:
    service = id.partition(":")[0]
    changed = plan.model_copy(update={"service": service})
    ledger.runs.open(id=id, plan=changed, pointer="p", blue="v1", green="v2", hold_minutes=1)
    if changes:
        with ledger.database.transaction() as connection:
            connection.execute(sa.update(runs).where(runs.c.id == id).values(changes))


def judged(ledger: Ledger, id: str, gate: str, tick: int, *outcomes: str) -> None:
    verdicts = [{"rule": f"r{number}", "outcome": outcome} for number, outcome in enumerate(outcomes)]
    ledger.journal.judged(id, gate=gate, tick=tick, verdicts=verdicts)


def test_the_verdict_is_the_worst_of_the_newest_look_of_each_run(ledger: Ledger) -> None:
    plan = load_plan(PLAN)
    for id in ("docs:1", "docs:2", "docs:3"):
        opened(ledger, plan, id)
    judged(ledger, "docs:1", "acceptance", 2, "PASS", "PASS")
    judged(ledger, "docs:1", "stop", 0, "PASS", "FAIL", "INCONCLUSIVE")
    judged(ledger, "docs:2", "acceptance", 0, "FAIL")
    judged(ledger, "docs:2", "acceptance", 1, "PASS", "INCONCLUSIVE")
    found = {row["id"]: row["verdict"] for row in ledger.listing.page().rows}
    assert found == {"docs:1": "FAIL", "docs:2": "INCONCLUSIVE", "docs:3": None}


def test_pages_filters_and_rights(ledger: Ledger) -> None:
    plan = load_plan(PLAN)
    for number in range(PAGE + 3):
        opened(ledger, plan, f"docs:{number:03}", state="promoted" if number % 2 else "aborted")
    opened(ledger, plan, "other:1", state="promoted")
    first, last = ledger.listing.page(), ledger.listing.page(number=99)
    assert (first.total, first.pages, len(first.rows), first.rows[0]["id"]) == (PAGE + 4, 2, PAGE, "other:1")
    assert (last.number, [row["id"] for row in last.rows]) == (2, ["docs:003", "docs:002", "docs:001", "docs:000"])
    assert first.services == ["docs", "other"]
    promoted = ledger.listing.page(service="docs", state="promoted")
    assert {row["state"] for row in promoted.rows} == {"promoted"}
    assert promoted.total == len(promoted.rows) == promoted.states["promoted"] == (PAGE + 3) // 2
    assert promoted.states["aborted"] == PAGE + 3 - promoted.total, "the other states stay to be chosen"
    guest = ledger.listing.page(allowed={"other"})
    assert ([row["id"] for row in guest.rows], guest.services) == (["other:1"], ["other"])
    assert ledger.listing.page(allowed=set()).total == 0
    assert ledger.listing.page(service="docs", allowed={"other"}).rows == []


def test_a_ledger_of_before_gets_the_indexes_that_the_list_needs(ledger: Ledger) -> None:
    with ledger.database.transaction() as connection:
        connection.exec_driver_sql("DROP INDEX switchover_run_opened")
    ledger.create_tables()
    with ledger.database.transaction() as connection:
        names = {index["name"] for index in sa.inspect(connection).get_indexes("switchover_run")}
    assert {"switchover_run_opened", "switchover_run_service_opened"} <= names

"""Leases that are let go, leases of runs that are over, and writes of whoever has lost the lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from switchover.edge.answers import Hit
from switchover.errors import LeaseLost
from switchover.ledger import Lease, Ledger
from switchover.planfile.load import load_plan
from switchover.protocol import Decision, State
from switchover.watchdog.watch import LONGEST_GRACE_S, _lease_s

PLAN = load_plan(Path(__file__).parents[2] / "include" / "plans" / "docs.yaml")
RUN = "docs:1"


@pytest.fixture
def ledger(fresh_db: str) -> Iterator[Ledger]:
    engine = sa.create_engine(fresh_db)
    ledger = Ledger(engine=engine)
    ledger.create_tables()
    ledger.runs.open(id=RUN, plan=PLAN, pointer="p", blue="v1", green="v2", hold_minutes=20)
    yield ledger
    engine.dispose()


def clock_steps_back(ledger: Ledger, hours: int = 1) -> None:
    """Everything that was written down is that much later now."""
    with ledger.database.transaction() as connection:
        connection.exec_driver_sql(
            f"UPDATE switchover_lease SET taken_at = taken_at + interval '{hours} hours',"
            f" expires_at = expires_at + interval '{hours} hours', released_at = released_at + interval '{hours} hours'"
        )


def test_a_lease_that_was_let_go_stays_dead_when_the_clock_steps_back(ledger: Ledger) -> None:
    lease = ledger.leases.take("p", holder="person:ada", seconds=60)
    ledger.leases.release(lease)
    clock_steps_back(ledger)
    found = ledger.leases.get("p")
    assert found is not None and not found.alive
    with pytest.raises(LeaseLost, match="let go at"):
        ledger.leases.renew(lease, seconds=60)
    with pytest.raises(LeaseLost, match="let go at"):
        ledger.leases.join("p", holder="person:ada")
    taken = ledger.leases.take("p", holder="docs:2", seconds=60)
    assert (taken.alive, taken.epoch, taken.released_at, taken.seized_from) == (True, lease.epoch + 1, None, None)


def test_a_lease_that_is_let_go_after_it_ran_out_stays_dead_too(ledger: Ledger) -> None:
    lease = ledger.leases.take("p", holder="person:ada", seconds=-1)
    ledger.leases.release(lease)
    clock_steps_back(ledger)
    assert ledger.leases.take("p", holder="docs:2", seconds=60).alive
    ledger.leases.release(lease)
    found = ledger.leases.get("p")
    assert found is not None and found.alive, "another's is not let go"


@pytest.mark.parametrize("plan", [{"lease_s": 1e9}, {"lease_s": "for ever"}, {"lease_s": -1}, {"lease_s": None}, [1]])
def test_no_record_keeps_a_watchdog_waiting_for_long(ledger: Ledger, plan: Any) -> None:
    assert 0 <= _lease_s(replace(ledger.runs.get(RUN), plan=plan)) <= LONGEST_GRACE_S


def end(ledger: Ledger, lease: Lease) -> None:
    ledger.runs.decide(RUN, Decision.ROLL_BACK, lease=lease, reason="test")
    ledger.runs.move(RUN, State.ABORTED, lease=lease)


def test_the_lease_of_a_run_that_is_over_is_free_whatever_the_clock_says(ledger: Ledger) -> None:
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    clock_steps_back(ledger)
    with pytest.raises(LeaseLost, match="held by 'docs:1'"):
        ledger.leases.take("p", holder="docs:2", seconds=60)
    end(ledger, lease)
    assert ledger.leases.take("p", holder="docs:2", seconds=60).epoch == lease.epoch + 1
    with pytest.raises(LeaseLost):
        ledger.leases.renew(lease, seconds=60)


def test_a_run_that_is_over_keeps_its_lease_while_it_resumes_its_writers(ledger: Ledger) -> None:
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    ledger.journal.found_writer(RUN, "ingest", {"frozen": False})
    end(ledger, lease)
    with pytest.raises(LeaseLost):
        ledger.leases.take("p", holder="docs:2", seconds=60)
    ledger.journal.resumed(RUN, "ingest", on="v1")
    assert ledger.leases.take("p", holder="docs:2", seconds=60)


FAIL = {"rule": "coverage", "outcome": "FAIL", "detail": "0.41"}
PASS = {"rule": "coverage", "outcome": "PASS", "detail": "0.99"}
#: Every write of what a run finds, does and judges.
WRITES: dict[str, Callable[[Ledger], object]] = {
    "judged": lambda ledger: ledger.journal.judged(RUN, gate="hold", tick=9, verdicts=[PASS]),
    "sampled": lambda ledger: ledger.journal.sampled(RUN, 1, None),
    "gauged": lambda ledger: ledger.journal.gauged(RUN, 1, {}),
    "checked": lambda ledger: ledger.journal.checked(
        RUN, [{"name": "count", "ok": True, "found": "1", "expected": "1"}]
    ),
    "found_writer": lambda ledger: ledger.journal.found_writer(RUN, "other", {}),
    "drained": lambda ledger: ledger.journal.drained(RUN, "ingest", proof="none in flight"),
    "resuming": lambda ledger: ledger.journal.resuming(RUN, "ingest", on="v2"),
    "held": lambda ledger: ledger.journal.held(RUN, "ingest", why="no"),
    "resumed": lambda ledger: ledger.journal.resumed(RUN, "ingest", on="v2"),
    "intend_flip": lambda ledger: ledger.journal.intend_flip(
        RUN, pointer="p", before="v1", after="v2", epoch=1, actor="zombie"
    ),
    "applied_flip": lambda ledger: ledger.journal.applied_flip(1, changed=True, version=9),
    "read_back": lambda ledger: ledger.journal.read_back(1, readers={}, seconds=1.0),
    "stamp": lambda ledger: ledger.runs.stamp(RUN, approved_hash="another build"),
    "evidence": lambda ledger: ledger.evidence.add(RUN, []),
    "found_arm": lambda ledger: ledger.subjects.found_arm(RUN, "blue", target="v1", pins={}, reported={}),
    "retrieved": lambda ledger: ledger.subjects.retrieved(RUN, [("blue", Hit(id="1", text="t"))]),
}


def everything(ledger: Ledger) -> object:
    """All rows of the run but its lease."""
    names = ("run", "writer", "flip", "check", "verdict", "signal", "staleness", "arm", "snippet", "evidence")
    with ledger.database.transaction() as connection:
        return [
            [tuple(map(str, row)) for row in connection.exec_driver_sql(f"SELECT * FROM switchover_{name}")]
            for name in names
        ]


@pytest.mark.parametrize("lost", ["ran out", "seized", "let go"])
def test_whoever_lost_the_lease_writes_nothing(ledger: Ledger, lost: str) -> None:
    lease = ledger.leases.take("p", holder=RUN, seconds=60)
    ledger.journal.found_writer(RUN, "ingest", {"frozen": False})
    ledger.journal.intend_flip(RUN, pointer="p", before="v1", after="v2", epoch=1, actor="test")
    ledger.journal.judged(RUN, gate="hold", tick=9, verdicts=[FAIL])
    zombie = ledger.under(lambda: lease)
    for write in WRITES.values():  # while it has the lease, each is taken
        write(zombie)
    if lost == "ran out":
        with ledger.database.transaction() as connection:
            connection.exec_driver_sql("UPDATE switchover_lease SET expires_at = clock_timestamp()")
    elif lost == "seized":
        ledger.leases.seize("p", holder="watchdog:a:1", seconds=60)
    else:
        ledger.leases.release(lease)
    before = everything(ledger)
    for name, write in WRITES.items():
        with pytest.raises(LeaseLost, match="may not write any more"):
            write(zombie)
        assert everything(ledger) == before, name
    zombie.journal.say(RUN, "what I saw", actor="zombie")
    assert ledger.journal.events(RUN)[-1]["text"] == "what I saw", "what it says may be read"


def test_what_was_judged_stands(ledger: Ledger) -> None:
    ledger.journal.judged(RUN, gate="hold", tick=9, verdicts=[FAIL])
    ledger.journal.judged(RUN, gate="hold", tick=9, verdicts=[PASS])
    (row,) = ledger.journal.verdicts(RUN, gate="hold")
    assert (row["outcome"], row["body"]["detail"]) == ("FAIL", "0.41")


def test_a_run_without_a_lease_and_one_that_cannot_be_read_are_found(ledger: Ledger) -> None:
    """Each is its own row's matter; the good one is found all the same."""
    for id in ("good:1", "newer:1", "odd:1"):
        ledger.runs.open(id=id, plan=PLAN, pointer=f"p of {id}", blue="v1", green="v2", hold_minutes=20)
        lease = ledger.leases.take(f"p of {id}", holder=id, seconds=60)
        for state in (State.FROZEN, State.VERIFIED, State.WARMED, State.FLIPPING):
            ledger.runs.move(id, state, lease=lease)
    with ledger.database.transaction() as connection:
        connection.exec_driver_sql(
            "UPDATE switchover_lease SET expires_at = clock_timestamp() WHERE holder != 'good:1'"
        )
        connection.exec_driver_sql("DELETE FROM switchover_lease WHERE holder = 'good:1'")
        connection.exec_driver_sql("UPDATE switchover_run SET decision = 'maybe' WHERE id = 'odd:1'")
        connection.exec_driver_sql("UPDATE switchover_run SET state = 'canary' WHERE id = 'newer:1'")
    found, broken = ledger.runs.undriven()
    assert [(each.row.id, each.last_holder) for each in found] == [("good:1", "nobody")]
    assert set(broken) == {"odd:1", "newer:1"}
    assert "'maybe'" in broken["odd:1"] and "'canary'" in broken["newer:1"]

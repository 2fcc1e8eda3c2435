"""Any interleaving of tasks, watchdogs, people, zombies and accidents, against the real ledger and real steps."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from switchover.errors import SwitchoverError
from switchover.ledger import RunRow
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.flip import flip, flip_or_abort
from switchover.steps.freeze import freeze
from switchover.steps.hold_lease import rejoin
from switchover.steps.preflight import preflight
from switchover.steps.switch import Switch
from switchover.steps.take_over import take_over
from tests.schedules.actors import Actor, Fault, How
from tests.schedules.world import HASH, V1, V2, World

RUNS = ("docs:1", "docs:2", "docs:3")
OPEN_AND_MOVED = (State.FLIPPING, State.HOLDING, State.ROLLING_BACK)
faults = st.none() | st.builds(Fault, how=st.sampled_from(How), at=st.integers(0, 40))
numbers = itertools.count()


def prepare(switch: Switch) -> None:
    """Verify and warm: they only read, so their records are all there is to them."""
    with switch.leading():
        row = switch.row
        switch.ledger.runs.stamp(switch.id, approved_hash=HASH[row.green], blue_hash=HASH[row.blue])
        switch.move(State.VERIFIED)
        verdict(switch, "acceptance", passes=True)
        switch.move(State.WARMED)


def verdict(switch: Switch, gate: str, *, passes: bool) -> None:
    """What the judge would write."""
    body = {"rule": "coverage", "outcome": "PASS" if passes else "FAIL", "detail": ""}
    switch.ledger.journal.judged(switch.id, gate=gate, tick=0, verdicts=[body])


def beat(switch: Switch) -> None:
    """The hold keeps the lease, or a new one goes on after an outage."""
    rejoin(switch)
    switch.renew_lease()


TASKS: dict[str, Callable[[Switch], object]] = {
    "freeze": freeze,
    "prepare": prepare,
    "acceptance_gate": flip_or_abort,
    "flip": flip,
    "beat": beat,
    "gate": finish.promote_or_roll_back,
    "unfreeze": finish.unfreeze,
    "rollback": finish.rollback,
    "abort": finish.abort,
    "restore": finish.restore,
}


class Schedules(RuleBasedStateMachine):
    """One schedule. ``engine`` and ``plan`` are set by the test."""

    engine: sa.Engine
    plan: Plan

    def __init__(self) -> None:
        super().__init__()
        self.world: World = None  # type: ignore[assignment]
        self.decided: dict[str, Decision] = {}
        self.ended: dict[str, State] = {}

    @initialize(fenced=st.booleans(), steps=st.integers(0, 5), passes=st.booleans())
    def begin(self, fenced: bool, steps: int, passes: bool) -> None:
        """A run that has come as far as ``steps`` tasks bring it: nothing, ..., flipped, decided, ended."""
        number = next(numbers)
        if number and number % 500 == 0:
            print(f"{number} schedules", file=sys.stderr, flush=True)
        self.prefix = f"{number}/"
        self.world = World(engine=self.engine, plan=self.plan, key=f"pointer {number}", fenced=fenced)
        self.open("docs:1")
        for _ in range(steps):
            self.next_task("docs:1", None, passes)

    # What the run's own tasks do.

    @rule(run=st.sampled_from(RUNS))
    def open(self, run: str) -> None:
        store = self.world.store
        green = V2 if store.target == V1 else V1
        self.act("preflight", run, None, lambda: preflight(
            plan=self.world.plan, edge=self.world.edge, id=self.prefix + run, actor="task", green=green,
            retry_build=HASH[green],
        ))  # fmt: skip

    @rule(run=st.sampled_from(RUNS), fault=faults, passes=st.booleans())
    def next_task(self, run: str, fault: Fault | None, passes: bool) -> None:
        """What the DAG would start next."""
        run, row = self.known(run)
        if row.state is State.HOLDING and row.decision is None:
            verdict(self.world.switch(row.id), "hold", passes=passes)
        self.task(run, next_of(row), fault)

    @rule(run=st.sampled_from(RUNS), name=st.sampled_from(sorted(TASKS)), fault=faults)
    def task(self, run: str, name: str, fault: Fault | None) -> None:
        """Any task: cleared, repeated, out of its order."""
        run, _ = self.known(run)
        switch = self.world.switch(self.prefix + run)
        self.act(name, run, fault, lambda: TASKS[name](switch))

    # Who acts in a run's stead.

    @rule(run=st.sampled_from(RUNS), which=st.sampled_from(["a", "b"]), fault=faults)
    def watchdog(self, run: str, which: str, fault: Fault | None) -> None:
        run, row = self.known(run)
        lease = self.world.plain.leases.get(self.world.key)
        if lease is None or lease.alive:
            return
        switch = self.world.switch(self.prefix + run, holder=f"watchdog:{which}")
        if not row.state.before_flip or self.froze_writers(row):
            self.act("watchdog", run, fault, lambda: take_over(
                switch, since=lease.expires_at, last_holder=lease.holder
            ))  # fmt: skip

    @rule(run=st.sampled_from(RUNS), fault=faults)
    def person(self, run: str, fault: Fault | None) -> None:
        """Break-glass: seizes a living lease."""
        run, row = self.known(run)
        if not row.state.ended:
            switch = self.world.switch(self.prefix + run, holder="person:ada")
            self.act("person", run, fault, lambda: break_glass(switch))

    # What happens to them.

    @precondition(lambda self: self.world and self.world.actors.sleeping)
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        sleeping = self.world.actors.sleeping
        self.world.actors.wake(sleeping[data.draw(st.integers(0, len(sleeping) - 1))])

    @rule()
    def the_lease_runs_out(self) -> None:
        self.sql("UPDATE switchover_lease SET expires_at = clock_timestamp() WHERE pointer = :key")

    @rule(hours=st.sampled_from([-1, 1]))
    def the_clock_jumps(self, hours: int) -> None:
        shift = f"- interval '{hours} hours'"
        times = ", ".join(f"{name} = {name} {shift}" for name in ("expires_at", "released_at"))
        self.sql(f"UPDATE switchover_lease SET {times} WHERE pointer = :key")
        self.sql(f"UPDATE switchover_run SET hold_until = hold_until {shift} WHERE pointer = :key")

    @rule(to=st.sampled_from([V1, V2, "elsewhere"]))
    def somebody_else_moves_the_pointer(self, to: str) -> None:
        store = self.world.store
        store.target, store.revision, store.version = to, store.revision + 1, store.version + 1
        store.moved_by_others += 1

    @rule(away=st.booleans())
    def the_store_goes_away_or_comes_back(self, away: bool) -> None:
        self.world.store.away = away

    # What must always be so.

    @invariant()
    def nothing_wrong_was_done(self) -> None:
        if self.world is not None:
            assert self.world.store.wrongs == []

    @invariant()
    def nobody_else_s_move_is_taken_for_a_run_s_own(self) -> None:
        for row in self.rows():
            if row.state in (State.HOLDING, State.PROMOTED):
                assert row.intended, f"{row.id} is {row.state.value} without an intent of its own"

    @invariant()
    def a_lease_that_was_let_go_is_dead(self) -> None:
        lease = self.world.plain.leases.get(self.world.key) if self.world is not None else None
        assert lease is None or lease.released_at is None or not lease.alive

    @invariant()
    def the_pointer_is_on_an_arm(self) -> None:
        if self.world is not None and not self.world.store.moved_by_others:
            assert self.world.store.target in (V1, V2)

    @invariant()
    def decisions_and_ends_stand(self) -> None:
        for row in self.rows():
            if row.decision is not None:
                assert self.decided.setdefault(row.id, row.decision) is row.decision, row
            if row.id in self.ended:
                assert row.state is self.ended[row.id], row
            if row.state.ended:
                self.ended[row.id] = row.state
            if row.state is State.PROMOTED:
                assert row.decision is Decision.PROMOTE
            if row.state in (State.ROLLED_BACK, State.ABORTED):
                assert row.decision is not Decision.PROMOTE

    @invariant()
    def writers_stand_still_while_a_pointer_may_move(self) -> None:
        if any(row.state in OPEN_AND_MOVED for row in self.rows()):
            assert self.world.store.frozen

    def teardown(self) -> None:
        """Every accident is over: everything must come to an end, and stay there."""
        if self.world is None:
            return
        store = self.world.store
        store.away = False
        for actor in list(self.world.actors.sleeping):
            self.world.actors.wake(actor)
            self.check()
        for _ in range(2):
            self.heal()
        for row in self.rows():
            stuck = row.state is State.STUCK and row.reason and store.moved_by_others
            assert row.state.ended or stuck, row
        if not store.moved_by_others:
            last = max(self.rows(), key=lambda row: row.ended_at or row.opened_at)
            assert store.target == (last.green if last.state is State.PROMOTED else last.blue)
        if all(row.state.ended for row in self.rows()) and store.target in (V1, V2):
            assert not store.frozen or store.moved_by_others, "the writers run again"
        moves = len(store.moves)
        self.heal()
        assert len(store.moves) == moves, "what has ended stays as it is"
        self.the_clock_jumps(-1)  # it stepped back: what is written down is later than it is now
        if all(row.state.ended for row in self.rows()) and not store.frozen:
            assert self.world.plain.leases.take(self.world.key, holder="the next run", seconds=1.0)

    def heal(self) -> None:
        """The watchdog, then each run's teardown, one after another."""
        for run in RUNS:
            self.the_lease_runs_out()
            self.watchdog(run, "a", None)
            self.the_lease_runs_out()
            self.task(run, "restore", None)
            self.check()
        self.the_lease_runs_out()

    def check(self) -> None:
        """Every invariant, outside of Hypothesis' own rounds."""
        self.nothing_wrong_was_done()
        self.nobody_else_s_move_is_taken_for_a_run_s_own()
        self.a_lease_that_was_let_go_is_dead()
        self.the_pointer_is_on_an_arm()
        self.decisions_and_ends_stand()
        self.writers_stand_still_while_a_pointer_may_move()

    def act(self, name: str, run: str, fault: Fault | None, work: Callable[[], object]) -> None:
        actor = Actor(name=name, run=self.prefix + run, fault=fault)
        actor.moved_by_others = self.world.store.moved_by_others
        self.world.actors.act(actor, work)

    def row(self, run: str) -> RunRow | None:
        return self.world.plain.runs.find(self.prefix + run)

    def froze_writers(self, row: RunRow) -> bool:
        return any(writer["resumed_at"] is None for writer in self.world.plain.journal.writers(row.id))

    def known(self, run: str) -> tuple[str, RunRow]:
        """A run that is in the ledger, so that no step of a schedule is spent on one that is not; and its record."""
        there = [(each, row) for each in RUNS if (row := self.row(each)) is not None]
        return there[RUNS.index(run) % len(there)]

    def rows(self) -> list[RunRow]:
        return [row for run in RUNS if self.world is not None and (row := self.row(run)) is not None]

    def sql(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), {"key": self.world.key})


def next_of(row: RunRow) -> str:
    """The task that the DAG would start next for a run as it is."""
    if row.state in (State.PLANNED, State.FROZEN):
        return {State.PLANNED: "freeze", State.FROZEN: "prepare"}[row.state]
    if row.state.ended:
        return "restore"
    if row.state in (State.WARMED, State.VERIFIED):
        return "abort" if row.decision else "flip"
    if row.decision is None:
        return "flip" if row.state is State.FLIPPING else "gate"
    return "unfreeze" if row.decision is Decision.PROMOTE else "rollback"


def break_glass(switch: Switch) -> Any:
    """What a person does who wants Blue back at once."""
    try:
        with switch.leading(seize=True):
            return finish.bring_to_an_end(switch, reason="person:ada: asked for it", who="person:ada")
    finally:
        with contextlib.suppress(SwitchoverError):
            switch.release_lease()

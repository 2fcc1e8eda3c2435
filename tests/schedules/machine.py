"""Any interleaving of tasks, watchdogs, people, zombies and accidents, against the real ledger and real steps."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from switchover.ledger import RunRow
from switchover.plan import Plan
from switchover.protocol import Decision, State
from switchover.steps import finish
from switchover.steps.doctor import diagnose
from switchover.steps.preflight import preflight
from switchover.steps.take_over import take_over
from tests.schedules.accidents import BOUND_MIN, Accidents
from tests.schedules.actors import Actor, Fault, How
from tests.schedules.arms import FOLLOWS, HASH, SEARCH, V1, V2
from tests.schedules.tasks import TASKS, break_glass, next_of, verdict
from tests.schedules.world import World

RUNS = ("docs:1", "docs:2", "docs:3")
OPEN_AND_MOVED = (State.FLIPPING, State.HOLDING, State.ROLLING_BACK)
faults = st.none() | st.builds(Fault, how=st.sampled_from(How), at=st.integers(0, 40))
numbers = itertools.count()


class Schedules(Accidents):
    """One schedule. ``engine`` and ``plan`` are set by the test."""

    plan: Plan

    def __init__(self) -> None:
        super().__init__()
        self.world: World = None  # type: ignore[assignment]
        self.decided: dict[str, Decision] = {}
        self.ended: dict[str, State] = {}

    @initialize(fenced=st.booleans(), steps=st.integers(0, 5), passes=st.booleans(), stalled=st.booleans())
    def begin(self, fenced: bool, steps: int, passes: bool, stalled: bool) -> None:
        """A run that has come as far as ``steps`` tasks bring it: nothing, ..., flipped, decided, ended."""
        number = next(numbers)
        if number and number % 500 == 0:
            print(f"{number} schedules", file=sys.stderr, flush=True)
        self.prefix = f"{number}/"
        self.stalled = stalled  # who is asleep at the end wakes only when everything is over
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
        found = next((each for each in self.world.plain.runs.undriven()[0] if each.row.id == row.id), None)
        if found is not None:
            switch = self.world.switch(row.id, holder=f"watchdog:{which}")
            self.act("watchdog", run, fault, lambda: take_over(
                switch, since=found.since, last_holder=found.last_holder
            ))  # fmt: skip

    @rule(run=st.sampled_from(RUNS), fault=faults)
    def person(self, run: str, fault: Fault | None) -> None:
        """Break-glass: seizes a living lease."""
        run, row = self.known(run)
        if not row.state.ended:
            switch = self.world.switch(self.prefix + run, holder="person:ada")
            self.act("person", run, fault, lambda: break_glass(switch))

    @rule(run=st.sampled_from(RUNS), fault=faults, mended=st.booleans())
    def person_answers_for_the_reader(self, run: str, fault: Fault | None, mended: bool) -> None:
        """Leaves it out by name, or gives a plan without it."""
        run, _ = self.known(run)
        plan = self.world.plan.model_copy(update={"readers": []})
        self.restore(run, fault, **({"plan": plan} if mended else {"without": [SEARCH]}))

    def restore(self, run: str, fault: Fault | None, **options: Any) -> Actor:
        switch = self.world.switch(self.prefix + run, holder="person:ada")
        return self.act("person", run, fault, lambda: finish.restore(switch, person="ada", **options))

    # What must always be so.

    @invariant()
    def nothing_wrong_was_done(self) -> None:
        if self.world is not None:
            assert self.world.store.wrongs == []

    @invariant()
    def the_ledger_is_right(self) -> None:
        """What must be so of its rows, which are read once."""
        rows = self.rows()
        self.nobody_else_s_move_is_taken_for_a_run_s_own(rows)
        self.decisions_and_ends_stand(rows)
        self.writers_stand_still_while_a_pointer_may_move(rows)

    def nobody_else_s_move_is_taken_for_a_run_s_own(self, rows: list[RunRow]) -> None:
        for row in rows:
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

    def decisions_and_ends_stand(self, rows: list[RunRow]) -> None:
        for row in rows:
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

    def writers_stand_still_while_a_pointer_may_move(self, rows: list[RunRow]) -> None:
        if any(row.state in OPEN_AND_MOVED for row in rows):
            assert self.world.store.frozen

    def teardown(self) -> None:
        """Every accident but the reader's is over: everything must come to an end, and stay there."""
        if self.world is None:
            return
        store = self.world.store
        store.away = False
        for awake in (False, True) if self.stalled else (True,):
            if awake:
                self.wake_all()
            self.time_passes(BOUND_MIN)
            for _ in range(2):
                self.heal()
            for run in RUNS:
                self.take_the_advice(run)
        for row in self.rows():
            assert row.state.ended, row
        if not store.moved_by_others:
            newest = max(self.rows(), key=lambda row: row.ended_at or row.opened_at)
            assert store.target == (newest.green if newest.state is State.PROMOTED else newest.blue)
        assert not store.frozen, "the writers run again"
        moves = len(store.moves)
        self.heal()
        assert len(store.moves) == moves, "what has ended stays as it is"
        self.the_clock_jumps(-1)  # it stepped back: what is written down is later than it is now
        lease = self.world.plain.leases.get(self.world.key)
        if lease is None or lease.holder.partition(":")[0] not in self.world.actors.cut_off:  # they could not let it go
            assert self.world.plain.leases.take(self.world.key, holder="the next run", seconds=1.0)

    def wake_all(self) -> None:
        for actor in list(self.world.actors.sleeping):
            self.world.actors.wake(actor)
            self.check()

    def heal(self) -> None:
        """The watchdog, then each run's teardown, one after another."""
        for run in RUNS:
            self.the_lease_runs_out()
            self.watchdog(run, "a", None)
            self.the_lease_runs_out()
            self.task(run, "restore", None)
            self.check()
        self.the_lease_runs_out()

    def over(self, row: RunRow) -> bool:
        return row.state.ended and not self.froze_writers(row)

    def take_the_advice(self, run: str) -> None:
        """A run that is not over ends by what doctor says, word for word.

        Twice at most: the first command may end at the next obstacle, a pointer put back, then its reader.
        """
        said: list[object] = []
        while (row := self.row(run)) is not None and not self.over(row):
            assert len(said) < 4, f"{row.state.value} after {said}"
            advice = "\n".join(diagnose(edge=self.world.edge, ledger=self.world.plain, row=row).next)
            if put := re.search(r"put it on '(\w+)' with the store's own tool", advice):
                self.somebody_else_moves_the_pointer(put[1])
            if "have 'search' follow the pointer" in advice:
                self.the_reader_changes(FOLLOWS)
            command = re.search(r"switchover restore (\S+)((?: --without \w+)*)", advice)
            assert command is not None and command[1] == row.id, f"{row.state.value}, and no command: {advice}"
            without = command[2].replace("--without", "").split()
            said += [advice, self.restore(run, None, without=without).error]
            self.check()

    def check(self) -> None:
        """Every invariant, outside of Hypothesis' own rounds."""
        self.nothing_wrong_was_done()
        self.the_ledger_is_right()
        self.a_lease_that_was_let_go_is_dead()
        self.the_pointer_is_on_an_arm()

    def act(self, name: str, run: str, fault: Fault | None, work: Callable[[], object]) -> Actor:
        actor = Actor(name=name, run=self.prefix + run, fault=fault)
        actor.moved_by_others = self.world.store.moved_by_others
        actor.reader_changes = self.world.store.reader_changes
        self.world.actors.act(actor, work)
        return actor

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

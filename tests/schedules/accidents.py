"""What happens to the actors of a schedule and to the world around them."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from switchover.ledger import RunRow
from tests.schedules.arms import FOLLOWS, GONE, V1, V2
from tests.schedules.hours import TICK_S
from tests.schedules.world import World

#: Longer than any step or look keeps a lease without coming on: an hour idle, an hour of the lease, and a beat.
BOUND_MIN = 200


class Accidents(RuleBasedStateMachine):
    """The rules that nobody plays. ``engine`` is set by the test."""

    engine: sa.Engine
    world: World

    @precondition(lambda self: self.world and self.world.actors.sleeping)
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        sleeping = self.world.actors.sleeping
        self.world.actors.wake(sleeping[data.draw(st.integers(0, len(sleeping) - 1))])

    @rule()
    def the_lease_runs_out(self) -> None:
        """Whoever had it was stopped whole, its heartbeat too."""
        self.sql("UPDATE switchover_lease SET expires_at = clock_timestamp() WHERE pointer = :key")

    @rule(minutes=st.sampled_from([20, 80, BOUND_MIN]))
    def time_passes(self, minutes: int) -> None:
        """Nobody comes on. Who is asleep keeps its lease within its bound, and never longer."""
        ticks = int(minutes * 60 / TICK_S)
        while ticks and self.world.hours.beats:
            self.shift(TICK_S)
            self.world.hours.tick()
            ticks -= 1
        self.shift(ticks * TICK_S)
        if minutes < BOUND_MIN:
            return
        self.shift(self.world.hours.set_back)  # and until the clock has caught up with what was written before
        self.world.hours.set_back = 0.0
        lease = self.world.plain.leases.get(self.world.key)
        assert lease is None or not lease.alive, f"nobody came on for {minutes} minutes, and {lease} lives"
        found, broken = self.world.plain.runs.undriven()
        alarmed = {each.row.id for each in found} | broken.keys()
        for row in self.rows():
            if not row.state.ended and (not row.state.before_flip or self.froze_writers(row)):
                assert row.id in alarmed, f"{row.id} is {row.state.value}, driven by nobody, and no watchdog sees it"

    @rule(hours=st.sampled_from([-1, 1]))
    def the_clock_jumps(self, hours: int) -> None:
        self.world.hours.set_back += max(0.0, -hours * 3600.0)
        self.shift(hours * 3600.0)

    def shift(self, seconds: float) -> None:
        """What the ledger has written down is so much longer ago."""
        by = f"- interval '{seconds} seconds'"
        self.sql(
            f"WITH held AS (UPDATE switchover_run SET hold_until = hold_until {by} WHERE pointer = :key)"
            f" UPDATE switchover_lease SET expires_at = expires_at {by}, released_at = released_at {by}"
            " WHERE pointer = :key"
        )

    @rule(to=st.sampled_from([V1, V2, "elsewhere"]))
    def somebody_else_moves_the_pointer(self, to: str) -> None:
        store = self.world.store
        store.target, store.revision, store.version = to, store.revision + 1, store.version + 1
        store.moved_by_others += 1

    @rule(away=st.booleans())
    def the_store_goes_away_or_comes_back(self, away: bool) -> None:
        self.world.store.away = away

    @rule(now=st.sampled_from([FOLLOWS, GONE, V1, V2]))
    def the_reader_changes(self, now: str) -> None:
        """It cannot be read, stands still on an arm, or follows the pointer again."""
        store = self.world.store
        store.reader, store.reader_changes = now, store.reader_changes + 1

    def rows(self) -> list[RunRow]:
        raise NotImplementedError

    def froze_writers(self, row: RunRow) -> bool:
        raise NotImplementedError

    def sql(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement), {"key": self.world.key})

"""Step 5: hold and watch. Runs in the triggerer: async, reads and ledger writes only, never moves anything.

Ticks are numbered in the ledger and the end is an absolute time, so that a triggerer that takes over goes
on where the other stopped. Probes are asked beside the looks: a look waits for its round a while, then judges live
traffic and what was answered so far without it, so that slow arms blind nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta

from switchover.arms.probe import Round
from switchover.errors import LeaseLost, LedgerUnreachable, SwitchoverError, Unreachable
from switchover.judge.gates import Outcome
from switchover.ledger import RunRow
from switchover.ledger.heartbeat import Heartbeat
from switchover.notify import Event
from switchover.protocol import Kind, decide
from switchover.steps.act import stuck
from switchover.steps.caches import canaries_of
from switchover.steps.hold_judge import Answers, Before, End, Tick, judge, seconds_left
from switchover.steps.hold_lease import beating
from switchover.steps.observe import observe
from switchover.steps.switch import Switch
from switchover.text import one_line

__all__ = ["HELD", "WATCHED", "End", "Tick", "watch"]

PHASE = "hold"
HELD = (End.ACCEPTED, End.OPEN)
#: The watch did all it was to do; in the other ends something came between.
WATCHED = (*HELD, End.STOPPED, End.UNACCEPTED)
PATIENCE_S = 15.0  # how long a look waits for its round where ticks are shorter
BLIND = 3  # looks in a row that could not be made: then the hold ends


async def watch(switch: Switch) -> AsyncGenerator[Tick, None]:
    """Look every ``tick_s`` until a stop rule fires or the hold is over. Yields each look; the last has ``end``.

    The lease is renewed beside the looks, so that a slow one does not lose it. A ledger that does not answer is
    asked again as long as the hold may last.
    """
    number = await asyncio.to_thread(_begin, switch)
    if number == 0:
        switch.tell(Event.FLIP)  # here, where nobody waits for it, and not in the flip
    latest = time.monotonic() + await asyncio.to_thread(_longest_s, switch)
    last: Tick | None = None
    async with (
        beating(switch, until=latest, idle_s=longest_idle_s(switch)) as beat,
        contextlib.aclosing(_Probing(switch, first=number)) as probing,
    ):
        while last is None:
            began = time.monotonic()
            tick = await _look_or_wait(switch, beat, probing, until=latest)
            beat.stamp()
            if tick.end is not None:
                last = tick
                continue
            yield tick
            await _pause(switch, beat, until=began + switch.plan.hold.tick_s)
    yield await asyncio.to_thread(_finish, switch, last)


async def _pause(switch: Switch, beat: Heartbeat, *, until: float) -> None:
    """Wait for the next look, or for the end of the hold, or until the lease is lost."""
    with contextlib.suppress(LedgerUnreachable):
        until = min(until, time.monotonic() + await asyncio.to_thread(seconds_left, switch))
    while (left := until - time.monotonic()) > 0 and not beat.lost:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(min(left, 0.5))


async def _look_or_wait(switch: Switch, beat: Heartbeat, probing: _Probing, *, until: float) -> Tick:
    """A look, or why it could not be made. An error of an unknown kind is no look; three in a row end the hold."""
    try:
        tick = await _look(switch, beat, probing)
    except LeaseLost as error:  # while it looked: what it found is not written
        if beat.lost or time.monotonic() >= until:
            return Tick(number=probing.number, outcome=Outcome.ERROR, line=str(error), end=End.LEASE_LOST)
        # The ledger took no writes for longer than the lease: the beat says whether the run has it again.
        line = f"tick {probing.number}: not written, looking again: {error}"
    except LedgerUnreachable as error:
        if time.monotonic() >= until:
            raise
        line = f"tick {probing.number}: not judged, looking again: {error}"
    except Exception as error:
        if isinstance(error, SwitchoverError) and not isinstance(error, Unreachable):
            raise
        probing.blind += 1
        line = f"tick {probing.number}: not judged ({type(error).__name__}: {one_line(error, 200)})"
        if probing.blind >= BLIND or time.monotonic() >= until:
            line = f"{line}; {probing.blind} looks in a row could not be made, so nobody watches Green"
            return Tick(number=probing.number, outcome=Outcome.ERROR, line=line, end=End.BLIND)
    else:
        probing.blind = 0
        return tick
    return Tick(number=probing.number, outcome=Outcome.ERROR, line=line, looked=False)


async def _look(switch: Switch, beat: Heartbeat, probing: _Probing) -> Tick:
    """Wait for the round of probes; judge live traffic every tick meanwhile, and without the round when it is late."""
    tick_s, patient = switch.plan.hold.tick_s, time.monotonic() + max(switch.plan.hold.tick_s, PATIENCE_S)
    while True:
        before = await asyncio.to_thread(_may_watch, switch, probing.number, beat)
        if isinstance(before, Tick):
            return before
        answers = await probing.answers(before, seconds=min(tick_s, max(0.0, patient - time.monotonic())))
        tick = await asyncio.to_thread(judge, switch, before, answers, late=probing.late)
        probing.number += 1  # a judgement that was written stands, so that each has a tick of its own
        if answers is not None or tick.end is not None or time.monotonic() >= patient:
            return tick
        beat.stamp()


def look_s(switch: Switch) -> float:
    """Seconds after which a round of probes is over: four ticks, or two probe time-outs where that is longer."""
    return max(4 * switch.plan.hold.tick_s, 2 * switch.plan.probes.timeout_s)


def longest_idle_s(switch: Switch) -> float:
    """Seconds without the end of a look after which the lease is not renewed any more."""
    plan = switch.plan
    return max(plan.hold.tick_s, PATIENCE_S) + plan.handover_s


class _Probing:
    """The round of probes that is under way beside the looks.

    ``number``: the tick that is judged next. ``blind``: looks in a row that could not be made.
    """

    def __init__(self, switch: Switch, *, first: int) -> None:
        self._switch = switch
        self.number = first
        self._round: asyncio.Task[Answers] | None = None
        self.blind = 0

    @property
    def late(self) -> bool:
        """Whether a round goes on that a look no longer waits for."""
        return self._round is not None

    async def answers(self, before: Before, *, seconds: float) -> Answers | None:
        """What the round brought within ``seconds``; ``None`` when it goes on."""
        if self._round is None:
            self._round = asyncio.create_task(self._ask(before))
        await asyncio.wait({self._round}, timeout=seconds)
        if not self._round.done():
            return None
        ended, self._round = self._round, None
        return ended.result()

    async def _ask(self, before: Before) -> Answers:
        switch, plan, seconds = self._switch, self._switch.plan, look_s(self._switch)
        round = Round(phase=PHASE, tick=before.number, seeds=[before.number % plan.probes.seeds])
        over = time.monotonic() + seconds
        async with switch.asking(before.row) as arms:
            asked = await switch.rounds.ask(round, arms, began=before.began, seconds=seconds)
        left = max(plan.probes.timeout_s, over - time.monotonic())
        return Answers(round=round, asked=asked, canaries=await canaries_of(switch, before.row, seconds=left))

    async def aclose(self) -> None:
        """End the round that is under way."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)


def _begin(switch: Switch) -> int:
    switch.ledger.journal.step_started(switch.id, PHASE, actor=switch.actor)
    looked = switch.ledger.journal.last_sample(switch.id)  # of a look that was made without its round
    return max(looked, switch.ledger.evidence.last_tick(switch.id, phase=PHASE)) + 1


def _longest_s(switch: Switch) -> float:
    """Seconds until the hold must be over, with every extension, every answer and the hand-over to the gate."""
    row, plan = switch.read(), switch.plan
    longest = timedelta(minutes=max(plan.hold.max_minutes, row.hold_minutes))
    over = (row.flipped_at or row.opened_at) + longest
    over = max(over, row.hold_until or over)
    return (over - switch.ledger.now()).total_seconds() + plan.handover_s


def _finish(switch: Switch, tick: Tick) -> Tick:
    """A hold that may lead to a promotion leaves the lease to the next task; any other leaves it to run out."""
    if tick.end in HELD:
        try:
            switch.leadership.hand_over()
        except LeaseLost as error:
            tick = replace(tick, outcome=Outcome.ERROR, line=str(error), end=End.LEASE_LOST)
    held = tick.end in HELD
    switch.ledger.journal.step_ended(switch.id, PHASE, ok=held, note=tick.line)
    if not held and tick.end is not End.LEASE_LOST:
        switch.tell(Event.STOP, tick.line)
    return tick


def _may_watch(switch: Switch, number: int, beat: Heartbeat) -> Before | Tick:
    """A tick that ends the hold when the lease or the pointer is lost, or somebody else has decided."""
    if beat.lost:
        return Tick(number=number, outcome=Outcome.ERROR, line=beat.lost, end=End.LEASE_LOST)
    row, now = switch.read(), switch.ledger.now()
    if row.state.ended or row.decision is not None:
        return Tick(number=number, outcome=Outcome.ERROR, line=_overtaken(row), end=End.OVERTAKEN)
    # The hold's own end is judged below, and the beat says when the lease is lost: as if neither were so.
    action = decide(replace(row.record, hold_until=None), replace(observe(switch), lease_alive=True), now)
    if action.kind is Kind.RETRY:
        switch.say(action.why)
    if action.kind is Kind.STOP:
        stuck(switch, action)
    if action.kind not in (Kind.WATCH, Kind.RETRY):
        return Tick(number=number, outcome=Outcome.ERROR, line=action.why, end=End.MOVED)
    return Before(row=row, began=now, number=number)


def _overtaken(row: RunRow) -> str:
    decided = row.decision.value if row.decision else "undecided"
    return f"decided without this hold: {decided}, {row.state.value}: {row.reason}"

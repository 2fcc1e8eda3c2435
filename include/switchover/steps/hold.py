"""Step 5: hold and watch. Runs in the triggerer: async, reads and ledger writes only, never moves anything.

Ticks are numbered in the ledger and the end is an absolute time, so that a triggerer that takes over goes
on where the other stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from switchover.approval import Gate
from switchover.errors import LeaseLost, LedgerUnreachable, SwitchoverError
from switchover.evidence import Evidence, SignalSample
from switchover.heartbeat import Heartbeat
from switchover.judge import Outcome, Verdict, decisive, judge_acceptance, judge_stop, worst
from switchover.ledger import RunRow
from switchover.notify import Event
from switchover.probe import Asked, Round, ask_round
from switchover.protocol import Kind, decide
from switchover.steps import staleness
from switchover.steps.act import observe
from switchover.steps.caches import canary_verdicts
from switchover.steps.hold_lease import beating
from switchover.steps.rehearse import rehearsed_seconds
from switchover.steps.switch import Switch

PHASE = "hold"


class End(str, Enum):
    """How a hold ended. Only ``ACCEPTED`` lets Green stay."""

    ACCEPTED = "accepted"
    STOPPED = "stopped"
    UNACCEPTED = "unaccepted"
    OPEN = "open"  # not accepted, and the plan has a person decide
    UNANSWERED = "unanswered"  # a person was asked, and the time for an answer is over
    MOVED = "moved"
    LEASE_LOST = "lease_lost"
    OVERTAKEN = "overtaken"


HELD = (End.ACCEPTED, End.OPEN)
#: The watch did all it was to do; in the other ends something came between.
WATCHED = (*HELD, End.STOPPED, End.UNACCEPTED)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One look. ``end`` is set on the last one; ``looked`` is false when it must be repeated."""

    number: int
    outcome: Outcome
    line: str
    end: End | None = None
    looked: bool = True


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
    async with beating(switch, until=latest) as beat:
        while last is None:
            began = time.monotonic()
            tick = await _look_or_wait(switch, number, beat, until=latest)
            if tick.end is not None:
                last = tick
                continue
            yield tick
            number += tick.looked
            await _pause(switch, beat, until=began + switch.plan.hold.tick_s)
    yield await asyncio.to_thread(_finish, switch, last)


async def _pause(switch: Switch, beat: Heartbeat, *, until: float) -> None:
    """Wait for the next look, or for the end of the hold, or until the lease is lost."""
    with contextlib.suppress(LedgerUnreachable):
        until = min(until, time.monotonic() + await asyncio.to_thread(_seconds_left, switch))
    while (left := until - time.monotonic()) > 0 and not beat.lost:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(min(left, 0.5))


async def _look_or_wait(switch: Switch, number: int, beat: Heartbeat, *, until: float) -> Tick:
    try:
        return await _look(switch, number, beat)
    except LedgerUnreachable as error:
        if time.monotonic() >= until:
            raise
        line = f"tick {number}: not judged, looking again: {error}"
        return Tick(number=number, outcome=Outcome.ERROR, line=line, looked=False)


async def _look(switch: Switch, number: int, beat: Heartbeat) -> Tick:
    gold = await asyncio.to_thread(lambda: switch.gold)
    before = await asyncio.to_thread(_may_watch, switch, number, beat)
    if isinstance(before, Tick):
        return before
    round = Round(phase=PHASE, tick=number, seeds=[number % switch.plan.probes.seeds])
    async with switch.asking(before.row) as arms:
        asked = await ask_round(round, arms=arms, gold=gold, spec=switch.plan.probes, began=before.began)
    canaries = await canary_verdicts(switch, before.row)
    return await asyncio.to_thread(_judge, switch, before, round, asked, canaries)


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a look starts from."""

    row: RunRow
    began: datetime


def _begin(switch: Switch) -> int:
    switch.ledger.journal.step_started(switch.id, PHASE, actor=switch.actor)
    return switch.ledger.evidence.last_tick(switch.id, phase=PHASE) + 1


def _longest_s(switch: Switch) -> float:
    """Seconds until the hold must be over, with every extension, every answer and the hand-over to the gate."""
    row, plan = switch.row, switch.plan
    longest = timedelta(minutes=max(plan.hold.max_minutes, row.hold_minutes))
    over = (row.flipped_at or row.opened_at) + longest
    over = max(over, row.hold_until or over)
    return (over - switch.ledger.now()).total_seconds() + plan.handover_s


def _finish(switch: Switch, tick: Tick) -> Tick:
    """A hold that may lead to a promotion leaves the lease to the next task; any other leaves it to run out."""
    if tick.end in HELD:
        try:
            switch.hand_over()
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
    row, now = switch.row, switch.ledger.now()
    if row.state.ended or row.decision is not None:
        return Tick(number=number, outcome=Outcome.ERROR, line=_overtaken(row), end=End.OVERTAKEN)
    # The hold's own end is judged below, and the beat says when the lease is lost: as if neither were so.
    action = decide(replace(row.record, hold_until=None), replace(observe(switch), lease_alive=True), now)
    if action.kind is Kind.RETRY:
        switch.say(action.why)
    if action.kind not in (Kind.WATCH, Kind.RETRY):
        return Tick(number=number, outcome=Outcome.ERROR, line=action.why, end=End.MOVED)
    return Before(row=row, began=now)


def _overtaken(row: RunRow) -> str:
    decided = row.decision.value if row.decision else "undecided"
    return f"decided without this hold: {decided}, {row.state.value}: {row.reason}"


def _judge(switch: Switch, before: Before, round: Round, asked: Sequence[Asked], canaries: Sequence[Verdict]) -> Tick:
    """Measure the round, judge the stop side, and at the end of the hold the acceptance side."""
    switch.record(round, asked)
    samples = _sample(switch, before.row, round.tick)
    stale = staleness.look(switch, round.tick)
    evidence = switch.evidence(PHASE)
    stop = _judge_stop(switch, round.tick, evidence, samples, canaries)
    outcome, line = worst(stop), f"{_line(round.tick, stop, samples)}; {stale.line}"
    if outcome is Outcome.FAIL:
        _mark_bad(switch, before)
        return Tick(number=round.tick, outcome=outcome, line=line, end=End.STOPPED)
    if _seconds_left(switch) > 0:
        return Tick(number=round.tick, outcome=outcome, line=line)
    return _judge_end(switch, before.row, round.tick, evidence, samples, canaries)


def _sample(switch: Switch, row: RunRow, number: int) -> list[SignalSample | None]:
    """Live traffic on Green from the flip to each look so far; ``None`` where the store was dead."""
    since = row.flipped_at or row.opened_at
    try:
        sample = switch.signals.query(arm=row.green, since=since, until=switch.ledger.now())
    except SwitchoverError as error:
        switch.say(f"signals: {error}")
        sample = None
    switch.ledger.journal.sampled(switch.id, number, sample.to_json() if sample is not None else None)
    return switch.ledger.journal.samples(switch.id)


def _judge_stop(
    switch: Switch,
    number: int,
    evidence: Evidence,
    samples: list[SignalSample | None],
    canaries: Sequence[Verdict],
) -> list[Verdict]:
    verdicts = judge_stop(evidence, rules=switch.plan.rules, signals=samples)
    verdicts += canaries
    _record(switch, "stop", number, verdicts)
    return verdicts


def _judge_end(
    switch: Switch,
    row: RunRow,
    number: int,
    evidence: Evidence,
    samples: list[SignalSample | None],
    canaries: Sequence[Verdict],
) -> Tick:
    """The hold is over: accept, extend once more, leave it to a person, or say that Green is not accepted."""
    plan = switch.plan
    if any(question["answered_at"] is None for question in switch.questions()):
        return Tick(number=number, outcome=Outcome.INCONCLUSIVE, line="nobody answered in time", end=End.UNANSWERED)
    verdicts = judge_acceptance(
        evidence,
        rules=plan.rules,
        signals=samples,
        rehearsal_ttr_s=rehearsed_seconds(switch.ledger, row, plan),
        traffic=True,
    )
    verdicts += canaries
    _record(switch, PHASE, number, verdicts)
    outcome, line = worst(verdicts), _line(number, verdicts, samples)
    if outcome is Outcome.PASS:
        return Tick(number=number, outcome=outcome, line=line, end=End.ACCEPTED)
    flipped = row.flipped_at or row.opened_at
    longest = flipped + timedelta(minutes=plan.hold.max_minutes)
    if plan.hold.on_unaccepted == "extend" and switch.ledger.now() < longest:
        until = min(longest, switch.ledger.now() + timedelta(minutes=row.hold_minutes / 4))
        switch.ledger.runs.stamp(switch.id, hold_until=until)
        switch.say(f"not accepted yet ({line}); extended until {until:%H:%M:%S} UTC")
        return Tick(number=number, outcome=outcome, line=line)
    if plan.asks(Gate.ON_UNACCEPTED):
        return Tick(number=number, outcome=outcome, line=f"not accepted, a person decides: {line}", end=End.OPEN)
    switch.ledger.runs.stamp(switch.id, "judged_at")
    return Tick(number=number, outcome=outcome, line=line, end=End.UNACCEPTED)


def _record(switch: Switch, gate: str, number: int, verdicts: list[Verdict]) -> None:
    switch.ledger.journal.judged(
        switch.id, gate=gate, tick=number, verdicts=[verdict.to_json() for verdict in verdicts]
    )


def _mark_bad(switch: Switch, before: Before) -> None:
    """When the first bad answer was given: a 5xx in the log, or the first probe of the streak of bad looks."""
    since = before.row.flipped_at or before.row.opened_at
    first_error = switch.signals.first_error(arm=before.row.green, since=since)
    streak = _first_bad_tick(switch.ledger.journal.verdicts(switch.id, gate="stop"))
    first_probe = switch.ledger.evidence.began(switch.id, phase=PHASE, tick=streak)
    found = [at for at in (first_error, first_probe) if at is not None]
    switch.ledger.runs.stamp(switch.id, "judged_at", first_bad_at=min([*found, switch.ledger.now()]))


def _first_bad_tick(verdicts: Sequence[Mapping[str, Any]]) -> int:
    """The tick at which the rules that stop the hold now began to be anything but PASS."""
    newest = max(row["tick"] for row in verdicts)
    fired = {row["rule"] for row in verdicts if row["tick"] == newest and row["outcome"] == Outcome.FAIL.value}
    good = [row["tick"] for row in verdicts if row["rule"] in fired and row["outcome"] == Outcome.PASS.value]
    return max(good, default=-1) + 1


def _seconds_left(switch: Switch) -> float:
    until = switch.row.hold_until
    return (until - switch.ledger.now()).total_seconds() if until is not None else 0.0


def _line(number: int, verdicts: list[Verdict], samples: list[SignalSample | None]) -> str:
    """One line for people: what decided against Green, else that all is well, and the traffic so far."""
    sample = samples[-1]
    traffic = f"{sample.requests} requests, {sample.errors_5xx} 5xx" if sample is not None else "signals dead"
    bad = [f"{v.rule} {v.outcome.value} ({v.detail})" for v in decisive(verdicts, lambda v: v.outcome.value)]
    return f"tick {number}: {'; '.join(bad) if bad else f'all {len(verdicts)} rules pass'}; {traffic}"

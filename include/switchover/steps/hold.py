"""Step 5: hold and watch. Runs in the triggerer: async, reads and ledger writes only, never moves anything.

Ticks are numbered in the ledger and the end is an absolute time, so that a triggerer that takes over goes
on where the other stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeVar

from switchover.errors import LeaseLost, SwitchoverError
from switchover.evidence import Evidence, SignalSample
from switchover.judge import Outcome, Verdict, judge_acceptance, judge_stop, worst
from switchover.ledger import RunRow
from switchover.probe import Round, ask_round, evidence_rows
from switchover.protocol import Kind, decide
from switchover.steps.act import observe
from switchover.steps.rehearse import rehearsed_seconds
from switchover.steps.switch import Switch

PHASE = "hold"
Value = TypeVar("Value")


class End(str, Enum):
    """How a hold ended. Only ``ACCEPTED`` lets Green stay."""

    ACCEPTED = "accepted"
    STOPPED = "stopped"
    UNACCEPTED = "unaccepted"
    MOVED = "moved"
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One look. ``end`` is set on the last one."""

    number: int
    outcome: Outcome
    line: str
    end: End | None = None


async def watch(switch: Switch) -> AsyncIterator[Tick]:
    """Look every ``tick_s`` until a stop rule fires or the hold is over. Yields each look; the last has ``end``."""
    await _thread(lambda: switch.ledger.journal.step_started(switch.id, PHASE, actor=switch.actor))
    row = await _thread(lambda: switch.row)
    number = await _thread(lambda: switch.ledger.evidence.last_tick(switch.id, phase=PHASE)) + 1
    while True:
        began = asyncio.get_running_loop().time()
        tick = await _look(switch, row, number)
        if tick.end is not None:
            ok = tick.end is End.ACCEPTED
            await _thread(lambda: switch.ledger.journal.step_ended(switch.id, PHASE, ok=ok, note=tick.line))
        yield tick
        if tick.end is not None:
            return
        number += 1
        row = await _thread(lambda: switch.row)
        spent = asyncio.get_running_loop().time() - began
        left = await _thread(lambda: _seconds_left(switch, row))
        await asyncio.sleep(max(0.0, min(switch.plan.hold.tick_s - spent, left)))


async def _look(switch: Switch, row: RunRow, number: int) -> Tick:
    try:
        await _thread(switch.renew_lease)
    except LeaseLost as error:
        return Tick(number=number, outcome=Outcome.ERROR, line=str(error), end=End.LEASE_LOST)
    seen = await _thread(lambda: observe(switch))
    action = decide(row.record, seen, row.flipped_at or row.opened_at)
    if action.kind not in (Kind.WATCH, Kind.RETRY):
        return Tick(number=number, outcome=Outcome.ERROR, line=action.why, end=End.MOVED)
    began = await _thread(switch.ledger.now)
    await _probe(switch, row, number)
    samples = await _thread(lambda: _sample(switch, row, number))
    stop = await _thread(lambda: _judge_stop(switch, number, samples))
    outcome = worst(stop)
    line = _line(number, stop, samples)
    if outcome is Outcome.FAIL:
        await _thread(lambda: _mark_bad(switch, row, began))
        return Tick(number=number, outcome=outcome, line=line, end=End.STOPPED)
    if await _thread(lambda: _seconds_left(switch, row)) > 0:
        return Tick(number=number, outcome=outcome, line=line)
    return await _thread(lambda: _judge_end(switch, row, number, samples))


async def _probe(switch: Switch, row: RunRow, number: int) -> None:
    """One seed a tick, in turn; every question and paraphrase."""
    plan = switch.plan
    gold = await _thread(lambda: switch.gold)
    round = Round(phase=PHASE, tick=number, seeds=[number % plan.probes.seeds])
    async with switch.asking(row) as arms:
        asked = await ask_round(round, arms=arms, gold=gold, spec=plan.probes)

    def store() -> None:
        rows = evidence_rows(
            asked,
            round,
            gold=gold,
            encoder=switch.encoder,
            judge=plan.judge,
            max_tool_depth=plan.probes.max_tool_depth,
        )
        switch.ledger.evidence.add(switch.id, rows)

    await _thread(store)


def _sample(switch: Switch, row: RunRow, number: int) -> list[SignalSample | None]:
    """Live traffic on Green since the flip: one figure over the whole hold. ``None`` when the store is dead."""
    since = row.flipped_at or row.opened_at
    try:
        sample = switch.signals.query(arm=row.green, since=since, until=switch.ledger.now())
    except SwitchoverError as error:
        switch.say(f"signals: {error}")
        sample = None
    switch.ledger.journal.sampled(switch.id, number, sample.to_json() if sample is not None else None)
    return [sample]


def _judge_stop(switch: Switch, number: int, samples: list[SignalSample | None]) -> list[Verdict]:
    rows = switch.ledger.evidence.rows(switch.id, phase=PHASE)
    verdicts = judge_stop(Evidence.from_rows(rows, switch.gold.ids), rules=switch.plan.rules, signals=samples)
    _record(switch, "stop", number, verdicts)
    return verdicts


def _judge_end(switch: Switch, row: RunRow, number: int, samples: list[SignalSample | None]) -> Tick:
    """The hold is over: accept, extend once more, or say that Green is not accepted."""
    plan = switch.plan
    rows = switch.ledger.evidence.rows(switch.id, phase=PHASE)
    verdicts = judge_acceptance(
        Evidence.from_rows(rows, switch.gold.ids),
        rules=plan.rules,
        signals=samples,
        rehearsal_ttr_s=rehearsed_seconds(switch),
        traffic=True,
    )
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
    switch.ledger.runs.stamp(switch.id, "judged_at")
    return Tick(number=number, outcome=outcome, line=line, end=End.UNACCEPTED)


def _record(switch: Switch, gate: str, number: int, verdicts: list[Verdict]) -> None:
    switch.ledger.journal.judged(
        switch.id, gate=gate, tick=number, verdicts=[verdict.to_json() for verdict in verdicts]
    )


def _mark_bad(switch: Switch, row: RunRow, tick_began: datetime) -> None:
    """When the first bad answer was given: a 5xx in the log, or the first probe of the tick that fired."""
    since = row.flipped_at or row.opened_at
    first_error = switch.signals.first_error(arm=row.green, since=since)
    switch.ledger.runs.stamp(switch.id, "judged_at", first_bad_at=min(filter(None, (first_error, tick_began))))


def _seconds_left(switch: Switch, row: RunRow) -> float:
    until = row.hold_until
    return (until - switch.ledger.now()).total_seconds() if until is not None else 0.0


def _line(number: int, verdicts: list[Verdict], samples: list[SignalSample | None]) -> str:
    """One line for people: what is not passing, else that all is well, and the traffic so far."""
    sample = samples[-1]
    traffic = f"{sample.requests} requests, {sample.errors_5xx} 5xx" if sample is not None else "signals dead"
    bad = [f"{v.rule} {v.outcome.value} ({v.detail})" for v in verdicts if v.outcome is not Outcome.PASS]
    return f"tick {number}: {'; '.join(bad) if bad else f'all {len(verdicts)} rules pass'}; {traffic}"


async def _thread(function: Callable[[], Value]) -> Value:
    """The ledger and the judge are synchronous: never on the triggerer's loop."""
    return await asyncio.to_thread(function)

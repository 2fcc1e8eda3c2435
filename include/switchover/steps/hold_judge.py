"""What one look of the hold judges, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from switchover.approval import Gate
from switchover.arms.probe import Asked, Round
from switchover.errors import SwitchoverError
from switchover.judge.analysis import Analysis
from switchover.judge.canaries import Canary
from switchover.judge.gates import Outcome, Verdict, decisive, judge_acceptance, judge_stop, worst
from switchover.judge.standing import beyond_hope, standing
from switchover.judge.traffic import Dead, Looked, SignalSample
from switchover.ledger import RunRow
from switchover.steps import staleness
from switchover.steps.switch import Switch

PHASE = "hold"
NOW = "now"  # the gate under which each look keeps what the acceptance rules say


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
    BLIND = "blind"  # looks could not be made, for a reason that nobody thought of


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One look. ``end`` is set on the last one; ``looked`` is false when it must be repeated."""

    number: int
    outcome: Outcome
    line: str
    end: End | None = None
    looked: bool = True


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a look starts from."""

    row: RunRow
    began: datetime
    number: int


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a round of probes and its canaries brought."""

    round: Round
    asked: Sequence[Asked]
    canaries: list[Canary] | None


def judge(switch: Switch, before: Before, answers: Answers | None, *, late: bool) -> Tick:
    """Judge the stop side, and at the end of the hold the acceptance side.

    Without ``answers`` on live traffic and the rounds so far; ``late``: a round is still under way, which the end of
    the hold waits for.
    """
    number, canaries = before.number, answers.canaries if answers else None
    if answers is not None:
        switch.rounds.record(replace(answers.round, tick=number), answers.asked)
    samples = _sample(switch, before.row, number)
    slow = "" if answers else "; its probes are not answered yet"
    stale = f"; {staleness.look(switch, number).line}" if answers else ""
    evidence = Analysis(switch.rounds.evidence(PHASE))
    now = _acceptance(switch, before.row, evidence, samples, canaries)
    _record(switch, NOW, number, now)  # before the stop side: what was judged last is what decides
    stop = _judge_stop(switch, number, evidence, samples, canaries)
    stands = standing([verdict.to_json() for verdict in now])
    outcome, line = worst(stop), f"{_line(number, stop, samples)}; {stands}{slow}{stale}"
    if outcome is Outcome.FAIL:
        _mark_bad(switch, before, "stop")
        return Tick(number=number, outcome=outcome, line=line, end=End.STOPPED)
    if seconds_left(switch) <= 0 and not late:
        return _judge_end(switch, before.row, number, now, samples)
    if hopeless := _hopeless(switch, before.row, evidence, now):
        _record(switch, PHASE, number, now)
        _mark_bad(switch, before, NOW)
        line = f"tick {number}: cannot be accepted any more: {'; '.join(hopeless)}"
        return Tick(number=number, outcome=Outcome.FAIL, line=line, end=End.UNACCEPTED)
    return Tick(number=number, outcome=outcome, line=line)


def _sample(switch: Switch, row: RunRow, number: int) -> list[Looked]:
    """Live traffic on Green from the flip to each look so far; ``Dead`` where the store was."""
    since = row.flipped_at or row.opened_at
    sample: SignalSample | Dead
    try:
        sample = switch.signals.query(arm=row.green, since=since, until=switch.ledger.now())
    except SwitchoverError as error:
        sample = Dead(why=str(error))
    if isinstance(sample, Dead):
        switch.say(f"signals: {sample.why}")
    switch.ledger.journal.sampled(switch.id, number, sample.to_json())
    return switch.ledger.journal.samples(switch.id)


def _judge_stop(
    switch: Switch,
    number: int,
    evidence: Analysis,
    samples: list[Looked],
    canaries: list[Canary] | None,
) -> list[Verdict]:
    verdicts = judge_stop(evidence, rules=switch.plan.rules, signals=samples, canaries=canaries)
    _record(switch, "stop", number, verdicts)
    return verdicts


def _acceptance(
    switch: Switch, row: RunRow, evidence: Analysis, samples: list[Looked], canaries: list[Canary] | None
) -> list[Verdict]:
    """The acceptance side over the hold so far."""
    return judge_acceptance(
        evidence,
        rules=switch.plan.rules,
        signals=samples,
        rehearsal_ttr_s=switch.ledger.rehearsals.counted_seconds(row, switch.plan),
        traffic=True,
        canaries=canaries,
        judge=switch.calibration,
    )


def _hopeless(switch: Switch, row: RunRow, evidence: Analysis, now: list[Verdict]) -> list[str]:
    """Why waiting for the end of the hold is of no use, and the plan does not want it."""
    hold, made = switch.plan.hold, len(evidence.evidence.ticks)
    if hold.on_hopeless == "wait" or switch.plan.asks(Gate.ON_UNACCEPTED) or not made:
        return []
    left = seconds_left(switch)
    if hold.on_unaccepted == "extend":
        longest = (row.flipped_at or row.opened_at) + timedelta(minutes=hold.max_minutes)
        left = max(left, (longest - switch.ledger.now()).total_seconds())
    looks = left / hold.tick_s + 1
    return beyond_hope(now, rules=switch.plan.rules, plain=evidence.plain, made=made, left=looks)


def _judge_end(switch: Switch, row: RunRow, number: int, verdicts: list[Verdict], samples: list[Looked]) -> Tick:
    """The hold is over: accept, extend once more, leave it to a person, or say that Green is not accepted."""
    plan = switch.plan
    if any(question["answered_at"] is None for question in switch.questions()):
        return Tick(number=number, outcome=Outcome.INCONCLUSIVE, line="nobody answered in time", end=End.UNANSWERED)
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


def _mark_bad(switch: Switch, before: Before, gate: str) -> None:
    """When the first bad answer was given: a 5xx in the log, or the first probe of the streak of bad looks."""
    since = before.row.flipped_at or before.row.opened_at
    first_error = switch.signals.first_error(arm=before.row.green, since=since)
    streak = _first_bad_tick(switch.ledger.journal.verdicts(switch.id, gate=gate))
    first_probe = switch.ledger.evidence.began(switch.id, phase=PHASE, tick=streak)
    found = [at for at in (first_error, first_probe) if at is not None]
    switch.ledger.runs.stamp(switch.id, "judged_at", first_bad_at=min([*found, switch.ledger.now()]))


def _first_bad_tick(verdicts: Sequence[Mapping[str, Any]]) -> int:
    """The tick at which the rules that stop the hold now began to be anything but PASS."""
    newest = max(row["tick"] for row in verdicts)
    fired = {row["rule"] for row in verdicts if row["tick"] == newest and row["outcome"] == Outcome.FAIL.value}
    good = [row["tick"] for row in verdicts if row["rule"] in fired and row["outcome"] == Outcome.PASS.value]
    return max(good, default=-1) + 1


def seconds_left(switch: Switch) -> float:
    """Seconds until the hold's end; 0 or less when it is over."""
    until = switch.read().hold_until
    return (until - switch.ledger.now()).total_seconds() if until is not None else 0.0


def _line(number: int, verdicts: list[Verdict], samples: list[Looked]) -> str:
    """One line for people: what decided against Green, else that all is well, and the traffic so far."""
    sample = samples[-1]
    traffic = "signals dead"
    if isinstance(sample, SignalSample):
        traffic = f"{sample.requests} requests, {sample.errors_5xx} 5xx"
        traffic += f", {sample.elsewhere} answered by another arm" if sample.elsewhere else ""
        traffic += "".join(f", {name} {count:g}" for name, count in sample.more.items())
    bad = [f"{v.rule} {v.outcome.value} ({v.detail})" for v in decisive(verdicts, lambda v: v.outcome.value)]
    off = [verdict.rule for verdict in verdicts if verdict.outcome is Outcome.OFF]
    well = f"all {len(verdicts) - len(off)} rules pass"
    told = f" ({', '.join(off)} off by the plan's word, or not applicable)" if off else ""
    return f"tick {number}: {'; '.join(bad) if bad else well}{told}; {traffic}"

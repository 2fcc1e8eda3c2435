"""Step 3: warm Green. Both arms are asked the whole gold set at once, round by round, until latency is steady."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from switchover.arms.probe import Round
from switchover.errors import StateConflict
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.gates import Outcome, Verdict, decisive, judge_acceptance, worst
from switchover.ledger import RunRow
from switchover.protocol import State
from switchover.steps.act import proceed
from switchover.steps.caches import canaries_of, prime_green
from switchover.steps.holdings import counted
from switchover.steps.switch import Switch

PHASE = "warm"


def warm(switch: Switch) -> list[Verdict]:
    """Ask, measure, record and judge. The verdicts are in the ledger; the gate acts on them, not this step."""
    with switch.step(PHASE) as note:
        row = switch.read()
        if row.state not in (State.VERIFIED, State.WARMED):
            raise StateConflict(f"switchover {switch.id!r}: is {row.state.value}; warm needs verified")
        proceed(switch)
        primed = asyncio.run(prime_green(switch, row))
        rounds = asyncio.run(_rounds(switch, row))
        evidence = switch.rounds.evidence(PHASE)
        verdicts = judge_acceptance(
            evidence,
            rules=switch.plan.rules,
            rehearsal_ttr_s=switch.ledger.rehearsals.counted_seconds(row, switch.plan),
            traffic=False,
            canaries=asyncio.run(canaries_of(switch, row)),
            judge=switch.calibration,
            holdings=counted(switch, row),
        )
        switch.ledger.journal.judged(
            switch.id, gate="acceptance", tick=rounds - 1, verdicts=[verdict.to_json() for verdict in verdicts]
        )
        outcome = worst(verdicts)
        probes = np.count_nonzero(evidence.observed)
        note.text = f"{primed}{probes} probes in {rounds} rounds: {outcome.value}{_failed(verdicts)}"
        switch.say(note.text)
        proceed(switch)
        switch.move(State.WARMED)
        return verdicts


def _failed(verdicts: list[Verdict]) -> str:
    rules = [verdict.rule for verdict in decisive(verdicts, lambda verdict: verdict.outcome.value)]
    off = [verdict.rule for verdict in verdicts if verdict.outcome is Outcome.OFF]
    told = f"; off by the plan's word, or not applicable: {', '.join(off)}" if off else ""
    return (f" ({', '.join(rules)})" if rules else "") + told


async def _rounds(switch: Switch, row: RunRow) -> int:
    """Ask rounds until Green's p95 is steady; returns how many were asked."""
    plan, previous = switch.plan, float("inf")
    async with switch.asking(row) as arms:
        for tick in range(plan.warm.max_rounds):
            round = Round(phase=PHASE, tick=tick, seeds=range(plan.probes.seeds))
            asked = await switch.rounds.ask(round, arms, began=switch.ledger.now(), on_progress=_progress(switch, tick))
            latest = _green_p95(switch.rounds.record(round, asked))
            if tick + 1 >= plan.warm.min_rounds and abs(latest - previous) <= plan.warm.steady * previous:
                return tick + 1
            previous = latest
    return plan.warm.max_rounds


def _green_p95(rows: Sequence[EvidenceRow]) -> float:
    totals = [row.ms_total for row in rows if row.arm == "green" and row.ms_total is not None]
    return float(np.percentile(totals, 95)) if totals else float("inf")


def _progress(switch: Switch, tick: int) -> Callable[[int, int], None]:
    """A line at each half of a round."""
    halves_told = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal halves_told
        if 2 * done // total > halves_told:
            halves_told = 2 * done // total
            switch.say(f"warm round {tick + 1}: {done} of {total} probes")

    return on_progress

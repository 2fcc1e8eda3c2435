"""The way back after a promotion, while Blue is kept: a short switchover of its own, asked for by a person.

It freezes the writers, moves the one pointer and proves every reader, under the same states and the same epoch protocol
as any other run. It has no gate and no hold: Blue served before, and what Green did is why a person asks. Interrupted
before it is through it ends as any run does: back on the arm that was live when it began.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime

from switchover.edge.edge import Edge
from switchover.errors import PointerConflict, StateConflict, SwitchoverError, TargetRefused
from switchover.ledger import Ledger, RunRow
from switchover.plan import Plan
from switchover.protocol import Decision, Kind, State
from switchover.steps.act import check_target, drive, proceed, prove_live, say_ttr
from switchover.steps.blue import same_index
from switchover.steps.controls import QUESTION
from switchover.steps.finish import restore, unfreeze
from switchover.steps.freeze import freeze
from switchover.steps.preflight import refuse_others
from switchover.steps.promoted import promoted_run
from switchover.steps.replay import lacking
from switchover.steps.switch import Switch
from switchover.text import counted


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """What a way back would take back: ``run``, and, in ``lines`` for people, what Blue lacks since."""

    run: RunRow
    at: datetime
    lines: list[str]


@dataclass(frozen=True, kw_only=True)
class CameBack:
    """The way back as it ended, what Blue lacked, and the writers that were resumed."""

    row: RunRow
    lines: list[str]
    writers: list[str]


def look_back(*, plan: Plan, edge: Edge) -> WayBack:
    """What a person reads before they say yes. Changes nothing. ``StateConflict`` when there is no way back."""
    ledger = Ledger(engine=edge.sql(plan.ledger))
    run = promoted_run(service=plan.service, ledger=ledger)
    switch = Switch(edge=edge, ledger=ledger, id=run.id, actor="way back", plan=plan)
    return WayBack(
        run=run,
        at=ledger.now(),
        lines=[*lacking(plan=plan, edge=edge, ledger=ledger, promoted=run), _grown(switch, run)],
    )


def go_back(*, plan: Plan, edge: Edge, actor: str, person: str) -> CameBack:
    """Take the newest promotion back: Blue's health and build, its answer, every reader; then the pointer.

    ``person`` has said yes, and the time to restore counts from now. Raises, and the live arm stays live:
        StateConflict    nothing to take back, or a switchover is open
        TargetRefused    Blue is gone, empty, another build or another index, or does not answer
        PointerConflict  somebody else moved the pointer
        NotConverged, DrainTimeout, LeaseLost, Unreachable as the steps of any run
    """
    ledger = Ledger(engine=edge.sql(plan.ledger))
    promoted = promoted_run(service=plan.service, ledger=ledger)
    id = f"{plan.service}:back__{ledger.now().isoformat(timespec='milliseconds')}"
    switch = Switch(edge=edge, ledger=ledger, id=id, actor=actor, plan=plan)
    try:
        lines = _open(switch, promoted, person=person)
        freeze(switch)
        _move(switch, person=person)
        writers = unfreeze(switch)
    except BaseException:
        with contextlib.suppress(SwitchoverError):
            restore(switch)
        raise
    finally:
        with contextlib.suppress(SwitchoverError):
            switch.leadership.release()
    say_ttr(switch, switch.read())
    return CameBack(row=switch.read(), lines=lines, writers=writers)


def _open(switch: Switch, promoted: RunRow, *, person: str) -> list[str]:
    """Prove under the lease, on what is live now, all that will be needed; then open the run."""
    plan, ledger, live, kept = switch.plan, switch.ledger, promoted.green, promoted.blue
    asked = ledger.now()
    with switch.leadership.leading():
        refuse_others(ledger, switch.pointer, switch.id)
        found = switch.pointer.read()
        if found.target != live:
            raise PointerConflict(
                f"{switch.pointer.key}: is on {found.target or 'nothing'!r}, not on {live!r}, which switchover"
                f" {promoted.id!r} promoted; nothing was changed"
            )
        approved = promoted.blue_hash or ""
        check_target(switch, kept, index_hash=approved)
        same = same_index(switch, kept, switch.index.manifest(kept))
        if not same.ok:
            raise TargetRefused(
                f"index {kept!r}: was made anew since: {same.found}, expected {same.expected}; the pointer was not"
                " moved"
            )
        asyncio.run(_answers(switch, kept))
        live_hash = switch.index.health(live).stored_hash or ""
        prove_live(switch, live, index_hash=live_hash)
        switch.pointer.refuse_older(switch.leadership.renew().epoch)
        ledger.runs.open(
            id=switch.id,
            plan=plan,
            pointer=switch.pointer.key,
            blue=live,
            green=kept,
            hold_minutes=plan.hold.minutes,
            version=found.version,
            back_of=promoted.id,
        )
        ledger.runs.stamp(switch.id, approved_hash=approved, blue_hash=live_hash, judged_at=asked)
        switch.say(f"{person} takes back switchover {promoted.id!r}: {kept!r} shall be live again instead of {live!r}")
        lines = [*lacking(plan=plan, edge=switch.edge, ledger=ledger, promoted=promoted), _grown(switch, promoted)]
        for line in lines:
            switch.say(line)
    return lines


async def _answers(switch: Switch, arm: str) -> None:
    """The kept arm serves: it says what it is, and answers a question."""
    async with switch.open_arm(arm) as client:
        await client.report_async()
        reply = await client.ask(QUESTION, seed=0, k=switch.plan.probes.k)
    if not reply.ok:
        raise TargetRefused(f"arm {arm!r}: does not answer: {reply.error}; the pointer was not moved")


def _grown(switch: Switch, promoted: RunRow) -> str:
    """How far the live index has gone on, whoever wrote."""
    try:
        manifest, count = switch.index.manifest(promoted.green), switch.index.count(promoted.green)
    except SwitchoverError as error:
        return f"index {promoted.green!r}: not counted: {error}"
    more = count - manifest.facts.count
    return f"index {promoted.green!r}: {counted(count, 'row')}, {more:+,} since its build"


def _move(switch: Switch, *, person: str) -> None:
    """The pointer, and every reader; from then on the way back only goes on."""
    with switch.step("flip") as note:
        proceed(switch)
        for state in (State.VERIFIED, State.WARMED, State.FLIPPING):
            switch.move(state)
        action = drive(switch)
        if action.kind is not Kind.WATCH:
            raise StateConflict(f"switchover {switch.id!r}: not brought back: {action.why}")
        row = switch.decide(Decision.PROMOTE, reason=f"way back by {person}")
        note.text = f"{row.green!r} is live again, read back by {len(switch.plan.readers)} readers"

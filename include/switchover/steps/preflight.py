"""Preflight: read the pointer, take its lease, open the ledger record. Or: nothing to do, or only a dry run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial

from switchover.edge.edge import Edge
from switchover.errors import BadInput, PointerConflict, StateConflict, SwitchoverError
from switchover.ledger import Ledger
from switchover.ledger.heartbeat import Heartbeat
from switchover.plan import Plan
from switchover.planfile.departures import departed, departures
from switchover.pointers import Pointer
from switchover.steps.asked import ask_again, too_late
from switchover.steps.controls import require_controls
from switchover.steps.dry_run import look
from switchover.steps.flip import require_watchdog
from switchover.steps.switch import Switch
from switchover.steps.world import BothArms


class Route(str, Enum):
    """Where a run goes after preflight."""

    GO = "go"
    NOTHING_TO_DO = "nothing_to_do"
    SKIPPED = "skipped"
    DRY_RUN = "dry_run"


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What preflight found. ``lines`` are for people."""

    route: Route
    blue: str
    green: str
    hold_minutes: float
    lines: tuple[str, ...]


def preflight(
    *,
    plan: Plan,
    edge: Edge,
    id: str,
    actor: str,
    green: str | None = None,
    hold_minutes: float | None = None,
    dry_run: bool = False,
    due: datetime | None = None,
    retry_build: str = "",
) -> Preflight:
    """Decide whether there is anything to do, and open the run when there is.

    ``green`` and ``hold_minutes`` override the plan for this run. A repeat of the same id goes on with
    the run that is open; one that has ended is refused. ``due`` is when it should have begun (aware UTC), and
    ``retry_build`` a person's word for a build that was taken back: see ``switchover.steps.asked``.
    """
    green = plan.green if green is None else green
    minutes = plan.hold.minutes if hold_minutes is None else hold_minutes
    if green not in plan.arms:
        raise BadInput(f"green: {green!r} is not an arm of plan {plan.service!r}; allowed: {', '.join(plan.arms)}")
    try:
        plan.check_hold(minutes)
    except ValueError as error:
        raise BadInput(str(error)) from None
    pointer = plan.pointer.build(edge)
    ledger = Ledger(engine=edge.sql(plan.ledger))
    known = ledger.runs.find(id)
    if known is not None and known.state.ended:
        raise StateConflict(f"switchover {id!r}: has ended as {known.state.value}; trigger a new run")
    if known is not None:
        return Preflight(
            route=Route.GO, blue=known.blue, green=known.green, hold_minutes=known.hold_minutes, lines=("resumed",)
        )
    live = _live(plan, pointer)
    if live == green:
        line = f"{pointer.key}: Green {green!r} is live already; nothing to do"
        return Preflight(route=Route.NOTHING_TO_DO, blue=green, green=green, hold_minutes=minutes, lines=(line,))
    late = None if dry_run else too_late(plan, due=due, now=ledger.now())
    if late is not None:
        return Preflight(route=Route.SKIPPED, blue=live, green=green, hold_minutes=minutes, lines=(late,))
    if dry_run:
        switch = Switch(edge=edge, ledger=ledger, id=id, actor="dry run", plan=plan)
        others = partial(_refuse_others, ledger, pointer, id)
        arms = BothArms(blue=live, green=green)
        lines = look(switch, arms=arms, minutes=minutes, word=retry_build, refuse_others=others)
        return Preflight(route=Route.DRY_RUN, blue=live, green=green, hold_minutes=minutes, lines=lines)
    ledger.require_kept_commits()
    require_watchdog(plan, ledger)
    lease = ledger.leases.take(pointer.key, holder=id, seconds=plan.handover_s)
    switch = Switch(edge=edge, ledger=ledger, id=id, actor=actor, plan=plan)
    try:
        _refuse_others(ledger, pointer, id)
        build = switch.index.health(green).stored_hash
        again = ask_again(ledger, plan=plan, pointer=pointer.key, green=green, build=build, word=retry_build)
        pointer.refuse_older(lease.epoch)
        # Only now nobody else of ours moves it: what was read before the lease may be another run's Blue.
        found = pointer.read()
        if found.target != live:
            raise PointerConflict(
                f"{pointer.key}: was on {live!r} and is on {found.target or 'nothing'!r} now, moved while this run"
                " began; nothing was changed. Trigger a new run"
            )
        with Heartbeat(lambda: ledger.leases.renew(lease, seconds=plan.handover_s), lease_s=plan.handover_s):
            require_controls(switch, blue=live, green=green)
        ledger.leases.renew(lease, seconds=plan.handover_s)
        ledger.runs.open(
            id=id,
            plan=plan,
            pointer=pointer.key,
            blue=live,
            green=green,
            hold_minutes=minutes,
            version=found.version,
            retry_build=retry_build,
        )
    except BaseException:
        with contextlib.suppress(SwitchoverError):
            ledger.leases.release(lease)
        raise
    line = f"Blue {live!r} is live, Green is {green!r}; lease of {pointer.key} taken, epoch {lease.epoch}"
    switch.say(line)
    if again is not None:
        switch.say(again)
    if loose := departed(departures(plan)):
        switch.say(loose)
    watched = _watched(ledger)
    switch.say(watched)
    return Preflight(route=Route.GO, blue=live, green=green, hold_minutes=minutes, lines=(line, watched))


def _live(plan: Plan, pointer: Pointer) -> str:
    """The arm that is live; ``PointerConflict`` when the pointer is on none of the plan's."""
    live = pointer.read().target
    if live is None or live not in plan.arms:
        raise PointerConflict(
            f"{pointer.key}: is on {live or 'nothing'!r}, none of the plan's arms ({', '.join(plan.arms)});"
            " nothing was changed"
        )
    return live


def _refuse_others(ledger: Ledger, pointer: Pointer, id: str) -> None:
    """``StateConflict`` while another switchover of this pointer is open, or has left writers frozen."""
    others = [row for row in ledger.runs.open_on(pointer.key) if row.id != id]
    if others:
        raise StateConflict(
            f"{pointer.key}: switchover {others[0].id!r} is still {others[0].state.value}"
            f" (since {others[0].updated_at:%Y-%m-%d %H:%M:%S} UTC); if nobody drives it any more,"
            f" `switchover restore '{others[0].id}'` ends it"
        )
    left = [row for row in ledger.runs.left_frozen_on(pointer.key) if row.id != id]
    if left:
        raise StateConflict(
            f"{pointer.key}: switchover {left[0].id!r} has ended as {left[0].state.value} but its writers are still"
            f" frozen; `switchover restore '{left[0].id}'` resumes them"
        )


def _watched(ledger: Ledger) -> str:
    """Who rolls back when Airflow cannot."""
    line = ledger.watchdogs.line()
    if ledger.watchdogs.living() is None:
        line = f"WARNING: {line}: if Airflow dies during the hold, nothing rolls back until it runs again"
    return line

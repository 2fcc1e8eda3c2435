"""Preflight: read the pointer, take its lease, open the ledger record. Or: nothing to do, or only a dry run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import partial

from switchover.edge.edge import Edge
from switchover.errors import BadInput, PointerConflict, StateConflict, SwitchoverError
from switchover.ledger import Ledger, RunRow
from switchover.ledger.heartbeat import Heartbeat
from switchover.plan import Plan
from switchover.planfile.departures import departed, departures
from switchover.pointers import Pointer
from switchover.steps.asked import ask_again, build_asked, too_late
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
    asked = _asked(plan, green, hold_minutes)
    pointer = plan.pointer.build(edge)
    ledger = Ledger(engine=edge.sql(plan.ledger))
    known = ledger.runs.find(id)
    if known is not None:
        return _resumed(known)
    live = _live(plan, pointer)
    found = Preflight(route=Route.GO, blue=live, green=asked.green, hold_minutes=asked.hold_minutes, lines=())
    if live == asked.green:
        line = f"{pointer.key}: Green {live!r} is live already; nothing to do"
        return replace(found, route=Route.NOTHING_TO_DO, lines=(line,))
    late = None if dry_run else too_late(plan, due=due, now=ledger.now())
    if late is not None:
        return replace(found, route=Route.SKIPPED, lines=(late,))
    switch = Switch(edge=edge, ledger=ledger, id=id, actor="dry run" if dry_run else actor, plan=plan)
    if dry_run:
        arms, minutes = BothArms(blue=live, green=found.green), found.hold_minutes
        others = partial(refuse_others, ledger, pointer, id)
        lines = look(switch, arms=arms, minutes=minutes, word=retry_build, refuse_others=others)
        return replace(found, route=Route.DRY_RUN, lines=lines)
    ledger.require_kept_commits()
    require_watchdog(plan, ledger)
    return replace(found, lines=_open(switch, ledger, pointer, found, retry_build=retry_build))


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What this run is asked for: the plan's own, or what was given for the run."""

    green: str
    hold_minutes: float


def _asked(plan: Plan, green: str | None, hold_minutes: float | None) -> _Asked:
    green = plan.green if green is None else green
    minutes = plan.hold.minutes if hold_minutes is None else hold_minutes
    plan.require_arm(green, key="green")
    try:
        plan.check_hold(minutes)
    except ValueError as error:
        raise BadInput(str(error)) from None
    return _Asked(green=green, hold_minutes=minutes)


def _resumed(row: RunRow) -> Preflight:
    """Go on with the run that is open; ``StateConflict`` for one that has ended."""
    if row.state.ended:
        raise StateConflict(f"switchover {row.id!r}: has ended as {row.state.value}; trigger a new run")
    return Preflight(route=Route.GO, blue=row.blue, green=row.green, hold_minutes=row.hold_minutes, lines=("resumed",))


def _open(switch: Switch, ledger: Ledger, pointer: Pointer, found: Preflight, *, retry_build: str) -> tuple[str, ...]:
    """Take the lease, check what only its holder can check, and open the run. Returns lines for people.

    After any error the lease is released, and nothing was changed.
    """
    plan = switch.plan
    lease = ledger.leases.take(pointer.key, holder=switch.id, seconds=plan.handover_s)
    try:
        refuse_others(ledger, pointer, switch.id)
        build = build_asked(plan, switch.index, blue=found.blue, green=found.green, word=retry_build)
        again = ask_again(ledger, plan=plan, pointer=pointer.key, green=found.green, build=build, word=retry_build)
        pointer.refuse_older(lease.epoch)
        version = _still_live(pointer, found.blue)
        with Heartbeat(lambda: ledger.leases.renew(lease, seconds=plan.handover_s), lease_s=plan.handover_s):
            came = require_controls(switch, blue=found.blue, green=found.green)
        ledger.leases.renew(lease, seconds=plan.handover_s)
        ledger.runs.open(
            id=switch.id,
            plan=plan,
            pointer=pointer.key,
            blue=found.blue,
            green=found.green,
            hold_minutes=found.hold_minutes,
            version=version,
            retry_build=retry_build,
        )
    except BaseException:
        with contextlib.suppress(SwitchoverError):
            ledger.leases.release(lease)
        raise
    taken = f"lease of {pointer.key} taken, epoch {lease.epoch}"
    line, watched = f"Blue {found.blue!r} is live, Green is {found.green!r}; {taken}", _watched(ledger)
    signals = f"signals, asked once: {came['signals']}"
    for told in filter(None, (line, again, departed(departures(plan)), signals, watched)):
        switch.say(told)
    return line, watched


def _still_live(pointer: Pointer, live: str) -> int | None:
    """The pointer's version, read under the lease: what was read before it may be another run's Blue."""
    found = pointer.read()
    if found.target != live:
        raise PointerConflict(
            f"{pointer.key}: was on {live!r} and is on {found.target or 'nothing'!r} now, moved while this run"
            " began; nothing was changed. Trigger a new run"
        )
    return found.version


def _live(plan: Plan, pointer: Pointer) -> str:
    """The arm that is live; ``PointerConflict`` when the pointer is on none of the plan's."""
    live = pointer.read().target
    if live is None or live not in plan.arms:
        raise PointerConflict(
            f"{pointer.key}: is on {live or 'nothing'!r}, none of the plan's arms ({', '.join(plan.arms)});"
            " nothing was changed"
        )
    return live


def refuse_others(ledger: Ledger, pointer: Pointer, id: str) -> None:
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

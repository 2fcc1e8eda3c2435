"""What is so with a switchover, since when, on what evidence, and the next safe commands. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchover.edge.edge import Edge
from switchover.errors import SwitchoverError
from switchover.ledger import Lease, Ledger, RunRow
from switchover.part import LEDGER
from switchover.protocol import Action, Kind, Observation, decide
from switchover.report.advice import Unproven, advise
from switchover.report.summary import status_line
from switchover.steps.frozen import held_lines, unresumed
from switchover.steps.observe import observe
from switchover.steps.readers import unproven
from switchover.steps.world import World
from switchover.text import first_line, table


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One run. ``facts`` are (what, how it is); ``next`` are commands and words; ``act``: a person should."""

    run: str
    facts: list[tuple[str, str]]
    next: list[str]
    act: bool

    @property
    def text(self) -> str:
        """For people."""
        lines = [[name, value] for name, value in self.facts]
        return f"{self.run}\n{table(lines)}\nnext:\n" + "\n".join(f"  {line}" for line in self.next)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {"run": self.run, "facts": dict(self.facts), "next": self.next, "act": self.act}


def diagnose(*, edge: Edge, ledger: Ledger, row: RunRow, ledger_name: str = LEDGER) -> Diagnosis:
    """Look at one run and everything it hangs on. A part that cannot be looked at says why."""
    world = World(edge=edge, ledger=ledger, id=row.id, actor="doctor")
    seen, now = _observed(world), ledger.now()
    lease, watched = ledger.leases.get(row.pointer), ledger.watchdogs.living() is not None
    frozen = unresumed(world)
    action = decide(row.record, seen, now)
    missing = _unproven(world, action, frozen)
    facts = [
        ("state", f"{row.state.value}, {status_line(row, now)}"),
        ("pointer", _pointer(row, seen)),
        ("lease", _lease(row, lease, now)),
        ("watchdog", ledger.watchdogs.line()),
        ("readers", missing.line if missing else "not asked" if missing is None else "all follow"),
        ("writers", _writers(world, frozen)),
        ("decision", _decision(row)),
        ("last said", _last_event(ledger, row)),
        ("so", f"{action.kind.value}: {action.why}"),
    ]
    next = advise(action, row, seen, lease, frozen=frozen, watched=watched, ledger=ledger_name, unproven=missing)
    held = held_lines(world)
    quiet = not held and next[0].startswith("nothing to do")
    return Diagnosis(run=row.id, facts=facts, next=next + held, act=not quiet)


def advice(edge: Edge, ledger: Ledger, row: RunRow) -> list[str]:
    """The next safe steps of a run, the best first."""
    return diagnose(edge=edge, ledger=ledger, row=row).next


def _unproven(world: World, action: Action, frozen: list[str]) -> Unproven | None:
    """What keeps the run's last step from being proven; nothing is asked while no proof is due."""
    due = action.kind is Kind.CONFIRM_ROLLBACK or (action.kind is Kind.NOTHING and frozen)
    if not due:
        return None
    target, index_hash = world.read().should_be_live
    try:
        index_hash = index_hash or world.index.health(target).stored_hash
    except (SwitchoverError, ValueError):
        index_hash = None
    return unproven(world, target, index_hash=index_hash or "")


def _observed(world: World) -> Observation:
    try:
        return observe(world)
    except (SwitchoverError, ValueError) as error:
        return Observation(target=None, unread=first_line(error))


def _pointer(row: RunRow, seen: Observation) -> str:
    if seen.target is None:
        return f"{row.pointer}: cannot be read: {seen.unread}"
    role = {row.blue: "Blue", row.green: "Green"}.get(seen.target, "neither arm of this run")
    return f"{row.pointer}: on {seen.target!r}, {role}; read just now"


def _lease(row: RunRow, lease: Lease | None, now: datetime) -> str:
    if lease is None:
        return "nobody ever held it"
    seconds = (lease.expires_at - now).total_seconds()
    ended = "let go" if lease.released_at else "ran out"
    life = (
        f"alive, {seconds:.0f} s left"
        if lease.alive
        else f"{ended} {(now - lease.over_since).total_seconds():.0f} s ago"
    )
    seized = f", seized from {lease.seized_from!r}" if lease.seized_from else ""
    longest = max(_seconds(row, name) for name in ("lease_s", "handover_s"))
    late = lease.alive and seconds > longest + 60
    odd = "; longer than any lease lives: was the ledger's clock set back?" if late else ""
    return f"{lease.holder!r} since {lease.taken_at:%Y-%m-%d %H:%M:%S} UTC{seized}, epoch {lease.epoch}; {life}{odd}"


def _seconds(row: RunRow, name: str) -> float:
    """A length of the run's plan; 0 where the record of the plan cannot be read."""
    found = row.plan.get(name, 0) if isinstance(row.plan, Mapping) else 0
    return float(found) if isinstance(found, (int, float)) else 0.0


def _writers(world: World, frozen: list[str]) -> str:
    rows = world.ledger.journal.writers(world.id)
    if not rows:
        return "none was frozen"
    resumed = [f"{row['name']} on {row['resumed_on']}" for row in rows if row["resumed_at"] is not None]
    held = [row["name"] for row in rows if row["held"] and row["resumed_at"] is None]
    parts = {"frozen": frozen, "held": held, "resumed": resumed}
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts.items() if names)


def _decision(row: RunRow) -> str:
    if row.decision is None:
        return "none"
    at = f" at {row.decided_at:%Y-%m-%d %H:%M:%S} UTC" if row.decided_at else ""
    return f"{row.decision.value}{at}: {row.reason}"


def _last_event(ledger: Ledger, row: RunRow) -> str:
    events = ledger.journal.events(row.id)
    if not events:
        return "nothing"
    last = events[-1]
    return f"{last['at']:%Y-%m-%d %H:%M:%S} UTC, {last['actor']}: {last['text']}"

"""What is so with a switchover, since when, on what evidence, and the next safe commands. Reads only."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from switchover.edge import Edge
from switchover.errors import SwitchoverError
from switchover.ledger import Lease, Ledger, RunRow
from switchover.protocol import Action, Decision, Kind, Observation, State, decide
from switchover.report import status_line
from switchover.steps.act import observe
from switchover.steps.resume import held_lines, unresumed
from switchover.steps.switch import Switch
from switchover.text import table

GOING_ON = (Kind.PROCEED, Kind.FLIP, Kind.CONFIRM_FLIP, Kind.WATCH)


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


def diagnose(*, edge: Edge, ledger: Ledger, row: RunRow, plan_file: str = "FILE") -> Diagnosis:
    """Look at one run and everything it hangs on. A part that cannot be looked at says why."""
    switch = Switch(edge=edge, ledger=ledger, id=row.id, actor="doctor")
    seen, now = _observed(switch), ledger.now()
    lease, watched = ledger.leases.get(row.pointer), ledger.watchdogs.living() is not None
    frozen = unresumed(switch)
    action = decide(row.record, seen, now)
    facts = [
        ("state", f"{row.state.value}, {status_line(row, now)}"),
        ("pointer", _pointer(row, seen)),
        ("lease", _lease(row, lease, now)),
        ("watchdog", ledger.watchdogs.line()),
        ("writers", _writers(switch, frozen)),
        ("decision", _decision(row)),
        ("last said", _last_event(ledger, row)),
        ("so", f"{action.kind.value}: {action.why}"),
    ]
    next = advise(action, row, seen, lease, frozen=frozen, watched=watched, plan_file=plan_file)
    held = held_lines(switch)
    quiet = not held and next[0].startswith("nothing to do")
    return Diagnosis(run=row.id, facts=facts, next=next + held, act=not quiet)


def advise(
    action: Action,
    row: RunRow,
    seen: Observation,
    lease: Lease | None,
    *,
    frozen: list[str],
    watched: bool,
    plan_file: str = "FILE",
) -> list[str]:
    """The safe next steps, the best first. Pure: the same facts give the same advice."""
    restore = f"switchover restore {shlex.quote(row.id)}"
    back = f"switchover rollback --plan {shlex.quote(plan_file)}"
    driven = lease is not None and lease.alive
    if action.kind is Kind.NOTHING:
        return _advise_ended(row, seen, frozen, restore)
    if action.kind is Kind.RETRY:
        return ["mend the way to the pointer's store, then look again; nothing moves until it can be read"]
    if action.kind is Kind.STOP:
        return [
            f"somebody else moved the pointer: find out who, and put it on {row.blue!r} with the store's own tool",
            f"then: {restore}",
        ]
    if driven and lease is not None:
        by = "the run" if lease.holder == row.id else lease.holder
        wanted = [] if row.state.before_flip or row.decision is Decision.PROMOTE else [f"Blue back now: {back}"]
        return [f"nothing to do: {by} drives it", *wanted]
    if row.state.before_flip and not frozen:
        return [f"nobody drives it; Airflow's next task goes on. To end it: {restore}"]
    if watched:
        return [f"nothing to do: nobody drives it, and the watchdog takes over within seconds. By hand: {restore}"]
    return [f"nobody drives it and no watchdog looks: {restore}"]


def _advise_ended(row: RunRow, seen: Observation, frozen: list[str], restore: str) -> list[str]:
    live = row.green if row.state is State.PROMOTED else row.blue
    if seen.target is not None and seen.target != live:
        return [f"nothing to do for this run: it ended with {live!r} live, and {seen.target!r} is live since"]
    if frozen:
        return [f"writers are still frozen ({', '.join(frozen)}): {restore}"]
    return ["nothing to do: it has ended"]


def _observed(switch: Switch) -> Observation:
    try:
        return observe(switch)
    except (SwitchoverError, ValueError) as error:
        return Observation(target=None, unread=str(error).splitlines()[0])


def _pointer(row: RunRow, seen: Observation) -> str:
    if seen.target is None:
        return f"{row.pointer}: cannot be read: {seen.unread}"
    role = {row.blue: "Blue", row.green: "Green"}.get(seen.target, "neither arm of this run")
    return f"{row.pointer}: on {seen.target!r}, {role}; read just now"


def _lease(row: RunRow, lease: Lease | None, now: datetime) -> str:
    if lease is None:
        return "nobody ever held it"
    seconds = (lease.expires_at - now).total_seconds()
    life = f"alive, {seconds:.0f} s left" if lease.alive else f"ran out {-seconds:.0f} s ago"
    seized = f", seized from {lease.seized_from!r}" if lease.seized_from else ""
    longest = max(float(row.plan.get(name, 0)) for name in ("lease_s", "handover_s"))
    odd = "; longer than any lease lives: was the ledger's clock set back?" if seconds > longest + 60 else ""
    return f"{lease.holder!r} since {lease.taken_at:%Y-%m-%d %H:%M:%S} UTC{seized}, epoch {lease.epoch}; {life}{odd}"


def _writers(switch: Switch, frozen: list[str]) -> str:
    rows = switch.ledger.journal.writers(switch.id)
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

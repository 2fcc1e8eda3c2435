"""The next safe step of a run, in words with its command: for doctor, and for whoever is told that it is stuck.

Pure: the same facts give the same advice.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from switchover.ledger import Lease, RunRow
from switchover.part import LEDGER
from switchover.protocol import Action, Decision, Kind, Observation, State

POINTER = "pointer"  # stands for the store's own proof among the readers that are left out


@dataclass(frozen=True, kw_only=True)
class Unproven:
    """What keeps the arm that should be live from being proven. Name -> why.

    ``unread``: cannot be read at all. ``behind``: reads, but serves another arm or build.
    """

    unread: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.unread or self.behind)

    @property
    def line(self) -> str:
        """For people."""
        return "; ".join(
            [f"{name!r} cannot be read: {why}" for name, why in self.unread.items()] + list(self.behind.values())
        )


def restore_command(id: str, *, without: Mapping[str, str] | None = None) -> str:
    """The command that ends a run; ``without``: what a person leaves out."""
    words = ["switchover", "restore", id]
    for name in without or {}:
        words += ["--without", name]
    return shlex.join(words)


def advise(
    action: Action,
    row: RunRow,
    seen: Observation,
    lease: Lease | None,
    *,
    frozen: list[str],
    watched: bool,
    ledger: str = LEDGER,
    unproven: Unproven | None = None,
) -> list[str]:
    """The safe next steps, the best first."""
    restore = restore_command(row.id)
    back = shlex.join(["switchover", "rollback", "--service", row.service, *_where(ledger)])
    driven = lease is not None and lease.alive
    if action.kind is Kind.NOTHING:
        return _ended(row, seen, frozen, unproven)
    if action.kind is Kind.RETRY:
        return ["mend the way to the pointer's store, then look again; nothing moves until it can be read"]
    if action.kind is Kind.STOP:
        return [
            f"somebody else moved the pointer: find out who, and put it on {row.blue!r} with the store's own tool",
            f"then: {restore}",
        ]
    if row.state is State.STUCK and unproven:
        return unproven_steps(row, unproven)
    if driven and lease is not None:
        by = "the run" if lease.holder == row.id else lease.holder
        wanted = [] if row.state.before_flip or row.decision is Decision.PROMOTE else [f"to go back now: {back}"]
        return [f"nothing to do: {by} drives it", *wanted]
    if action.kind is Kind.CONFIRM_ROLLBACK and unproven:
        return unproven_steps(row, unproven)
    if row.state.before_flip and not frozen:
        return [f"nobody drives it; Airflow's next task goes on. To end it: {restore}"]
    if watched:
        return [f"nothing to do: nobody drives it, and the watchdog takes over within seconds. By hand: {restore}"]
    return [f"nobody drives it and no watchdog looks: {restore}"]


def _where(ledger: str) -> list[str]:
    return [] if ledger == LEDGER else ["--ledger", ledger]


def unproven_steps(row: RunRow, unproven: Unproven) -> list[str]:
    """For a run whose pointer is right and whose readers are not proven."""
    live = row.green if row.state is State.PROMOTED else row.blue
    restore = restore_command(row.id)
    steps = [f"the pointer is on {live!r}, but {unproven.line}"]
    if unproven.behind:
        steps.append(f"have {', '.join(map(repr, unproven.behind))} follow the pointer (restart it), then: {restore}")
    if unproven.unread and not unproven.behind:
        names = ", ".join(map(repr, unproven.unread))
        steps += [
            f"if {names} cannot be mended, leave it out by name: {restore_command(row.id, without=unproven.unread)}",
            f"if it is mended: {restore}; if the plan's readers were wrong: {restore} --plan FILE",
        ]
    return steps


def _ended(row: RunRow, seen: Observation, frozen: list[str], unproven: Unproven | None) -> list[str]:
    live = row.green if row.state is State.PROMOTED else row.blue
    moved = seen.target is not None and seen.target != live
    if moved and frozen:
        return [
            f"writers are still frozen ({', '.join(frozen)}), and somebody else moved the pointer to {seen.target!r}:"
            f" find out who, and put it on {live!r} with the store's own tool",
            f"then: {restore_command(row.id)}",
        ]
    if moved:
        return [f"nothing to do for this run: it ended with {live!r} live, and {seen.target!r} is live since"]
    if frozen and unproven:
        return [f"writers are still frozen ({', '.join(frozen)})", *unproven_steps(row, unproven)]
    if frozen:
        return [f"writers are still frozen ({', '.join(frozen)}): {restore_command(row.id)}"]
    return ["nothing to do: it has ended"]

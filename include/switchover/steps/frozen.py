"""Which writers a run has frozen and not resumed, and which are held."""

from __future__ import annotations

import shlex

from switchover.steps.world import World


def unresumed(world: World) -> list[str]:
    """Names of the writers that are frozen still although nothing holds them."""
    rows = world.ledger.journal.writers(world.id)
    return [row["name"] for row in rows if row["resumed_at"] is None and not row["held"]]


def held_lines(world: World, name: str | None = None) -> list[str]:
    """One line for each writer that is held: why, and what resumes it after the mend."""
    return [
        f"{row['held']}; next: switchover writers resume {shlex.quote(world.id)} {shlex.quote(row['name'])}"
        for row in world.ledger.journal.writers(world.id)
        if row["held"] and row["resumed_at"] is None and name in (None, row["name"])
    ]

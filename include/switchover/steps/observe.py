"""What the pointer and the lease of a run say now."""

from __future__ import annotations

from switchover.errors import Unreachable
from switchover.protocol import Observation
from switchover.steps.world import World


def observe(world: World, *, run_ended: bool = False) -> Observation:
    """What the pointer and the lease say now."""
    try:
        now = world.pointer.read()
    except Unreachable as error:
        return Observation(target=None, unread=str(error), lease_alive=world.run_lease_alive(), run_ended=run_ended)
    return Observation(
        target=now.target or "nothing",
        version=now.version,
        lease_alive=world.run_lease_alive(),
        run_ended=run_ended,
    )

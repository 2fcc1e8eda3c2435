"""The pointer's lease, as one process leads under it: take, join, renew, hand over, release."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from switchover.errors import LeaseLost
from switchover.ledger import Lease, Ledger
from switchover.ledger.heartbeat import Heartbeat
from switchover.steps.world import World

PAUSE_S = 0.2
STALLED_S = 3600.0  # a proof of a large index reads for minutes and says nothing meanwhile


class Leadership:
    """Who may act on a run: the pointer's lease under a growing epoch.

    ``holder`` is the name under which the lease is taken: the run's id for the run's own processes; another name for
    whoever acts in their stead (``watchdog:...``, ``person:...``).
    """

    def __init__(self, world: World, *, ledger: Ledger, holder: str) -> None:
        self._world = world
        self._leases = ledger.leases
        self.holder = holder
        self.held: Lease | None = None  # what this process took or joined, as it was last renewed; it may be lost since
        self._refused_below = 0
        self._beat: Heartbeat | None = None

    @property
    def lease(self) -> Lease:
        """The lease that this process leads under; ``LeaseLost`` when it leads under none."""
        if self.held is None:
            raise LeaseLost(f"switchover {self._world.id!r}: this process has not taken the lease of {self._key}")
        return self.held

    def take(self, *, wait: bool = False, seize: bool = False) -> Lease:
        """Take the pointer's lease under the next epoch: no older process of the holder may write from now on.

        ``LeaseLost`` while somebody else has it, with ``wait`` only after two hand-overs. ``seize`` takes it
        from whoever has it and says from whom: for a person who asks for it.
        """
        take, plan = self._leases.seize if seize else self._leases.take, self._world.plan
        deadline = time.monotonic() + (2 * plan.handover_s if wait else 0.0)
        while True:
            try:
                lease = take(self._key, holder=self.holder, seconds=plan.lease_s)
                break
            except LeaseLost:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(PAUSE_S)
        if lease.seized_from:
            self._world.say(f"lease of {lease.pointer} seized from {lease.seized_from!r}, epoch {lease.epoch}")
        return self._keep(lease)

    def join(self) -> Lease:
        """Keep the run's own living lease alive without taking it: for a process that moves nothing."""
        return self._keep(self._leases.join(self._key, holder=self._world.id))

    def renew(self) -> Lease:
        """Renew the lease; ``LeaseLost`` when it ran out or another epoch began."""
        return self._keep(self._leases.renew(self.lease, seconds=self._world.plan.lease_s))

    def hand_over(self) -> Lease:
        """Renew the lease for as long as the next step may take to start."""
        return self._keep(self._leases.renew(self.lease, seconds=self._world.plan.handover_s))

    def release(self) -> None:
        """Let the lease go, if this process leads."""
        if self.held is not None:
            self._leases.release(self.held)
            self.held = None

    def refuse_older(self) -> None:
        """Have the store refuse every older epoch from now on, where it can."""
        epoch = self.lease.epoch
        if self._refused_below != epoch:
            self._world.pointer.refuse_older(epoch)
            self._refused_below = epoch

    @contextlib.contextmanager
    def leading(self, *, wait: bool = False, seize: bool = False, idle_s: float = STALLED_S) -> Iterator[Lease]:
        """Lead for the block, however slow it is; when it ends well the lease lasts until the next step takes it.

        A block that does not call :meth:`came_on` for ``idle_s`` has stalled, and its lease runs out. A run that has
        ended needs no next step.
        """
        lease = self.take(wait=wait, seize=seize)
        beat = Heartbeat(self.renew, lease_s=self._world.plan.lease_s, going_on=lambda: beat.idle_s <= idle_s)
        self._beat = beat
        with beat:
            yield lease
        if self._world.read().state.ended:
            self.release()
        elif self.held is not None:
            self.hand_over()

    def came_on(self) -> None:
        """Note that the block which leads has come on: it read its run, or said something."""
        if self._beat is not None:
            self._beat.stamp()

    @property
    def _key(self) -> str:
        return self._world.pointer.key

    def _keep(self, lease: Lease) -> Lease:
        self.held = lease
        return lease

"""How a hold, or a wait for people, keeps the lease: beside its looks, as long as its event loop turns.

The arithmetic: docs/watchdog.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable

from switchover.errors import LeaseLost
from switchover.ledger.heartbeat import Heartbeat, Turning
from switchover.protocol import State
from switchover.steps.observe import observe
from switchover.steps.switch import Switch


@contextlib.asynccontextmanager
async def beating(switch: Switch, *, until: float, idle_s: float = math.inf) -> AsyncIterator[Heartbeat]:
    """Renew the lease for the block, unless the event loop stands still or ``until`` has passed.

    ``idle_s``: nor longer than so after the beat's last ``stamp``: looks that do not end keep no lease.
    """
    turning = Turning(patience_s=switch.plan.handover_s)
    beat = heartbeat(switch, going_on=lambda: turning.lately() and time.monotonic() < until, idle_s=idle_s)
    turns = asyncio.create_task(_stamp(turning))
    try:
        await asyncio.to_thread(rejoin, switch)
        await asyncio.to_thread(switch.leadership.renew)
        beat.start()
    except LeaseLost as error:
        beat.lost = str(error)
    try:
        yield beat
    finally:
        turns.cancel()
        await asyncio.to_thread(beat.stop)


def heartbeat(switch: Switch, *, going_on: Callable[[], bool], idle_s: float) -> Heartbeat:
    """What renews the lease of a watch; see :func:`beating`."""
    beat = Heartbeat(
        switch.leadership.renew,
        lease_s=switch.plan.lease_s,
        going_on=lambda: going_on() and beat.idle_s <= idle_s,
        again=lambda: _take_again(switch),
    )
    return beat


async def _stamp(turning: Turning) -> None:
    while True:
        turning.stamp()
        await asyncio.sleep(1)


def rejoin(switch: Switch) -> None:
    """Join the run's living lease, or go on after an outage of ledger and triggerer together.

    A lease of this very run that ran out less than ``handover_s`` ago, that nobody has taken or let go since, is taken
    anew while the run is undecided and Green is live: until then nobody acted in its stead, and from then on nobody
    else may. ``LeaseLost`` in any other case.
    """
    try:
        switch.leadership.join()
    except LeaseLost:
        if not _nobody_took_over(switch):
            raise
        lease = switch.leadership.take()
        switch.say(f"the lease ran out and nobody took over; a new watch goes on under epoch {lease.epoch}")


def _nobody_took_over(switch: Switch) -> bool:
    row, lease = switch.read(), switch.ledger.leases.get(switch.pointer.key)
    if lease is None or lease.holder != switch.id or lease.released_at is not None:
        return False
    late_s = (switch.ledger.now() - lease.expires_at).total_seconds()
    if row.state is not State.HOLDING or row.decision is not None or late_s > switch.plan.handover_s:
        return False
    seen = observe(switch)
    return seen.target == row.green


def _take_again(switch: Switch) -> None:
    """After an outage of the ledger, in which nobody could renew or take the lease."""
    lease = switch.leadership.take()
    switch.say(f"the ledger did not answer and the lease ran out; the watch goes on under epoch {lease.epoch}")

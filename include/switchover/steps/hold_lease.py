"""How a hold, or a wait for people, keeps the lease: beside its looks, as long as its event loop turns.

The arithmetic: docs/watchdog.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator

from switchover.errors import LeaseLost
from switchover.heartbeat import Heartbeat, Turning
from switchover.steps.switch import Switch


@contextlib.asynccontextmanager
async def beating(switch: Switch, *, until: float, idle_s: float = math.inf) -> AsyncIterator[Heartbeat]:
    """Renew the lease for the block, unless the event loop stands still or ``until`` has passed.

    ``idle_s``: nor longer than so after the beat's last ``stamp``: looks that do not end keep no lease.
    """
    turning = Turning(patience_s=switch.plan.handover_s)
    beat = Heartbeat(
        switch.renew_lease,
        lease_s=switch.plan.lease_s,
        going_on=lambda: turning.lately() and time.monotonic() < until and beat.idle_s <= idle_s,
        again=lambda: _take_again(switch),
    )
    turns = asyncio.create_task(_stamp(turning))
    try:
        await asyncio.to_thread(switch.join)
        await asyncio.to_thread(switch.renew_lease)
        beat.start()
    except LeaseLost as error:
        beat.lost = str(error)
    try:
        yield beat
    finally:
        turns.cancel()
        await asyncio.to_thread(beat.stop)


async def _stamp(turning: Turning) -> None:
    while True:
        turning.stamp()
        await asyncio.sleep(1)


def _take_again(switch: Switch) -> None:
    """After an outage of the ledger, in which nobody could renew or take the lease."""
    lease = switch.lead()
    switch.say(f"the ledger did not answer and the lease ran out; the watch goes on under epoch {lease.epoch}")

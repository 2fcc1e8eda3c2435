"""Poison canaries: is an answer that was cached for one arm ever served by the other?

A question that nobody has asked before is asked of one arm until it comes out of the cache, then of the other arm.
The other arm cannot have it cached: a hit there, or an answer that says it is the first arm's, was written under the
wrong namespace. Nothing needs to be known about how the service makes its keys.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from switchover.arms.client import ArmClient
from switchover.edge.answers import Reply
from switchover.judge.canaries import Canary

_SEEDINGS = 5  # asks until the cache must have shown itself; behind a load balancer each may meet another process
HIT = "hit"


async def ask_canaries(arms: Mapping[str, ArmClient], *, k: int, hashes: Mapping[str, str | None]) -> list[Canary]:
    """One canary each way; ``arms`` by role. Fails never: what an arm does is in the canary.

    ``hashes``: each role's own INDEX_HASH, as verify has proven it.
    """
    return [await _ask(arms, hashes, seeded, asked, k) for seeded, asked in (("blue", "green"), ("green", "blue"))]


async def _ask(
    arms: Mapping[str, ArmClient], hashes: Mapping[str, str | None], seeded: str, asked: str, k: int
) -> Canary:
    question = f"switchover canary {uuid.uuid4().hex}"
    for _ in range(_SEEDINGS):
        first = await arms[seeded].ask(question, seed=0, k=k, through_cache=True)
        if first.cache == HIT or not first.ok:
            break
    other = await arms[asked].ask(question, seed=0, k=k, through_cache=True)
    errors = [reply.error for reply in (first, other) if not reply.ok]
    return Canary(
        seeded=seeded,
        asked=asked,
        cached=first.cache == HIT,
        served=_served(other, theirs=hashes[seeded], own=hashes[asked]),
        error=errors[0] or "no answer" if errors else "",
    )


def _served(reply: Reply, *, theirs: str | None, own: str | None) -> bool:
    """Whether an arm gave the other's cached answer. Two arms of one build may share their answers."""
    return reply.foreign or (theirs != own and (reply.cache == HIT or reply.index_hash == theirs))


def late_canaries(why: str) -> list[Canary]:
    """What stands for canaries that were not answered in time."""
    pairs = (("blue", "green"), ("green", "blue"))
    return [Canary(seeded=seeded, asked=asked, cached=False, served=False, error=why) for seeded, asked in pairs]

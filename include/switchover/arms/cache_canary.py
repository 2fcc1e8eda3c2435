"""Poison canaries: is an answer that was cached for one arm ever served by the other?

A question that nobody has asked before is asked of one arm until it comes out of the cache, then of the other arm.
The other arm cannot have it cached: a hit there, or an answer that says it is the first arm's, was written under the
wrong namespace. Nothing needs to be known about how the service makes its keys.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from switchover.arms.client import ArmClient
from switchover.edge.answers import Reply
from switchover.judge.outcome import Outcome, Verdict

RULE = "cache_poison"
_SEEDINGS = 5  # asks until the cache must have shown itself; behind a load balancer each may meet another process
HIT = "hit"


@dataclass(frozen=True, kw_only=True)
class Canary:
    """What the arm that was to cache the canary said last, and what the other arm said then."""

    seeded: str
    asked: str
    first: Reply
    other: Reply

    @property
    def seen(self) -> bool:
        """Whether the cache had the canary, so that the other arm could have been served it."""
        return self.first.cache == HIT

    def poisoned(self, hashes: Mapping[str, str | None]) -> bool:
        """Whether the other arm served it. Two arms of one build (INDEX_HASH by role) may share their answers."""
        if self.other.foreign:
            return True
        theirs = hashes[self.seeded]
        return theirs != hashes[self.asked] and (self.other.cache == HIT or self.other.index_hash == theirs)


async def ask_canaries(arms: Mapping[str, ArmClient], *, k: int) -> list[Canary]:
    """One canary each way; ``arms`` by role. Fails never: what an arm does is in its reply."""
    return [await _ask(arms, seeded, asked, k) for seeded, asked in (("blue", "green"), ("green", "blue"))]


async def _ask(arms: Mapping[str, ArmClient], seeded: str, asked: str, k: int) -> Canary:
    question = f"switchover canary {uuid.uuid4().hex}"
    for _ in range(_SEEDINGS):
        first = await arms[seeded].ask(question, seed=0, k=k, through_cache=True)
        if first.cache == HIT or not first.ok:
            break
    other = await arms[asked].ask(question, seed=0, k=k, through_cache=True)
    return Canary(seeded=seeded, asked=asked, first=first, other=other)


def judge_canaries(canaries: Sequence[Canary], *, hashes: Mapping[str, str | None]) -> Verdict:
    """0 poisoned canaries pass, any fails; an arm without an answer is an ERROR, a cache never seen INCONCLUSIVE.

    ``hashes``: each role's own INDEX_HASH, as verify has proven it.
    """
    poisoned = [canary for canary in canaries if canary.poisoned(hashes)]
    errors = [reply.error for canary in canaries for reply in (canary.first, canary.other) if not reply.ok]
    unseen = [canary.seeded for canary in canaries if not canary.seen]
    outcome, needs, note = Outcome.PASS, "", ""
    if poisoned:
        outcome = Outcome.FAIL
        note = "; ".join(f"{c.asked} served what was cached for {c.seeded}" for c in poisoned)
    elif errors:
        outcome, note = Outcome.ERROR, f"a canary was not answered: {errors[0]}"
    elif unseen or not canaries:
        outcome = Outcome.INCONCLUSIVE
        needs = f"a cache that answers `hit` when asked again; found none on {' and '.join(unseen) or 'either arm'}"
    return Verdict(
        rule=RULE,
        outcome=outcome,
        value=float(len(poisoned)),
        bound=0.0,
        n=len(canaries),
        n_of="canaries",
        needs=needs,
        note=note,
    )

"""Rule ``cache_poison``: does one arm ever serve what was cached for the other?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.canaries import Canary
from switchover.judge.outcome import Outcome, Verdict, conclude, within
from switchover.judge.power import Setup, Sufficiency
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Count, Statistics

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar


class CachePoisonRule(Rule):
    """Does one arm ever serve what was cached for the other? Asked only when the plan has a `cache` part."""

    name = "cache_poison"
    short = "Answers that were cached for the other arm."
    measures = "canaries that the other arm served"
    minimum_of = "canaries"
    from_probes = False
    false_stop_share = 0.0  # one wrong answer is proof
    first_steps = (
        "How does the service make its keys: are all four pins in them (docs/cache.md)?",
        "Is the namespace made from the manifest that the request was resolved to, or once when the process starts?",
        "Is there a cache before the service (a CDN, a gateway) that knows nothing of the arm?",
    )

    accept: Count = Field(default=0, description="Poisoned canaries that are accepted.")
    stop: Count | None = Field(default=0, description="Poisoned canaries above which the hold stops; null: never.")

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Only when the plan asks canaries."""
        return seen.canaries is not None

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """See ``verdict``."""
        return self.verdict("accept", seen.canaries or ())

    def judge_hold(self, hold: HoldSoFar) -> Verdict:
        """A poisoned canary too many stops at once; no statistics are needed."""
        return self.verdict("stop", hold.canaries or ())

    def verdict(self, side: Literal["accept", "stop"], canaries: Sequence[Canary]) -> Verdict:
        """Poisoned canaries against the bound: an arm without an answer is an ERROR, a cache never seen is open."""
        spec = self.spec(side)
        poisoned = [canary for canary in canaries if canary.served]
        errors = [canary.error for canary in canaries if canary.error]
        unseen = [canary.seeded for canary in canaries if not canary.cached]
        never = f"a cache that answers `hit` when asked again; found none on {' and '.join(unseen) or 'either arm'}"
        outcome, needs = conclude(
            fails=not within(len(poisoned), spec.comparison, spec.bound),
            error=errors[0] if errors else "",
            doubts=["" if canaries and not unseen else never],
        )
        served = [f"{canary.asked} served what was cached for {canary.seeded}" for canary in poisoned]
        failed = [f"a canary was not answered: {needs}"] if outcome is Outcome.ERROR else []
        return Verdict(
            rule=spec.name,
            outcome=outcome,
            value=float(len(poisoned)),
            bound=spec.bound,
            n=len(canaries),
            n_of=spec.minimum_of,
            needs=needs if outcome is Outcome.INCONCLUSIVE else "",
            note="; ".join(served + failed),
        )

    def power_to_stop(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """One canary each way is asked at every look."""
        if not setup.cache:
            return None
        return Sufficiency(
            rule=self.name,
            side="stop",
            enough=True,
            smallest=None,
            text=f"one canary each way at every look ({setup.tick_s:g} s): a key without the arm shows at the next",
        )

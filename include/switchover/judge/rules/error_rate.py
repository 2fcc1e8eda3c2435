"""Rule ``error_rate``: do requests to Green succeed?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.outcome import Harm, Measured, Outcome, Verdict, percent, unmeasured
from switchover.judge.power import Setup, Sufficiency
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import failures, intervals, sequential
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
else:
    failures = lazy("switchover.judge.failures")
    intervals = lazy("switchover.judge.intervals")
    sequential = lazy("switchover.judge.sequential")


class ErrorRateRule(Rule):
    """Do requests to Green succeed?"""

    name = "error_rate"
    short = "Requests without success."
    measures = "requests without success / requests"
    minimum_of = "requests"
    from_traffic = True
    false_stop_share = 0.01  # so many failures are seen at once
    first_steps = (
        "Status and error of the failed probes in the evidence rows.",
        "One question only? Its input breaks the service.",
        "Status 0: the arm does not answer; look at its own log.",
    )

    accept: Share = Field(default=0.005, description="Highest accepted share of requests without success.")
    stop: Share | None = Field(
        default=0.05, description="Share of live requests without success above which the hold stops; null: never."
    )

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """As the plan says; what is accepted stops no hold."""
        if side == "accept":
            return self.accept
        return None if self.stop is None else max(self.stop, self.accept)

    def measured(self, seen: Acceptance) -> Measured:
        """The share of failures among probes and live requests."""
        probes = seen.both_ways.plain.green.failed, seen.both_ways.strict.green.failed
        live = seen.traffic.failures if seen.traffic else 0
        return failures.share_of_failures(seen, self.accept, probes, live)

    def judge_hold(self, hold: HoldSoFar) -> Verdict:
        """See ``Rule``; without live requests there is nothing to tell."""
        if not hold.traffic.dead and not self._recent(hold)[1]:
            return unmeasured(self.spec("stop"), "needs live requests on Green", Outcome.INCONCLUSIVE)
        return super().judge_hold(hold)

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: a live request without success, whatever its status: 4xx and 429 too, and one that timed out."""
        bad, n = self._recent(hold)
        parts = hold.traffic.parts
        growth = sequential.growth_of_counts([p.failures for p in parts], [p.requests for p in parts], self.accept)
        unseen = hold.traffic.unseen or hold.traffic.absent(hold.statistics.window)
        value = bad / n if n else math.nan
        return Harm(
            value=value,
            strict=math.inf if unseen else value,
            evidence=hold.log_wealth(growth) if parts else -math.inf,
            n=n,
            note=f"{bad} of {n} live",
            unseen=unseen,
        )

    def _recent(self, hold: HoldSoFar) -> tuple[int, int]:
        """Failures and requests of live traffic in the newest window."""
        parts = hold.traffic.parts[-hold.statistics.window :]
        return sum(part.failures for part in parts), sum(part.requests for part in parts)

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """Whether the warm rounds ask enough to prove the bound."""
        bound, alpha = self.accept, 1 - statistics.confidence
        need, have = intervals.requests_needed(0, bound, alpha), setup.warm_probes
        live = int(setup.requests_per_s * setup.hold_s)
        tolerated = -1
        while need and intervals.requests_needed(tolerated + 1, bound, alpha) <= have:
            tolerated += 1
        text = f"{percent(bound)} needs {need or 'endless'} clean requests; the warm rounds ask {have}"
        text += f" and may fail {tolerated} times" if tolerated >= 0 else ""
        return Sufficiency(
            rule=self.name,
            side="accept",
            enough=tolerated >= 0,
            smallest=None,
            text=f"{text}; the hold adds {live} live requests",
        )

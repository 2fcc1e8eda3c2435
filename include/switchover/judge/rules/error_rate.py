"""Rule ``error_rate``: do requests to Green succeed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import Measured, percent
from switchover.judge.power import Setup, Sufficiency
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import failures, intervals
    from switchover.judge.accept import Acceptance
else:
    failures = lazy("switchover.judge.failures")
    intervals = lazy("switchover.judge.intervals")


class ErrorRateRule(Rule):
    """Do requests to Green succeed?"""

    name = "error_rate"
    short = "Requests without success."
    measures = "requests without success / requests"
    minimum_of = "requests"
    from_traffic = True
    first_steps = (
        "Status and error of the failed probes in the evidence rows.",
        "One question only? Its input breaks the service.",
        "Status 0: the arm does not answer; look at its own log.",
    )

    accept: Share = Field(default=0.005, description="Highest accepted share of requests without success.")

    def measured(self, seen: Acceptance) -> Measured:
        """The share of failures among probes and live requests."""
        probes = seen.both_ways.plain.green.failed, seen.both_ways.strict.green.failed
        live = seen.traffic.failures if seen.traffic else 0
        return failures.share_of_failures(seen, self.accept, probes, live)

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

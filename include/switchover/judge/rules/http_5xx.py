"""Rule ``http_5xx``: does Green's server fail?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import SLACK, Harm, Measured
from switchover.judge.power import WITHIN, Setup, Sufficiency, caught, fewest_shown, share_caught, wealth
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import evidence, failures, sequential
    from switchover.judge.accept import Acceptance
    from switchover.judge.evidence import Floats
    from switchover.judge.stop import HoldSoFar
else:
    np = lazy("numpy")
    evidence = lazy("switchover.judge.evidence")
    failures = lazy("switchover.judge.failures")
    sequential = lazy("switchover.judge.sequential")

BURST = 0.65  # of the stake on 5xx: on the newest looks by themselves, in equal parts on one, two, … of them
PROVABLE = 0.9  # of the accepted share: the end of a hold at 20 requests a second can hardly prove more than this


class Http5xxRule(Rule):
    """Does Green's server fail?"""

    name = "http_5xx"
    short = "5xx of live traffic and probes."
    measures = "5xx / requests"
    minimum_of = "requests"
    from_traffic = True
    false_stop_share = 0.79  # rare failures among few requests need the most
    first_steps = (
        "The pointer is back on Blue: check that its 5xx are gone; if not, it was not Green.",
        "Green's log at the time of `first_bad_at`.",
        "Capacity: warm traffic is less than live traffic.",
    )

    accept: Share = Field(default=0.005, description="Highest accepted share of 5xx at the end of the hold.")
    stop: Share | None = Field(default=0.01, description="Share of 5xx above which the hold stops; null: never.")

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Not at the warm gate: there a 5xx of a probe is one of the errors."""
        return seen.traffic is not None

    def measured(self, seen: Acceptance) -> Measured:
        """The share of 5xx among probes that were answered and live requests."""
        probes = seen.both_ways.plain.green.errors_5xx
        strict = probes + seen.both_ways.lacking[evidence.GREEN]
        live, other = seen.traffic.errors_5xx if seen.traffic else 0, seen.both_ways.plain.green.failed - probes
        return failures.share_of_failures(seen, self.accept, (probes, strict), live, left_out=other)

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: a 5xx, of live traffic or of a probe."""
        ticks, parts = len(hold.evidence.ticks), hold.traffic.parts
        looks = max(ticks, len(parts))
        other = hold.evidence.failed & ~hold.evidence.errors_5xx  # a probe without an answer says nothing about 5xx
        bad, n = np.zeros(looks), np.zeros(looks)  # the newest look is the last, for probes and samples alike
        bad[looks - ticks :] += hold.green.per_tick(hold.evidence.errors_5xx)
        n[looks - ticks :] += hold.green.per_tick() - hold.green.per_tick(other)
        bad[looks - len(parts) :] += [part.errors_5xx for part in parts]
        n[looks - len(parts) :] += [part.requests for part in parts]
        window = hold.statistics.window
        steady = hold.log_wealth(sequential.growth_of_counts(bad, n, self.accept))
        unseen = hold.traffic.unseen or hold.traffic.absent(window)
        newest = self._newest(bad, n, hold.statistics)
        recent_bad, recent_n = newest or (float(bad[-window:].sum()), float(n[-window:].sum()))
        lacking = hold.recent.lacking[evidence.GREEN]
        strict = math.inf if unseen else (recent_bad + lacking) / max(recent_n + lacking, 1)
        return Harm(
            value=recent_bad / recent_n if recent_n else math.nan,
            strict=strict,
            evidence=self._evidence(-math.inf if newest else steady, recent_bad, recent_n, looks, hold.statistics),
            n=int(recent_n),
            unseen=unseen,
        )

    def _newest(self, bad: Floats, n: Floats, statistics: Statistics) -> tuple[float, float] | None:
        """5xx and requests of the fewest newest looks that are beyond the bound and show it by themselves.

        A window of three looks is still half clean one look after a regression began. ``None``: the window decides.
        """
        enough = -math.log(self.false_stops(statistics))
        for looks in range(1, min(statistics.window, len(n))):
            few, of = float(bad[-looks:].sum()), float(n[-looks:].sum())
            beyond = of and few / of > (math.inf if self.stop is None else self.stop) + SLACK
            if beyond and self._evidence(-math.inf, few, of, len(n), statistics) >= enough:
                return few, of
        return None

    def power_to_stop(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """The smallest share of 5xx that is caught."""
        n = WITHIN * (setup.tick_requests + setup.tick_probes)

        def evidence_of(k: int, stake: float) -> float:
            steady = wealth(sequential.growth_of_counts([k], [n], self.accept)[0], stake)
            return self._evidence(steady, k, n, WITHIN, statistics)

        found = fewest_shown(n, evidence_of, statistics=statistics, false_stops=self.false_stops(statistics))
        literal = math.floor((self.stop or 0.0) * n + 1e-9) + 1
        shares = [share_caught(max(fewest or n, literal), n) for fewest in found]
        return caught(self.name, shares, f"5xx of {{}} among {n} requests in {WITHIN} ticks")

    def _evidence(self, steady: float, bad: float, n: float, looks: int, statistics: Statistics) -> float:
        """Evidence (log) of too many: that of all looks so far (``steady``), or of the newest alone if it is more."""
        horizon, level = statistics.horizon, PROVABLE * self.accept
        stake = BURST / statistics.window
        newest = sequential.burst(bad, n, level, horizon) + math.log(stake) if looks <= horizon else -math.inf
        return max(steady + math.log(1 - BURST), newest)

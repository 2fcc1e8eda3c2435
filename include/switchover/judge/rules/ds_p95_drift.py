"""Rule ``ds_p95_drift``: did the bad tail of ΔS get worse than Blue's?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from switchover.judge.by_vectors import ByVectors
from switchover.judge.outcome import SLACK, Harm, Measured, figure
from switchover.judge.power import WITHIN, Setup, Sufficiency, caught, fewest_shown, wealth
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Questions, Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import intervals, sequential
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
else:
    np = lazy("numpy")
    intervals = lazy("switchover.judge.intervals")
    sequential = lazy("switchover.judge.sequential")


class DsP95DriftRule(ByVectors, Rule):
    """Did the bad tail get worse? q(Green) - q(Blue) of ΔS_question."""

    name = "ds_p95_drift"
    fed_by = "ds"
    short = "Drift of the ΔS tail."
    measures = "q95(Green) - q95(Blue) of ΔS_question"
    minimum_of = "questions"
    compares_with_blue = True
    false_stop_share = 0.02
    first_steps = (
        "The worst questions of the report, both arms side by side.",
        "Do they share a tag (language, tenant, topic)? Then one part of the corpus is affected.",
        "Chunking: long chunks dilute the context vector.",
    )

    accept: Share = Field(default=0.10, description="Highest accepted drift of the quantile.")
    stop: Share | None = Field(default=0.15, description="Drift above which the hold stops; null: never.")
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = Field(default=0.95, description="The quantile that is compared.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")

    def measured(self, seen: Acceptance) -> Measured:
        """The drift, with the interval that both quantiles' intervals leave."""
        q, plain, z = self.quantile, seen.both_ways.plain, intervals.z_of(seen.confidence) / math.sqrt(2)
        n = int(np.count_nonzero(plain.comparable))
        sides = plain.compared, plain.blue
        g, b = (side.interval("ds_question", q, n, z) for side in sides)
        at_green, at_blue = (figure(side.quantile("ds_question", q)) for side in sides)
        return Measured(
            value=plain.drift(q),
            strict=seen.both_ways.strict.drift(q),
            n=min(n, plain.answered),
            interval=(g[0] - b[1], g[1] - b[0]),
            note=f"p{100 * q:g} {at_green}, Blue {at_blue}",
        )

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: a ΔS above Blue's quantile of the same tick plus the accepted drift."""
        growth = hold.beyond_blue("ds_question", self.quantile, lambda edge: edge + self.accept)
        plain, strict = hold.recent.plain, hold.recent.strict
        return Harm(
            value=plain.drift(self.quantile),
            strict=strict.drift(self.quantile),
            evidence=hold.log_wealth(growth),
            n=plain.answered,
        )

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """On how many questions the quantile rests."""
        tail = math.ceil((1 - self.quantile) * setup.questions - SLACK)
        enough = setup.questions >= self.minimum
        return Sufficiency(
            rule=self.name,
            side="accept",
            enough=enough,
            smallest=None,
            text=f"p{100 * self.quantile:g} of {setup.questions} questions rests on the {tail} farthest"
            + ("" if enough else f"; {self.minimum} questions are needed"),
        )

    def power_to_stop(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """The smallest share of probes beyond Blue's tail that is caught."""
        n = setup.tick_probes
        level = 1 - self.quantile + self.quantile / n

        def evidence_of(k: int, stake: float) -> float:
            growth = sequential.growth_of_counts([WITHIN * k], [WITHIN * n], level)
            return wealth(growth[0], stake)

        found = fewest_shown(n, evidence_of, statistics=statistics, false_stops=self.false_stops(statistics))
        shares = [fewest / n if fewest else None for fewest in found]
        beyond = f"a drift above {figure(self.stop or 0)} in which {{}} of Green's probes lie beyond Blue's tail"
        return caught(self.name, shares, beyond)

"""Rule ``coverage``: how much of the gold spans does Green retrieve?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import Harm, Measured, figure
from switchover.judge.power import WITHIN, Setup, Sufficiency, caught, fewest_shown, wealth
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Questions, Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import figures, intervals, sequential
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
else:
    np = lazy("numpy")
    figures = lazy("switchover.judge.figures")
    intervals = lazy("switchover.judge.intervals")
    sequential = lazy("switchover.judge.sequential")


class CoverageRule(Rule):
    """How much of the gold spans does Green retrieve?"""

    name = "coverage"
    fed_by = "coverage"
    short = "Coverage of the gold spans."
    measures = "mean coverage of the answerable questions"
    comparison = ">="
    minimum_of = "answerable questions"
    false_stop_share = 0.02
    first_steps = (
        "Did the build index everything? Compare the counts of both manifests.",
        "The questions at 0: is their document in Green?",
        "If documents are there, look at the reranker and at `k`.",
    )

    accept: Share = Field(default=0.70, description="Lowest accepted suite coverage.")
    stop: Share | None = Field(default=0.60, description="Coverage below which the hold stops; null: never.")
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")

    def measured(self, seen: Acceptance) -> Measured:
        """The mean over the questions."""
        plain, strict = seen.both_ways.plain.green.coverage, seen.both_ways.strict.green.coverage
        answerable = plain[~np.isnan(plain)]
        left_out = len(plain) - len(answerable)
        return Measured(
            value=figures.mean_of(plain),
            strict=figures.mean_of(strict),
            n=seen.both_ways.plain.answerable,
            interval=intervals.mean_interval(answerable, seen.confidence),
            note=f"{left_out} unanswerable left out" if left_out else "",
        )

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: the share of a question's gold tokens that is not covered."""
        harm, counts = 1 - hold.green["coverage"], hold.green.per_tick()
        answerable = np.flatnonzero(~np.isnan(harm))
        if len(answerable) < len(harm):
            harm, counts = harm[answerable], np.diff(np.searchsorted(answerable, hold.green.bounds))
        growth = sequential.growth_of_shares(harm, counts, 1 - self.accept)
        plain, strict = hold.recent.plain, hold.recent.strict
        return Harm(
            value=figures.mean_of(plain.green.coverage),
            strict=figures.mean_of(strict.green.coverage),
            evidence=hold.log_wealth(growth),
            n=plain.answerable,
        )

    def power_to_accept(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """How far the bound reaches for other questions."""
        n = setup.answerable
        covered = round(self.accept * n)
        low, high = intervals.wilson(covered, n, intervals.z_of(statistics.confidence))
        enough = n >= self.minimum
        return Sufficiency(
            rule=self.name,
            side="accept",
            enough=enough,
            smallest=None,
            text=f"{figure(self.accept)} on {n} questions means {low:.2f} to {high:.2f} for other questions of this"
            " kind" + ("" if enough else f"; {self.minimum} answerable questions are needed"),
        )

    def power_to_stop(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """The highest coverage that is caught."""
        rows, bound = WITHIN * setup.answerable * setup.paraphrases, self.stop or 0.0

        def evidence_of(k: int, stake: float) -> float:
            if k / 1000 <= 1 - bound:
                return -math.inf
            growth = sequential.growth_of_shares(np.full(rows, k / 1000), [rows], 1 - self.accept)
            return wealth(growth[0], stake)

        found = fewest_shown(1000, evidence_of, statistics=statistics, false_stops=self.false_stops(statistics))
        shares = [1 - lost / 1000 if lost else None for lost in found]
        return caught(self.name, shares, f"a coverage of {{}} on {setup.answerable} questions")

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

    from switchover.judge import figures, intervals, second_form, sequential
    from switchover.judge.accept import Acceptance
    from switchover.judge.figures import Figures
    from switchover.judge.stop import HoldSoFar
else:
    np = lazy("numpy")
    figures = lazy("switchover.judge.figures")
    intervals = lazy("switchover.judge.intervals")
    second_form = lazy("switchover.judge.second_form")
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
    margin: Share | None = Field(
        default=0.02,
        description="Where Blue itself is beyond `accept`: how much worse than Blue is accepted; null: never the less.",
    )
    minimum: Questions = Field(default=20, description="Answerable questions below which the verdict is INCONCLUSIVE.")

    def measured(self, seen: Acceptance) -> Measured:
        """The mean over the questions."""
        plain, strict = seen.both_ways.plain, seen.both_ways.strict
        answerable = plain.green.coverage[~np.isnan(plain.green.coverage)]
        left_out = len(plain.questions) - len(answerable)
        found = Measured(
            value=figures.mean_of(plain.green.coverage),
            strict=figures.mean_of(strict.green.coverage),
            n=plain.answerable,
            interval=intervals.mean_interval(answerable, seen.confidence),
            note="; ".join(filter(None, (graded(seen), f"{left_out} unanswerable left out" if left_out else ""))),
        )
        blue = figures.mean_of(strict.blue.coverage)
        if self.margin is None or not blue < self.accept:
            return found
        pairs = second_form.Pairs(
            green=plain.green.coverage,
            blue=plain.blue.coverage,
        )
        return second_form.second_form(
            found, seen=seen, spec=self.spec("accept"), blue=blue, margin=self.margin, pairs=pairs
        )

    def at_best(self, plain: Figures) -> float | None:
        """Everything covered."""
        return 1.0

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: the share of a question's gold tokens that is not covered; beyond Blue's, where Blue covers too few."""
        if self.margin is not None and figures.mean_of(hold.blue.coverage) < self.accept:
            return self._harm_beyond_blue(hold)
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

    def _harm_beyond_blue(self, hold: HoldSoFar) -> Harm:
        """Harm: what Blue covers of a question in the same tick and Green does not; the bound goes with Blue."""
        lost, counts = figures.tick_losses(hold.evidence)
        growth = sequential.growth_of_shares((1 + lost) / 2, counts, (1 + (self.margin or 0.0)) / 2)
        plain, strict = hold.recent.plain, hold.recent.strict
        blue = figures.mean_of(plain.blue.coverage)
        return Harm(
            value=figures.mean_of(plain.green.coverage),
            strict=figures.mean_of(strict.green.coverage),
            evidence=hold.log_wealth(growth),
            n=plain.answerable,
            note=f"Blue itself has {figure(blue)}: held against Blue",
            instead=blue - (self.accept - (self.stop or 0.0)),
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


def graded(seen: Acceptance) -> str:
    """By what coverage was measured, in words; empty where that is not known."""
    grade = seen.both_ways.evidence.grade
    return f"by {grade}" if grade else ""

"""Rule ``flip_rate``: does Green cite the same section however a question is put?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from switchover.judge.outcome import Harm, Measured
from switchover.judge.power import WITHIN, Setup, Sufficiency, caught, fewest_shown, wealth
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Questions, Share, Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import evidence, figures, intervals, measure, second_form, sequential
    from switchover.judge.accept import Acceptance
    from switchover.judge.figures import States
    from switchover.judge.stop import HoldSoFar
else:
    np = lazy("numpy")
    evidence = lazy("switchover.judge.evidence")
    figures = lazy("switchover.judge.figures")
    intervals = lazy("switchover.judge.intervals")
    measure = lazy("switchover.judge.measure")
    second_form = lazy("switchover.judge.second_form")
    sequential = lazy("switchover.judge.sequential")

LITTLE = math.log(20)  # evidence below 20 : 1 says nothing yet


class FlipRateRule(Rule):
    """Does Green cite the same section however a question is put? Share of questions that are not →."""

    name = "flip_rate"
    short = "Questions whose citation flips."
    measures = "share of questions that are not →"
    minimum_of = "questions"
    paraphrases = 3
    false_stop_share = 0.14
    first_steps = (
        "The × questions first.",
        "Do the paraphrases retrieve the same chunks and the reranker differs, or not even that?",
        "A flip rate near 0.8 with coverage gone: the reranker is broken.",
    )

    accept: Share = Field(default=0.20, description="Highest accepted flip rate; beside it, `chaotic`.")
    stop: Share | None = Field(default=0.20, description="Flip rate above which the hold stops; null: never.")
    chaotic: Annotated[int, Field(ge=0)] = Field(default=0, description="Questions that may be ×.")
    margin: Share | None = Field(
        default=0.02,
        description="Where Blue itself is beyond `accept`: how much worse than Blue is accepted; null: never the less.",
    )
    seeds: Annotated[int, Field(ge=1)] = Field(default=2, description="Seeds that the warm gate must have seen.")
    minimum: Questions = Field(default=20, description="Gold questions below which the verdict is INCONCLUSIVE.")

    def measured(self, seen: Acceptance) -> Measured:
        """The share of questions that flip; × questions beyond what is accepted fail by themselves."""
        plain, strict = seen.both_ways.plain, seen.both_ways.strict
        states = plain.green.states
        chaotic = [plain.questions[i] for i in np.flatnonzero(states == measure.CHAOTIC)]
        seeds, inert = plain.green.seeds()
        needed = self.seeds if seen.traffic is None else 1
        flips = int(np.count_nonzero(states != measure.CONVERGENT))
        blue, accepted = figures.mean_of(strict.flips()[1]), self.chaotic
        if self.margin is not None and not seen.both_ways.blue_failed and not any(seen.both_ways.lacking):
            accepted = max(accepted, _chaotic(plain.blue.states[plain.comparable]))
        found = Measured(
            value=measure.flip_rate(states),
            strict=math.inf if _chaotic(strict.green.states) > accepted else measure.flip_rate(strict.green.states),
            n=plain.answered,
            interval=intervals.wilson(flips, len(states), intervals.z_of(seen.confidence)),
            blocked=f"needs {needed} seeds; {seeds} so far" if seeds < needed else "",
            note=f"{flips} flip" + (f"; {inert} of {seeds} seeds inert" if inert else ""),
            also_fails=f"{len(chaotic)} × ({', '.join(chaotic[:3])})" if len(chaotic) > accepted else "",
        )
        if self.margin is None or not blue > self.accept:
            return found
        green_flips, blue_flips = plain.flips()
        pairs = second_form.Pairs(green=green_flips, blue=blue_flips)
        return second_form.second_form(
            found, seen=seen, spec=self.spec("accept"), blue=blue, margin=self.margin, pairs=pairs
        )

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: a question that is not → in one tick.

        Where Blue was asked too, the evidence is the weaker of two: that Green flips more than accepted, and
        that it flips where Blue does not. Few runs a tick make any arm flip now and then; going back to one
        that flips as much mends nothing.
        """
        flips, asked = hold.evidence.tick_flips
        green, blue = flips[:, evidence.GREEN], flips[:, evidence.BLUE]
        in_green, in_blue = asked[:, evidence.GREEN], asked[:, evidence.BLUE]
        growth = sequential.growth_of_counts(green.sum(axis=1), in_green.sum(axis=1), self.accept)
        shown, note = hold.log_wealth(growth), ""
        if hold.blue.n:
            both = in_green & in_blue
            losses, wins = np.sum(green & ~blue & both, axis=1), np.sum(blue & ~green & both, axis=1)
            paired = hold.log_wealth(sequential.growth_of_counts(losses, losses + wins, 0.5))
            note = "Blue flips as much" if paired < shown and paired < LITTLE else ""
            shown = min(shown, paired)
        plain, strict = hold.recent.plain, hold.recent.strict
        return Harm(
            value=measure.flip_rate(plain.green.states[plain.green.asked]),
            strict=measure.flip_rate(strict.green.states),
            evidence=shown,
            n=plain.answered,
            note=note,
        )

    def power_to_stop(self, setup: Setup, statistics: Statistics) -> Sufficiency | None:
        """The smallest flip rate that is caught."""
        n, bound = setup.questions, self.stop or 0.0

        def evidence_of(k: int, stake: float) -> float:
            if k <= bound * n:
                return -math.inf
            return wealth(sequential.growth_of_counts([WITHIN * k], [WITHIN * n], self.accept)[0], stake)

        found = fewest_shown(n, evidence_of, statistics=statistics, false_stops=self.false_stops(statistics))
        shares = [fewest / n if fewest else None for fewest in found]
        return caught(self.name, shares, f"a flip rate of {{}} of {n} questions, none of which flips on Blue")


def _chaotic(states: States) -> int:
    """How many questions are ×."""
    return int(np.count_nonzero(states == measure.CHAOTIC))

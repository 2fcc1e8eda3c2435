"""A rule of the plan's own: a figure of live traffic that the plan names, with its bounds (docs/signals.md)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from switchover.judge.outcome import Verdict, conclude, unmeasured, within
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Comparison, RuleSpec

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
    from switchover.judge.traffic import Traffic


class ExtraRule(Rule):
    """Is a figure of the plan's own within its bounds on Green? It is no distribution: the plan's word decides."""

    name = "extra"
    short = "A figure that the plan's signals name under `extra`."
    measures = "the figure as the store gives it"
    minimum_of = "looks"
    from_probes = False
    from_traffic = True
    false_stop_share = 0.0  # a whole window beyond the bound is the plan's own word
    not_in_power = "how much the figure varies is not known"
    first_steps = (
        "The query and the store's answer beside the verdict: is it the figure that was meant?",
        "The same query for Blue: is the figure beyond its bound there too?",
    )

    figure: str
    accept: float
    stop: float | None = None
    direction: Comparison = "<="

    @property
    def called(self) -> str:
        """The rule's name in a verdict."""
        return f"extra_{self.figure}"

    def spec(self, side: Literal["accept", "stop"]) -> RuleSpec:
        """See :class:`Rule`; under the figure's own name and with its own direction."""
        bound = self.bound(side)
        if bound is None:
            raise ValueError(f"rule {self.called}: has no bound to {side}")
        return RuleSpec(
            name=self.called,
            measure=f"{self.figure}: {self.measures}",
            comparison=self.direction,
            bound=bound,
            side=side,
            minimum=1,
            minimum_of=self.minimum_of,
        )

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Not at the warm gate: Green has no live traffic yet."""
        return seen.traffic is not None

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """PASS when the newest figure is within the bound, and FAIL when it is not."""
        if seen.traffic is None:
            raise ValueError(f"{self.called} is not asked before Green has live traffic")
        return self._verdict("accept", seen.traffic, window=1, blocked=seen.traffic.blocked(seen.statistics.window))

    def judge_hold(self, hold: HoldSoFar) -> Verdict:
        """FAIL when the figure was beyond the bound in every look of the newest window."""
        return self._verdict("stop", hold.traffic, window=hold.statistics.window)

    def _verdict(self, side: Literal["accept", "stop"], traffic: Traffic, *, window: int, blocked: str = "") -> Verdict:
        spec = self.spec(side)
        found = [part.extra.get(self.figure, math.nan) for part in traffic.parts[-window:]]
        why = traffic.dead or traffic.lacks(self.called)
        if why or not found or math.isnan(found[-1]):
            return unmeasured(spec, why or "needs a figure that can be measured")
        beyond = [not math.isnan(value) and not within(value, spec.comparison, spec.bound) for value in found]
        fails = len(found) == window and all(beyond)
        outcome, needs = conclude(
            fails=fails,
            doubts=[
                f"a stop needs {window} looks beyond the bound; {sum(beyond)} so far" if beyond[-1] else "",
                blocked,
            ],
        )
        return Verdict(
            rule=spec.name,
            outcome=outcome,
            value=found[-1],
            bound=spec.bound,
            comparison=spec.comparison,
            n=len(traffic.parts),
            n_of=spec.minimum_of,
            needs=needs,
        )

"""Rule ``live_traffic``: is what users get on Green seen at all, and is it Green that they get?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from switchover.judge.outcome import Verdict, conclude, within
from switchover.judge.rules.base import Rule

if TYPE_CHECKING:
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
    from switchover.judge.traffic import Traffic


class LiveTrafficRule(Rule):
    """Do users reach Green at all, and is it Green that they get?"""

    name = "live_traffic"
    short = "Live requests on Green."
    measures = "live requests on Green in the newest window"
    comparison = ">="
    minimum_of = "live requests"
    from_probes = False
    from_traffic = True
    false_stop_share = 0.0  # a silence that stops a hold is no chance: e^-12 (``traffic``)
    not_in_power = "it asks for users, not for a figure of them"
    first_steps = (
        "Do users reach the service at all? Look at the gateway and at the service's own log for the last minutes.",
        "Do rows still come in for another arm? Then a part of the readers did not follow the pointer.",
        "Traffic that fails before it is logged: is there a row for each request, also for those without an arm?",
    )

    accept: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Live requests on Green that the newest window must have."
    )
    silent_windows: Annotated[int, Field(ge=1)] | None = Field(
        default=3, description="Windows without a live request after which the hold stops; null: never."
    )

    def bound(self, side: Literal["accept", "stop"]) -> float | None:
        """One bound for both sides; ``silent_windows`` says how long it may be missed."""
        return self.accept if side == "accept" or self.silent_windows is not None else None

    def asked(self, seen: Acceptance | HoldSoFar) -> bool:
        """Not at the warm gate: Green has no live traffic yet."""
        return seen.traffic is not None

    def judge_acceptance(self, seen: Acceptance) -> Verdict:
        """PASS while there are live requests on Green; a silence is INCONCLUSIVE, a long one FAIL."""
        if seen.traffic is None:
            raise ValueError("live_traffic is not asked before Green has live traffic")
        return self.verdict("accept", seen.traffic, seen.statistics.window)

    def judge_hold(self, hold: HoldSoFar) -> Verdict:
        """The same: a long silence stops the hold."""
        return self.verdict("stop", hold.traffic, hold.statistics.window)

    def verdict(self, side: Literal["accept", "stop"], traffic: Traffic, window: int) -> Verdict:
        """PASS while there are live requests on Green; a silence where there were some before is INCONCLUSIVE.

        A long silence that is not chance is FAIL. Dead signals are an ERROR. ``window``: looks.
        """
        spec, recent = self.spec(side), traffic.parts[-window:]
        value, stops = float(sum(part.requests for part in recent)), self.silent_windows
        few = f"needs {self.accept} live requests in the newest {window} looks; {value:g} so far"
        fails = not traffic.dead and stops is not None and traffic.stopped(stops * window)
        outcome, needs = conclude(
            fails=fails,
            error=traffic.dead,
            doubts=[traffic.blocked(window), "" if within(value, spec.comparison, spec.bound) else few],
        )
        return Verdict(
            rule=spec.name,
            outcome=outcome,
            value=value,
            bound=spec.bound,
            comparison=spec.comparison,
            n=sum(part.requests + part.elsewhere for part in recent),
            n_of=spec.minimum_of,
            needs=traffic.blocked(window) if fails else needs,
        )

"""Rule ``tool_loops``: does Green call the same tool with the same arguments again and again?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from switchover.judge.outcome import Measured, Verdict, conclude, unmeasured, within
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Count
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import evidence
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
    from switchover.judge.traffic import Traffic
else:
    evidence = lazy("switchover.judge.evidence")


class ToolLoopsRule(Rule):
    """Does Green call the same tool with the same arguments again and again?"""

    name = "tool_loops"
    fed_by = "tool_loop"
    short = "Requests with a tool loop."
    measures = "requests with a tool loop"
    minimum_of = "requests"
    from_traffic = True
    false_stop_share = 0.0  # one loop is proof that it can happen
    not_in_power = "one loop is proof, however many requests are asked"
    first_steps = (
        "The question in the evidence row; its calls are in the service's own log.",
        "Did the prompt or the tool's answer change (PROMPT_VER)?",
        "Is the loop on Blue too? Then it is older than Green.",
    )

    accept: Count = Field(default=0, description="Tool loops that are accepted.")
    stop: Count | None = Field(default=0, description="Tool loops above which the hold stops; null: never.")

    def measured(self, seen: Acceptance) -> Measured:
        """Loops of probes and of live traffic."""
        probes = seen.both_ways.plain.green.tool_loops
        live = seen.traffic.tool_loops if seen.traffic else 0
        blocked = (
            (seen.traffic.blocked(seen.statistics.window) or seen.traffic.lacks(self.name)) if seen.traffic else ""
        )
        return Measured(
            value=probes + live,
            strict=probes + live + seen.both_ways.lacking[evidence.GREEN],
            n=seen.both_ways.observed[evidence.GREEN] + _watched(seen.traffic),
            blocked=blocked,
            note=_note(probes, seen.traffic),
        )

    def judge_hold(self, hold: HoldSoFar) -> Verdict:
        """A loop too many stops at once; no statistics are needed."""
        spec, probes, live = self.spec("stop"), hold.green.tool_loops, hold.traffic.tool_loops
        n, found = hold.green.n + _watched(hold.traffic), probes + live
        good = within(found, spec.comparison, spec.bound)
        dead = hold.traffic.dead or hold.traffic.lacks(self.name)
        if good and (dead or not n):
            return unmeasured(spec, dead or "Green was not asked")
        unseen = hold.doubts()
        open_end = not within(found + (1 if unseen else 0), spec.comparison, spec.bound)
        outcome, needs = conclude(fails=not good, doubts=[f"needs whole evidence: {unseen}" if open_end else ""])
        return Verdict(
            rule=spec.name,
            outcome=outcome,
            value=found,
            bound=spec.bound,
            n=n,
            n_of=spec.minimum_of,
            needs=needs,
            note=_note(probes, hold.traffic),
        )


def _watched(traffic: Traffic | None) -> int:
    """Live requests whose tool calls are seen."""
    return traffic.requests if traffic and traffic.watches_loops else 0


def _note(probes: int, traffic: Traffic | None) -> str:
    live = traffic.tool_loops if traffic else 0
    if traffic is not None and traffic.requests and not traffic.watches_loops:
        return f"{probes} in probes; the plan's signals have no tool loops of live traffic"
    return f"{probes} in probes, {live} in live traffic" if probes + live else ""

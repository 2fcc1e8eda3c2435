"""Rule ``latency_p95``: is Green as fast as Blue?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from switchover.judge.outcome import Harm, Measured, figure, percent
from switchover.judge.rules.base import Rule
from switchover.judge.settings import Amount, Questions
from switchover.lazy import lazy

if TYPE_CHECKING:
    from switchover.judge import figures, intervals, measure
    from switchover.judge.accept import Acceptance
    from switchover.judge.stop import HoldSoFar
else:
    figures = lazy("switchover.judge.figures")
    intervals = lazy("switchover.judge.intervals")
    measure = lazy("switchover.judge.measure")


class LatencyP95Rule(Rule):
    """Is Green as fast as Blue, asked in the same minutes?"""

    name = "latency_p95"
    short = "p95 latency against Blue's."
    measures = "p95(Green) / p95(Blue) - 1"
    minimum_of = "requests per arm"
    compares_with_blue = True
    false_stop_share = 0.02
    not_in_power = "how much the times of a service vary is not known before it is asked"
    first_steps = (
        "Which stage? The line names the others.",
        "Is Green warm: caches, connection pools, index in memory?",
        "Does the machine do something else (Blue slower than yesterday too)?",
    )

    accept: Amount = Field(default=0.15, description="Accepted rise of the p95 over Blue's, as a share: 0.15 is +15 %.")
    stop: Amount | None = Field(default=None, description="Rise above which the hold stops; null: reported only.")
    floor_ms: Amount = Field(
        default=5, description="A rise of up to so many milliseconds is none, whatever share of Blue's p95 it is."
    )
    stage: Literal["retrieve", "rerank", "reason", "total"] = Field(
        default="total", description="The stage that is judged; the others are reported."
    )
    minimum: Questions = Field(default=200, description="Requests per arm below which the verdict is INCONCLUSIVE.")

    def measured(self, seen: Acceptance) -> Measured:
        """The rise of one stage's p95; it fails when its interval lies wholly beyond."""
        z = intervals.z_of(seen.confidence) / math.sqrt(2)
        plain = seen.both_ways.plain
        sides = plain.compared, plain.blue
        g, b = (side.interval(f"ms_{self.stage}", 0.95, side.n, z) for side in sides)
        p95_green, p95_blue = plain.p95(self.stage)
        accept = self._accepted(p95_blue)
        value, interval = plain.rise(self.stage), (figures.rise(g[0], b[1]), figures.rise(g[1], b[0]))
        n, off = min(side.n - side.failed for side in sides), abs(value - accept)
        more = math.ceil(n * ((value - interval[0]) / off) ** 2) if 0 < off < math.inf else None
        others = ", ".join(f"{other} {percent(plain.rise(other))}" for other in measure.STAGES if other != self.stage)
        return Measured(
            value=value,
            strict=seen.both_ways.strict.rise(self.stage),
            n=n,
            interval=interval,
            beyond=interval[0] > accept,
            open_needs=f"needs about {more} requests per arm; {n} so far" if more else "needs more requests",
            note=f"p95 of {self.stage} {figure(p95_green)} ms, Blue {figure(p95_blue)} ms; others: {others}",
            instead=accept if accept > self.accept else None,
        )

    def _accepted(self, blue_ms: float) -> float:
        """The accepted rise over Blue's p95 as a share: ``accept``, or ``floor_ms`` where that is more."""
        return max(self.accept, self.floor_ms / blue_ms) if 0 < blue_ms < math.inf else self.accept

    def harm(self, hold: HoldSoFar) -> Harm:
        """Harm: a request slower than Blue's p95 of the same tick plus the accepted rise."""
        growth = hold.beyond_blue(f"ms_{self.stage}", 0.95, lambda edge: edge * (1 + self._accepted(edge)))
        plain, strict = hold.recent.plain, hold.recent.strict
        return Harm(
            value=plain.rise(self.stage),
            strict=strict.rise(self.stage),
            evidence=hold.log_wealth(growth),
            n=plain.green.n,
        )

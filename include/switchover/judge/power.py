"""Before a run: what can this gold set and this traffic show, and what not?

Pure arithmetic over the same bounds and bets that the judge uses, so that it says what the judge will do. What one
rule can tell is in the rule's file; this is what several of them need for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from switchover.judge.outcome import percent
from switchover.judge.settings import Statistics
from switchover.lazy import lazy

if TYPE_CHECKING:
    import numpy as np

    from switchover.judge import intervals, paired, sequential
    from switchover.judge.measure import Floats
else:
    np = lazy("numpy")
    intervals = lazy("switchover.judge.intervals")
    paired = lazy("switchover.judge.paired")
    sequential = lazy("switchover.judge.sequential")

CAUGHT = 0.95  # the chance with which a regression of the size that is named is caught
WITHIN = 3  # ticks
DRAWS = 100  # of the signs of noise


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What will be asked: the gold set, the warm rounds, the hold's ticks and its live traffic."""

    questions: int
    answerable: int
    rounds: int
    seeds: int
    tick_s: float
    hold_s: float
    requests_per_s: float
    paraphrases: int = 3
    by_ids: bool = False  # whether the gold set is judged by ids
    cache: bool = False  # whether canaries are asked

    @property
    def warm_probes(self) -> int:
        """Probes of each arm before the warm gate."""
        return self.questions * self.paraphrases * self.seeds * self.rounds

    @property
    def tick_probes(self) -> int:
        """Probes of each arm in one tick of the hold (one seed a tick)."""
        return self.questions * self.paraphrases

    @property
    def tick_requests(self) -> int:
        """Live requests on Green in one tick."""
        return int(self.requests_per_s * self.tick_s)


@dataclass(frozen=True, kw_only=True)
class Sufficiency:
    """What one rule can tell. ``smallest`` is the smallest harm that it shows; ``None``: not a single figure.

    ``enough``: whether a good Green can pass at all, or a harm can be seen at all.
    """

    rule: str
    side: Literal["accept", "stop"]
    enough: bool
    smallest: float | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "rule": self.rule,
            "side": self.side,
            "enough": self.enough,
            "smallest": self.smallest,
            "text": self.text,
        }


def against_blue(rule: str, n: int, margin: float, confidence: float) -> Sufficiency:
    """How many of ``n`` questions must be lost outright before a comparison with Blue fails."""
    lost = fewest(n, lambda k: _lower_loss(k, n, confidence) > margin)
    open_from = math.floor(margin * n) + 1
    text = f"fails when {lost} of {n} questions are lost and none is won" if lost else "cannot fail"
    return Sufficiency(
        rule=rule,
        side="accept",
        enough=lost is not None,
        smallest=lost / n if lost else None,
        text=f"{text}; from {open_from} on it is open",
    )


def _lower_loss(lost: int, n: int, confidence: float) -> float:
    """Lower bound of the mean loss when ``lost`` of ``n`` questions lose everything."""
    result = paired.compare(
        np.arange(n) < lost,
        np.zeros(n),
        questions=[""] * n,
        higher_is_better=False,
        confidence=confidence,
    )
    return result.interval[0]


def loss_shown(noise: Floats, margin: float, confidence: float) -> float | None:
    """The smallest loss, the same on every question, at which a comparison fails with the chance ``CAUGHT``.

    ``noise`` (n,): how much less the second of two equal arms had on each question. Its signs are chance, so they are
    drawn anew. ``None``: not even losing everything is shown.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (DRAWS, len(noise)))

    def share_shown(loss: float) -> float:
        return float(np.mean([_lower(np.clip(each * noise + loss, -1, 1), confidence) > margin for each in signs]))

    if not len(noise) or share_shown(1.0) < CAUGHT:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if share_shown(middle) >= CAUGHT else (middle, high)
    return high


def _lower(losses: Floats, confidence: float) -> float:
    """Lower bound of the mean loss, as ``paired.compare`` has it."""
    return intervals.mean_lower(losses, (1 - confidence) / 2, -1, 1)


def wealth(growth: np.ndarray[Any, np.dtype[np.float64]], stake: float) -> float:
    """Log of the wealth of a stake after growing (k,)."""
    return float(np.logaddexp.reduce(growth + np.log(sequential.SHARES)) + math.log(stake))


def stakes(statistics: Statistics) -> tuple[float, float]:
    """What is put down at the flip, and at any later tick."""
    return sequential.AT_THE_FLIP, (1 - sequential.AT_THE_FLIP) / max(1, statistics.horizon - 1)


def fewest_shown(
    n: int, evidence_of: Callable[[int, float], float], *, statistics: Statistics, false_stops: float
) -> list[int | None]:
    """The fewest of ``n`` that stop a hold, at the flip and at any later tick; ``None``: not even all of them.

    ``evidence_of`` gives the evidence (log) from how many are harmful and from what is put down.
    """
    limit = -math.log(false_stops)

    def shown(stake: float) -> int | None:
        return fewest(n, lambda k: evidence_of(k, stake) >= limit)

    return [shown(stake) for stake in stakes(statistics)]


def caught(rule: str, shares: list[float | None], what: str) -> Sufficiency:
    """What a stop rule catches, by the smallest harm at the flip and at any later tick (``None``: none)."""
    first, later = shares
    if first is None:
        return Sufficiency(
            rule=rule, side="stop", enough=False, smallest=None, text=f"not caught within {WITHIN} ticks"
        )
    text = f"caught within {WITHIN} ticks from the flip on: {what.format(percent(first))}"
    text += f"; if it begins later: {percent(later)}" if later is not None else "; if it begins later: more ticks"
    return Sufficiency(rule=rule, side="stop", enough=True, smallest=first, text=text)


def share_caught(least: int, n: int) -> float | None:
    """The share of bad requests of which at least ``least`` of ``n`` are bad with the chance ``CAUGHT``."""
    if least > n or intervals.binomial_cdf(least - 1, n, 1.0) > 1 - CAUGHT:
        return None
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if intervals.binomial_cdf(least - 1, n, middle) <= 1 - CAUGHT else (middle, high)
    return high


def fewest(n: int, holds: Callable[[int], bool]) -> int | None:
    """The fewest of 1..n for which something holds that, once it holds, holds for more; ``None``: for none."""
    if n < 1 or not holds(n):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high

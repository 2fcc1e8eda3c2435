"""Blue against Green, question by question: effect, interval, wins and losses, and what moved most.

The same questions are put to both arms, so each is its own control: how hard a question is cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from switchover.judge.intervals import Interval, binomial_cdf, mean_interval
from switchover.judge.measure import Floats, quantile
from switchover.text import finite

TIE = 1e-9


class Moved(NamedTuple):
    """One question whose figure differs between the arms."""

    question: str
    blue: float
    green: float

    @property
    def change(self) -> float:
        """Green - Blue."""
        return self.green - self.blue


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Green against Blue over ``n`` questions.

    ``effect`` is the mean (or median) of Green - Blue, ``interval`` what it may be for other questions of this
    kind.
    ``wins`` counts the questions on which Green is better; ``moved`` names those that got worse on Green,
    worst first, then those that got better.
    """

    effect: float
    interval: Interval
    spread: float
    n: int
    wins: int
    ties: int
    losses: int
    moved: tuple[Moved, ...]

    @property
    def summary(self) -> str:
        """``wins 5, ties 33, losses 2; worse: q7 (1 -> 0)``."""
        text = f"wins {self.wins}, ties {self.ties}, losses {self.losses}"
        worse = [f"{m.question} ({m.blue:.3g} -> {m.green:.3g})" for m in self.moved[: min(3, self.losses)]]
        return f"{text}; worse: {', '.join(worse)}" if worse else text

    def questions_to_decide(self, bound: float) -> int | None:
        """About how many questions of this kind would show on which side of ``bound`` the effect lies.

        ``None`` when it lies on the bound. From the interval's width at a normal spread:
        n = 2 ln(2 / 0.05) s² / distance².
        """
        distance = abs(self.effect - bound)
        if distance < TIE or not math.isfinite(distance):
            return None
        return max(self.n + 1, math.ceil(2 * math.log(40) * max(self.spread, 0.05) ** 2 / distance**2))

    def decided_by(self, bound: float) -> str:
        """The same in words."""
        questions = self.questions_to_decide(bound)
        return f"needs about {questions} questions of this kind" if questions else "lies on the bound"

    def to_json(self, most: int = 10) -> dict[str, Any]:
        """A JSON-able form with the questions that moved most; what is not a finite number becomes null."""
        return {
            "effect": finite(self.effect),
            "interval": [finite(end) for end in self.interval],
            "n": self.n,
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "moved": [
                {
                    "question": m.question,
                    "blue": finite(m.blue),
                    "green": finite(m.green),
                    "change": finite(m.change),
                }
                for m in self.moved[:most]
            ],
        }


def compare(
    green: npt.ArrayLike,
    blue: npt.ArrayLike,
    *,
    questions: Sequence[str],
    higher_is_better: bool,
    confidence: float = 0.95,
    reach: float = 1.0,
    centre: Literal["mean", "median"] = "mean",
) -> Comparison:
    """Compare figures (n,) of the same questions (n names); pairs with NaN on either side are left out.

    For the mean the differences must lie in -reach..reach; for the median they may be anything, also infinite.
    Either interval is valid for any distribution. Without a single pair the effect is NaN and the interval is
    everything: -reach..reach for the mean, without end for the median.
    """
    g, b = np.asarray(green, dtype=np.float64), np.asarray(blue, dtype=np.float64)
    if not len(g) == len(b) == len(questions):
        raise ValueError(f"unequal lengths: green {len(g)}, blue {len(b)}, questions {len(questions)}")
    both = np.flatnonzero(~(np.isnan(g) | np.isnan(b)))
    difference: Floats = g[both] - b[both]
    better = difference if higher_is_better else -difference
    order = np.argsort(better, kind="stable")
    order = order[np.abs(better[order]) > TIE]
    at = both[order].tolist()
    moved = list(map(Moved, map(questions.__getitem__, at), b[at].tolist(), g[at].tolist()))
    effect, interval, spread = _centre(difference, centre, confidence, reach)
    losses = int(np.count_nonzero(better < -TIE))
    wins = int(np.count_nonzero(better > TIE))
    return Comparison(
        effect=effect,
        interval=interval,
        spread=spread,
        n=len(both),
        wins=wins,
        ties=len(both) - wins - losses,
        losses=losses,
        moved=tuple(moved[:losses] + moved[losses:][::-1]),
    )


def _centre(difference: Floats, centre: str, confidence: float, reach: float) -> tuple[float, Interval, float]:
    """(effect, interval, spread) of the differences (n,)."""
    n = len(difference)
    if centre == "mean":
        interval = mean_interval(difference, confidence, -reach, reach)
        return (float(difference.mean()), interval, float(difference.std())) if n else (math.nan, interval, math.nan)
    if not n:
        return math.nan, (-math.inf, math.inf), math.nan
    return float(quantile(difference, 0.5)), _median_interval(np.sort(difference), confidence), math.nan


def _median_interval(ranked: Floats, confidence: float) -> Interval:
    """The values between which the median lies: each side of it as likely as a coin (the sign test, exactly)."""
    n, k = len(ranked), 0
    while 2 * binomial_cdf(k, n, 0.5) <= 1 - confidence:
        k += 1
    return (float(ranked[k - 1]), float(ranked[n - k])) if k else (-math.inf, math.inf)

"""Before a run: what can this gold set and this traffic show, and what not?

Pure arithmetic over the same bounds and bets that the judge uses, so that it says what the judge will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from switchover.judge.intervals import binomial_cdf, requests_needed, wilson, z_of
from switchover.judge.outcome import SLACK, figure, percent
from switchover.judge.paired import compare
from switchover.judge.sequential import AT_THE_FLIP, SHARES, growth_of_counts, growth_of_shares
from switchover.judge.settings import Rules
from switchover.judge.stop import errors_evidence, false_stops

CAUGHT = 0.95  # the chance with which a regression of the size that is named is caught
WITHIN = 3  # ticks


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


def sufficiency(setup: Setup, rules: Rules) -> list[Sufficiency]:
    """What each rule can and cannot tell with this setup, in the order of the rules."""
    found = [_questions(rules, setup), _coverage(rules, setup), *_paired(rules, setup), _errors(rules, setup)]
    stops = {spec.name: spec.bound for spec in rules.table() if spec.side == "stop"}
    found += [_STOPS[name](rules, setup, bound) for name, bound in stops.items() if name in _STOPS]
    return found


def _questions(rules: Rules, setup: Setup) -> Sufficiency:
    rule = rules.ds_p95_drift
    tail = math.ceil((1 - rule.quantile) * setup.questions - SLACK)
    enough = setup.questions >= rule.minimum
    return Sufficiency(
        rule="ds_p95_drift",
        side="accept",
        enough=enough,
        smallest=None,
        text=f"p{100 * rule.quantile:g} of {setup.questions} questions rests on the {tail} farthest"
        + ("" if enough else f"; {rule.minimum} questions are needed"),
    )


def _coverage(rules: Rules, setup: Setup) -> Sufficiency:
    rule, n = rules.coverage, setup.answerable
    covered = round(rule.accept * n)
    low, high = wilson(covered, n, z_of(rules.statistics.confidence))
    enough = n >= rule.minimum
    return Sufficiency(
        rule="coverage",
        side="accept",
        enough=enough,
        smallest=None,
        text=f"{figure(rule.accept)} on {n} questions means {low:.2f} to {high:.2f} for other questions of this kind"
        + ("" if enough else f"; {rule.minimum} answerable questions are needed"),
    )


def _paired(rules: Rules, setup: Setup) -> list[Sufficiency]:
    """How many questions must be lost outright before the comparison with Blue fails."""
    found: list[Sufficiency] = []
    for name, n, bound in (
        ("coverage_vs_blue", setup.answerable, rules.coverage_vs_blue.margin),
        ("flips_vs_blue", setup.questions, rules.flips_vs_blue.margin),
    ):
        lost = _fewest(n, lambda k, n=n, bound=bound: _lower_loss(k, n, rules.statistics.confidence) > bound)  # type: ignore[misc]
        open_from = math.floor(bound * n) + 1
        text = f"fails when {lost} of {n} questions are lost and none is won" if lost else "cannot fail"
        found.append(
            Sufficiency(
                rule=name,
                side="accept",
                enough=lost is not None,
                smallest=lost / n if lost else None,
                text=f"{text}; from {open_from} on it is open",
            )
        )
    return found


def _lower_loss(lost: int, n: int, confidence: float) -> float:
    """Lower bound of the mean loss when ``lost`` of ``n`` questions lose everything."""
    result = compare(
        np.arange(n) < lost,
        np.zeros(n),
        questions=[""] * n,
        higher_is_better=False,
        confidence=confidence,
    )
    return result.interval[0]


def _errors(rules: Rules, setup: Setup) -> Sufficiency:
    bound, alpha = rules.error_rate.accept, 1 - rules.statistics.confidence
    need, have = requests_needed(0, bound, alpha), setup.warm_probes
    live = int(setup.requests_per_s * setup.hold_s)
    tolerated = -1
    while need and requests_needed(tolerated + 1, bound, alpha) <= have:
        tolerated += 1
    text = f"{percent(bound)} needs {need or 'endless'} clean requests; the warm rounds ask {have}"
    text += f" and may fail {tolerated} times" if tolerated >= 0 else ""
    return Sufficiency(
        rule="error_rate",
        side="accept",
        enough=tolerated >= 0,
        smallest=None,
        text=f"{text}; the hold adds {live} live requests",
    )


def _wealth(growth: np.ndarray[Any, np.dtype[np.float64]], stake: float) -> float:
    """Log of the wealth of a stake after growing (k,)."""
    return float(np.logaddexp.reduce(growth + np.log(SHARES)) + math.log(stake))


def _stakes(rules: Rules) -> tuple[float, float]:
    """What is put down at the flip, and at any later tick."""
    return AT_THE_FLIP, (1 - AT_THE_FLIP) / max(1, rules.statistics.horizon - 1)


def _http_5xx(rules: Rules, setup: Setup, bound: float) -> Sufficiency:
    n = WITHIN * (setup.tick_requests + setup.tick_probes)
    level, limit = rules.http_5xx.accept, -math.log(false_stops(rules, "http_5xx"))
    shares = []
    for stake in _stakes(rules):
        fewest = _fewest(
            n,
            lambda k, s=stake: (  # type: ignore[misc]
                errors_evidence(_wealth(growth_of_counts([k], [n], level)[0], s), k, n, WITHIN, rules) >= limit
            ),
        )
        literal = math.floor(bound * n + 1e-9) + 1
        shares.append(_share_caught(max(fewest or n, literal), n))
    return _stop_sufficiency("http_5xx", shares, f"5xx of {{}} among {n} requests in {WITHIN} ticks")


def _flip_rate(rules: Rules, setup: Setup, bound: float) -> Sufficiency:
    n = setup.questions
    level, limit = rules.flip_rate.accept, -math.log(false_stops(rules, "flip_rate"))
    shares = []
    for stake in _stakes(rules):
        fewest = _fewest(
            n,
            lambda k, s=stake: (
                k > bound * n  # type: ignore[misc]
                and _wealth(growth_of_counts([WITHIN * k], [WITHIN * n], level)[0], s) >= limit
            ),
        )
        shares.append(fewest / n if fewest else None)
    return _stop_sufficiency("flip_rate", shares, f"a flip rate of {{}} of {n} questions, none of which flips on Blue")


def _coverage_stop(rules: Rules, setup: Setup, bound: float) -> Sufficiency:
    rows = WITHIN * setup.answerable * setup.paraphrases
    level, limit = 1 - rules.coverage.accept, -math.log(false_stops(rules, "coverage"))
    shares = []
    for stake in _stakes(rules):
        lost = _fewest(
            1000,
            lambda k, s=stake: (
                k / 1000 > 1 - bound  # type: ignore[misc]
                and _wealth(growth_of_shares(np.full(rows, k / 1000), [rows], level)[0], s) >= limit
            ),
        )
        shares.append(1 - lost / 1000 if lost else None)
    return _stop_sufficiency("coverage", shares, f"a coverage of {{}} on {setup.answerable} questions")


def _drift(rules: Rules, setup: Setup, bound: float) -> Sufficiency:
    n, rule = setup.tick_probes, rules.ds_p95_drift
    level = 1 - rule.quantile + rule.quantile / n
    limit = -math.log(false_stops(rules, "ds_p95_drift"))
    shares = []
    for stake in _stakes(rules):
        fewest = _fewest(
            n,
            lambda k, s=stake: _wealth(growth_of_counts([WITHIN * k], [WITHIN * n], level)[0], s) >= limit,  # type: ignore[misc]
        )
        shares.append(fewest / n if fewest else None)
    return _stop_sufficiency(
        "ds_p95_drift", shares, f"a drift above {figure(bound)} in which {{}} of Green's probes lie beyond Blue's tail"
    )


_STOPS: dict[str, Callable[[Rules, Setup, float], Sufficiency]] = {
    "ds_p95_drift": _drift,
    "coverage": _coverage_stop,
    "flip_rate": _flip_rate,
    "http_5xx": _http_5xx,
}


def _stop_sufficiency(rule: str, shares: list[float | None], what: str) -> Sufficiency:
    first, later = shares
    if first is None:
        return Sufficiency(
            rule=rule, side="stop", enough=False, smallest=None, text=f"not caught within {WITHIN} ticks"
        )
    text = f"caught within {WITHIN} ticks from the flip on: {what.format(percent(first))}"
    text += f"; if it begins later: {percent(later)}" if later is not None else "; if it begins later: more ticks"
    return Sufficiency(rule=rule, side="stop", enough=True, smallest=first, text=text)


def _share_caught(fewest: int, n: int) -> float | None:
    """The share of bad requests of which at least ``fewest`` of ``n`` are bad with the chance ``CAUGHT``."""
    if fewest > n or binomial_cdf(fewest - 1, n, 1.0) > 1 - CAUGHT:
        return None
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if binomial_cdf(fewest - 1, n, middle) <= 1 - CAUGHT else (middle, high)
    return high


def _fewest(n: int, holds: Callable[[int], bool]) -> int | None:
    """The fewest of 1..n for which something holds that, once it holds, holds for more; ``None``: for none."""
    if n < 1 or not holds(n):
        return None
    low, high = 0, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high

"""The hold's test: it may be looked at after every tick, and stays valid.

Think of a gambler who bets, request by request, that Green is worse than what was accepted. The bets are
fair as long as Green is acceptable, so the wealth is not expected to grow. A wealth of 1,000 times the
stake then has a chance of at most 1 in 1,000, *ever*, however often one looks (Ville's inequality). Such a
wealth is called an e-process.

A regression may begin at any tick, so the stake is split: one part is put down at the flip, the rest in
equal parts at each of the later ticks. It is split again over bets that suit small, middling and large
harm. A mixture of fair gambles is fair.

Sources: Ville, "Étude critique de la notion de collectif" (1939). Waudby-Smith & Ramdas, "Estimating means
of bounded random variables by betting", JRSS B 86 (2024). Shin, Ramdas & Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", NEJSDS 2 (2024).

Why the product over one tick is fair though questions differ in difficulty: for independent harms with
means m1..mn whose mean is at most m, the expected product of 1 + b (x - m) is the product of
1 + b (mi - m), which is at most 1 because a geometric mean is never above the arithmetic one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from switchover.judge.intervals import binomial_cdf
from switchover.judge.measure import Floats

LOG_ODDS = np.array([0.5, 1.05, 2.3])  # how far above the accepted level the bets look, in log odds
SHARES = np.array([0.08, 0.74, 0.18])  # of the stake
PIECE = 128  # factors: each is within e^±2.3, so their product is within 10^±128
AT_THE_FLIP = 0.5  # share of the stake that is put down at the flip


def bets(level: npt.ArrayLike) -> Floats:
    """The bets (..., k) on "the mean harm is above ``level`` (...)": stake on each unit of harm above it."""
    accepted = _inside(level)[..., None]
    odds = accepted / (1 - accepted) * np.exp(LOG_ODDS)
    stakes: Floats = (odds / (1 + odds) - accepted) / (accepted * (1 - accepted))
    return stakes


def growth_of_counts(harmful: npt.ArrayLike, n: npt.ArrayLike, level: npt.ArrayLike) -> Floats:
    """Log growth of wealth (ticks, k) from ``harmful`` (ticks,) of ``n`` (ticks,) yes-or-no observations.

    ``level`` is the accepted share of harmful ones, one for all ticks or one a tick.
    """
    h, total = np.asarray(harmful, dtype=np.float64)[:, None], np.asarray(n, dtype=np.float64)[:, None]
    stakes, accepted = bets(level), _inside(level)[..., None]
    grown: Floats = h * np.log1p(stakes * (1 - accepted)) + (total - h) * np.log1p(-stakes * accepted)
    return grown


def growth_of_shares(harm: npt.ArrayLike, counts: npt.ArrayLike, level: float) -> Floats:
    """Log growth of wealth (ticks, k) from harms (n,) in 0..1: ``counts`` (ticks,) of them a tick, tick by tick."""
    x, accepted, ends = np.asarray(harm, dtype=np.float64), float(_inside(level)), np.cumsum(counts)
    if int(ends[-1] if len(ends) else 0) != len(x):
        raise ValueError(f"unequal lengths: harm {len(x)}, counts of {ends[-1] if len(ends) else 0}")
    grown = np.zeros((len(ends), len(LOG_ODDS)))
    if not len(x):
        return grown
    # Multiplying is quicker than adding logs: pieces of one tick, short enough that no product leaves the range.
    pieces = np.unique(np.r_[np.arange(0, len(x), PIECE), ends[ends < len(x)]])
    tick = np.searchsorted(ends, pieces, side="right")
    above, factors = x - accepted, np.empty(len(x))
    for column, stake in enumerate(bets(accepted)):
        np.multiply(above, stake, out=factors)
        factors += 1.0
        grown[:, column] = np.bincount(tick, np.log(np.multiply.reduceat(factors, pieces)), len(ends))
    return grown


def burst(harmful: float, n: float, level: float, looks: int) -> float:
    """Evidence (log) of one look by itself: 1 ÷ (chance × ``looks``), with the chance of so many of ``n`` at ``level``.

    A stake in equal parts on all-or-nothing bets, one a look: together they reach 1 ÷ alpha with a chance of
    at most alpha. Few harmful ones in a short time show here sooner than in the wealth that grows.
    """
    chance = 1.0 - binomial_cdf(int(harmful) - 1, int(n), level)
    return -math.log(max(chance, 1e-15) * looks)


def _inside(level: npt.ArrayLike) -> Floats:
    """A level that can be bet against: strictly between 0 and 1."""
    return np.clip(np.asarray(level, dtype=np.float64), 1e-6, 1 - 1e-6)


def log_evidence(growth: Floats, horizon: int) -> Floats:
    """Log of the wealth (ticks,) after each tick, of a stake of 1.

    ``growth`` (ticks, k) is what each bet made at each tick. From tick ``horizon`` on nothing new is put
    down. No ticks give an empty array.
    """
    ticks = len(growth)
    later = max(1, horizon - 1)
    stake = np.full(ticks, (1 - AT_THE_FLIP) / later)
    stake[horizon:] = 0.0
    stake[:1] = AT_THE_FLIP
    waiting = np.maximum(1.0 - np.cumsum(stake), 0.0)
    running = np.full(len(SHARES), -math.inf)
    out = np.empty(ticks)
    with np.errstate(divide="ignore"):
        log_stake, log_waiting, log_shares = np.log(stake), np.log(waiting), np.log(SHARES)
    for tick in range(ticks):
        running = np.logaddexp(running, log_stake[tick]) + growth[tick]
        out[tick] = np.logaddexp(np.logaddexp.reduce(running + log_shares), log_waiting[tick])
    return out


def highest(evidence: Floats) -> float:
    """The most that the evidence ever was (log); 0, the stake itself, before the first tick."""
    return float(evidence.max(initial=0.0))

"""Shares of failures at the acceptance gates: an exact bound of probes and live requests together."""

from __future__ import annotations

import math

from switchover.judge.accept import Acceptance
from switchover.judge.intervals import binomial_lower, binomial_upper, requests_needed
from switchover.judge.outcome import Measured, percent


def share_of_failures(
    seen: Acceptance, bound: float, probes: tuple[int, int], live: int, left_out: int = 0
) -> Measured:
    """A share of failures: those of probes (as seen; with missing ones too) and of live requests.

    Passes when the exact upper bound of both together is within the bound, fails when the lower bound of
    either alone, or of both, is beyond it. ``left_out`` probes say nothing about this kind of failure.
    """
    alpha = 1 - seen.confidence
    n_probes, n_live = seen.both_ways.plain.green.n - left_out, seen.traffic.requests if seen.traffic else 0
    n, bad, strict_bad = n_probes + n_live, probes[0] + live, probes[1] + live
    streams = {(probes[0], n_probes), (live, n_live), (bad, n)}
    upper, strict_n = binomial_upper(bad, n, alpha), n + strict_bad - bad
    need = requests_needed(strict_bad, bound, alpha)
    clean = "clean requests" if not strict_bad else f"requests with these {strict_bad} failures and no more"
    needs = f"{percent(bound)} at {percent(seen.confidence)} needs {need or 'endless'} {clean}; {n} so far"
    return Measured(
        value=bad / n if n else math.nan,
        strict=upper if (strict_bad, strict_n) == (bad, n) else binomial_upper(strict_bad, strict_n, alpha),
        n=n,
        interval=(binomial_lower(bad, n, alpha), upper),
        beyond=any(few > of * bound and binomial_lower(few, of, alpha) > bound for few, of in streams),
        blocked=seen.traffic.blocked(seen.statistics.window) if seen.traffic else "",
        open_needs=needs,
        strict_needs=needs,
        note=f"{bad} of {n}" + (f", {live} of {n_live} live" if n_live else ""),
    )

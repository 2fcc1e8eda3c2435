"""How often does the hold stop a good Green, and how soon a bad one, by figures as each kind of store delivers them?

    python bench/simulate_signals.py [--holds 500] [--rates 20 40]

Three processes serve Green; one of them begins again at a random time. Each store shows them in its own way: raw
counters at each scrape (every process at its own moment), counts of finished minutes two minutes late, rows. They are
read by the product's own rules (``signals.reading``) and judged by its own (``http_5xx``, ``live_traffic``) at each
look of a hold of 20 minutes. Good holds have 0, 0.1 or 0.45 % of 5xx. Bad ones have 2 % from a random look on; the last
columns are the shares that are stopped within 2 and 3 x max(tick, step) and the lag of the store. Prints the second
table of docs/rules/hold.md.
"""

from __future__ import annotations

import argparse
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from switchover.judge.analysis import Analysis, BothWays
from switchover.judge.evidence import Evidence
from switchover.judge.evidence_row import EvidenceRow
from switchover.judge.outcome import Outcome
from switchover.judge.rules import Rules
from switchover.judge.stop import HoldSoFar
from switchover.judge.traffic import SignalSample, Traffic, increments
from switchover.signals.reading import Absent, Count, Series, grown, summed

HOLD_S, PROCESSES, BAD, LATEST_S = 1200.0, 3, 0.02, 700.0
RULES = Rules()
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
GOOD = (0.0, 0.001, 0.0045)


@dataclass(frozen=True, kw_only=True)
class Store:
    """One way of delivering figures; seconds."""

    name: str
    step: float
    tick: float
    lag: float
    how: str


STORES = (
    Store(name="sql, a log", step=0, tick=15, lag=0, how="rows"),
    Store(name="prometheus, scrape 15 s", step=15, tick=15, lag=2, how="raw"),
    Store(name="prometheus, scrape 60 s", step=60, tick=60, lag=2, how="raw"),
    Store(name="http_json, 10 s", step=10, tick=15, lag=60, how="periods"),
    Store(name="cloudwatch, 60 s", step=60, tick=60, lag=120, how="periods"),
)


@dataclass(frozen=True, kw_only=True)
class Served:
    """When each request was served (seconds from the flip), by which process, whether it was a 5xx; one restart."""

    at: Any
    process: Any
    bad: Any
    restarted: int
    restart: float

    def shown(self, store: Store, of: Any, phases: Any) -> list[Series]:
        """Counters of the requests that ``of`` marks, as the store has them at the end."""
        if store.how == "periods":
            edges = np.arange(0, HOLD_S + store.step, store.step)
            counts, _ = np.histogram(self.at[of], edges)
            return [Series(labels={}, points=[(float(a), float(n)) for a, n in zip(edges, counts, strict=False) if n])]
        return [self._counter(store, of & (self.process == p), p, float(phases[p])) for p in range(PROCESSES)]

    def _counter(self, store: Store, of: Any, process: int, phase: float) -> Series:
        """A process's raw counter at its scrapes; it begins again at 0 when the process does."""
        step = store.step or store.tick
        scrapes = np.arange(phase - step if store.step else 0.0, HOLD_S + step, step)
        values = np.searchsorted(np.sort(self.at[of]), scrapes, side="right").astype(float)
        if process == self.restarted and store.how == "raw":
            before = np.count_nonzero(self.at[of] <= self.restart)
            values = np.where(scrapes > self.restart, values - before, values)
        return Series(
            labels={"process": str(process)}, points=list(zip(scrapes.tolist(), values.tolist(), strict=True))
        )


def served(rng: np.random.Generator, rate: float, share: float, onset: float | None) -> Served:
    """One hold's requests."""
    at = np.sort(rng.uniform(0, HOLD_S, rng.poisson(rate * HOLD_S)))
    bad = rng.random(len(at)) < share
    if onset is not None:
        bad |= (at >= onset) & (rng.random(len(at)) < BAD)
    restart = float(rng.uniform(60, HOLD_S - 60))
    process = rng.integers(0, PROCESSES, len(at))
    return Served(at=at, process=process, bad=bad, restarted=int(rng.integers(PROCESSES)), restart=restart)


def stopped_at(store: Store, made: Served, rng: np.random.Generator, quiet: HoldSoFar) -> float:
    """Seconds from the flip to the look that stops; infinite when none does."""
    phases = rng.uniform(0, store.step or 1, PROCESSES)
    requests = made.shown(store, np.ones(len(made.at), np.bool_), phases)
    errors = made.shown(store, made.bad, phases)
    looks = [store.tick * tick for tick in range(1, int(HOLD_S / store.tick) + 1)]
    found = [(now, _sample(store, requests, errors, now - store.lag)) for now in looks]
    seen = [(now, sample) for now, sample in found if sample is not None]
    parts, window = increments([sample for _, sample in seen]), RULES.statistics.window
    for n, (now, _) in enumerate(seen):
        if parts[n].requests and not any(
            _beyond(parts[max(0, n + 1 - width) : n + 1]) for width in range(1, window + 1)
        ):
            continue  # neither rule can stop at this look
        traffic = Traffic.of([sample for _, sample in seen[: n + 1]])
        hold = HoldSoFar(**{**quiet.__dict__, "traffic": traffic})
        verdicts = [RULES.http_5xx.judge_hold(hold), RULES.live_traffic.judge_hold(hold)]
        if any(verdict.outcome is Outcome.FAIL for verdict in verdicts):
            return now
    return math.inf


def _beyond(looks: list[SignalSample]) -> bool:
    few, of = sum(part.errors_5xx for part in looks), sum(part.requests for part in looks)
    return few > (RULES.http_5xx.stop or 0) * of


def _sample(store: Store, requests: list[Series], errors: list[Series], until: float) -> SignalSample | None:
    try:
        found, bad = (_count(store, each, until) for each in (requests, errors))
    except Absent:
        return None
    if found is None:
        return None
    failed = int(bad.value) if bad is not None else 0
    return SignalSample(
        requests=int(found.value),
        errors_5xx=failed,
        failures=failed,
        tool_loops=0,
        p95_ms={},
        since=FLIP,
        until=FLIP + timedelta(seconds=max(0.0, found.newest)),
    )


def _count(store: Store, series: list[Series], until: float) -> Count | None:
    cut = [Series(labels=each.labels, points=[p for p in each.points if p[0] <= until]) for each in series]
    try:
        return (
            summed(cut, since=0, until=until, step=store.step)
            if store.how == "periods"
            else grown(cut, since=0, until=until)
        )
    except Absent:
        return None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One line of the table."""

    store: Store
    rate: float
    share: float | None  # of a good Green; None: a bad one
    holds: int

    def run(self) -> str:
        """Simulate the holds."""
        rng = np.random.default_rng([20261130, *self.store.name.encode(), int(self.rate), int(1e5 * (self.share or 1))])
        quiet, pace = _quiet(), max(self.store.tick, self.store.step)
        stopped, caught = 0, [0, 0]
        for _ in range(self.holds):
            onset = (
                None if self.share is not None else self.store.tick * int(rng.integers(4, LATEST_S // self.store.tick))
            )
            made = served(rng, self.rate, self.share or 0.0, onset)
            at = stopped_at(self.store, made, rng, quiet)
            stopped += at < math.inf
            for n, times in enumerate((2, 3)):
                caught[n] += onset is not None and onset <= at <= onset + times * pace + self.store.lag
        what = "bad: 2 %" if self.share is None else f"good: {100 * self.share:g} %"
        told = [self.store.name, f"{self.rate:g}/s", f"{self.store.tick:g} s", what, _percent(stopped, self.holds)]
        told += [_percent(each, self.holds) if self.share is None else "–" for each in caught]
        return "| " + " | ".join([*told, str(self.holds)]) + " |"


def _quiet() -> HoldSoFar:
    """A hold whose probes say nothing against Green: a look's worth of good ones."""
    questions = [f"q{n}" for n in range(40)]
    well: dict[str, Any] = {f"ms_{stage}": 1.0 for stage in ("retrieve", "rerank", "reason", "total")}
    well |= {"ds_question": 0.1, "ds_anchor": 0.1, "coverage": 1.0, "cited": "s", "status": 200, "tool_loop": False}
    rows = [
        EvidenceRow(phase="hold", tick=0, arm=arm, question=question, paraphrase=paraphrase, seed=0, **well)
        for arm in ("blue", "green")
        for question in questions
        for paraphrase in range(3)
    ]
    good = Analysis(Evidence.from_rows(rows, questions))
    recent = BothWays(good)
    return HoldSoFar(
        analysis=good,
        probes=recent.probes,
        recent=recent,
        statistics=RULES.statistics,
        traffic=Traffic.of(None),
    )


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.4g} %"


def main() -> None:
    """Run the simulations and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--holds", type=int, default=500, help="simulated holds of each line (default: 500)")
    parser.add_argument("--rates", type=float, nargs="+", default=[20, 40], help="live requests a second")
    options = parser.parse_args()
    jobs = [
        Job(store=store, rate=rate, share=share, holds=options.holds)
        for store in STORES
        for rate in options.rates
        for share in (*GOOD, None)
    ]
    print("| figures | live requests | tick | Green's 5xx | stopped | within 2 x | within 3 x | holds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with ProcessPoolExecutor() as pool:
        for line in pool.map(Job.run, jobs):
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""How often does the hold's test stop a good Green, and how soon does it catch a bad one?

    python bench/simulate_hold.py [--holds 2000] [--rates 20 40] [--profile bench/hold_profile.json]

Simulates holds of 20 min at 15 s with the noise of real runs (``hold_profile.json``, written by
``record_profile.py``) and judges them with the product's own ``judge_stop``. Prints the table that stands
in docs/rules/hold.md; ``--json`` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from switchover.evidence import BLUE, GREEN, Evidence, SignalSample
from switchover.judge import Outcome, judge_stop
from switchover.readings import Readings
from switchover.rules import Rules
from switchover.stopping import ALPHA, Watch, false_stops, sign_of
from switchover.traffic import Traffic

TICKS, TICK_S, WITHIN = 80, 15, 3
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = Rules()
Spoil = Callable[["Hold", np.random.Generator, int], "Hold"]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One simulated hold: figures (ticks, arms, questions, 3) and live 5xx per tick."""

    ds: Any
    coverage: Any
    cited: Any
    status: Any
    live_errors: Any
    requests: int
    tool_loops: Any

    def evidence(self, ticks: int) -> Evidence:
        """The evidence after the first ``ticks`` ticks."""
        shape = self.ds[:ticks].shape
        tick, arm, question, paraphrase = (index.ravel() for index in np.indices(shape))
        status, n = self.status[:ticks].ravel(), math.prod(shape)
        bad = status != 200
        ms = np.where(bad, np.inf, 10.0)
        return Evidence(
            questions=tuple(f"q{i}" for i in range(shape[2])),
            sections=tuple(f"s{i}" for i in range(int(self.cited.max()) + 1)),
            tick=tick,
            arm=arm,
            question=question,
            paraphrase=paraphrase,
            seed=tick % 2,
            ds_question=np.where(bad, 1.0, self.ds[:ticks].ravel()),
            ds_anchor=np.zeros(n),
            coverage=np.where(bad, 0.0, self.coverage[:ticks].ravel()),
            cited=np.where(bad, -1, self.cited[:ticks].ravel()),
            ms_retrieve=ms,
            ms_rerank=ms,
            ms_reason=ms,
            ms_total=ms,
            status=status,
            tool_loop=self.tool_loops[:ticks].ravel(),
            observed=np.ones(n, np.bool_),
        )

    def signals(self, ticks: int) -> list[SignalSample | None]:
        """One sample a tick."""
        return [
            SignalSample(
                requests=self.requests,
                errors_5xx=int(errors),
                failures=int(errors),
                tool_loops=0,
                p95_ms={},
                since=FLIP + timedelta(seconds=TICK_S * tick),
                until=FLIP + timedelta(seconds=TICK_S * (tick + 1)),
            )
            for tick, errors in enumerate(self.live_errors[:ticks])
        ]

    def stopped_by(self, tick: int) -> list[str]:
        """The rules that say stop after this tick (counted from 0)."""
        verdicts = judge_stop(self.evidence(tick + 1), rules=RULES, signals=self.signals(tick + 1))
        return [verdict.rule for verdict in verdicts if verdict.outcome is Outcome.FAIL]

    def first_stop(self, start: int, end: int) -> int | None:
        """The first tick of start..end - 1 at which a rule says stop."""
        return next((tick for tick in range(start, end) if self.stopped_by(tick)), None)

    def may_stop(self) -> bool:
        """Whether any rule's evidence ever suffices: if not, no tick can stop, and none need be replayed."""
        evidence = self.evidence(TICKS)
        recent = Readings(evidence.newest(1))
        watch = Watch(
            evidence=evidence, gaps=recent.gaps, recent=recent, rules=RULES, traffic=Traffic.of(self.signals(TICKS))
        )
        judged = set(ALPHA) - {"latency_p95"}
        return bool(self.tool_loops.any()) or any(
            sign_of(watch, rule).evidence >= -math.log(false_stops(RULES, rule)) for rule in judged
        )


def same_arm_twice(profile: dict[str, Any], rng: np.random.Generator, rate: float, noise: dict[str, float]) -> Hold:
    """An A/A hold: both arms are the profile's, each with its own noise."""
    base = {name: np.array(profile["arm"][name]) for name in ("ds", "coverage", "cited")}
    shape = (TICKS, 2, *base["ds"].shape)
    ds, coverage, cited = (np.broadcast_to(base[name], shape).copy() for name in ("ds", "coverage", "cited"))
    ds = np.clip(ds + rng.normal(0, noise["ds_sd"], shape), 0, 1)
    # A probe that comes out differently gets the result of another paraphrase, or cites a section of its own.
    other = rng.random(shape) < noise["changed"]
    turned = np.roll(np.arange(3), 1)
    coverage = np.where(other, coverage[..., turned], coverage)
    cited = np.where(
        other & (rng.random(shape) < 0.5), int(base["cited"].max()) + 1, np.where(other, cited[..., turned], cited)
    )
    status = np.where(rng.random(shape) < noise["errors"], 500, 200)
    requests = int(rate * TICK_S)
    return Hold(
        ds=ds,
        coverage=coverage,
        cited=cited,
        status=status,
        live_errors=rng.binomial(requests, noise["errors"], TICKS),
        requests=requests,
        tool_loops=np.zeros(shape, np.bool_),
    )


def _from(hold: Hold, onset: int) -> Any:
    """Green's rows from a tick on."""
    mask = np.zeros(hold.ds.shape, np.bool_)
    mask[onset:, GREEN] = True
    return mask


def errors_5xx(share: float) -> Spoil:
    """This share of Green's live requests and probes ends in a 5xx."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        bad = _from(hold, onset) & (rng.random(hold.ds.shape) < share)
        live = np.where(np.arange(TICKS) >= onset, rng.binomial(hold.requests, share, TICKS), hold.live_errors)
        return replace(hold, status=np.where(bad, 500, hold.status), live_errors=live)

    return spoil


def shifted(drift: float) -> Spoil:
    """All of Green's ΔS move by this much, and so does the p95."""
    return lambda hold, rng, onset: replace(hold, ds=np.clip(hold.ds + drift * _from(hold, onset), 0, 1))


def tail(drift: float, questions: float = 0.15) -> Spoil:
    """Only this share of the questions moves, to the p95 of Blue plus the drift."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        count = hold.ds.shape[2]
        hit = np.zeros(count, np.bool_)
        hit[rng.choice(count, math.ceil(questions * count), replace=False)] = True
        level = np.quantile(hold.ds[:, BLUE], 0.95) + drift
        return replace(hold, ds=np.where(_from(hold, onset) & hit[:, None], min(level, 1.0), hold.ds))

    return spoil


def covering(share: float) -> Spoil:
    """Green's coverage falls to this on average: whole questions are lost."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        keep = share / hold.coverage[:, BLUE].mean()
        lost = rng.permutation(hold.ds.shape[2]) >= round(keep * hold.ds.shape[2])
        return replace(hold, coverage=np.where(_from(hold, onset) & lost[:, None], 0.0, hold.coverage))

    return spoil


def flipping(share: float) -> Spoil:
    """This share of the questions cites another section for one of the paraphrases."""

    def spoil(hold: Hold, rng: np.random.Generator, onset: int) -> Hold:
        count = hold.ds.shape[2]
        stable = [q for q in range(count) if len(set(hold.cited[0, BLUE, q])) == 1]
        missing = max(0, round(share * count) - (count - len(stable)))
        hit = np.zeros((count, 3), np.bool_)
        hit[rng.choice(stable, missing, replace=False), 1] = True
        return replace(hold, cited=np.where(_from(hold, onset) & hit, int(hold.cited.max()) + 1, hold.cited))

    return spoil


def looping(share: float) -> Spoil:
    """This share of Green's probes has a tool loop."""
    return lambda hold, rng, onset: replace(hold, tool_loops=_from(hold, onset) & (rng.random(hold.ds.shape) < share))


TWICE: dict[str, Spoil] = {
    "5xx 2 %": errors_5xx(0.02),
    "coverage 0.20 (twice the shortfall of 0.60)": covering(0.20),
    "p95 drift 0.30, all questions": shifted(0.30),
    "p95 drift 0.30, 15 % of the questions": tail(0.30),
    "flip rate 0.40": flipping(0.40),
    "tool loops, 2 % of the probes": looping(0.02),
}
HALF: dict[str, Spoil] = {
    "5xx 0.5 %": errors_5xx(0.005),
    "coverage 0.80 (half the shortfall)": covering(0.80),
    "p95 drift 0.075, all questions": shifted(0.075),
    "flip rate 0.10": flipping(0.10),
}


def main() -> None:
    """Run the simulations and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--holds", type=int, default=2000, help="simulated holds for each line (default: 2000)")
    parser.add_argument("--rates", type=float, nargs="+", default=[20, 40], help="live requests a second")
    parser.add_argument("--profile", type=Path, default=Path(__file__).with_name("hold_profile.json"))
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    options = parser.parse_args()
    profile = json.loads(options.profile.read_text())
    began, rng = time.perf_counter(), np.random.default_rng(20261124)
    lines: list[dict[str, Any]] = []
    for rate in options.rates:
        lines += _false_stops(profile, rng, rate, options.holds)
        for onset in ("at the flip", "later"):
            lines += _caught(profile, rng, rate, max(200, options.holds // 4), onset)
    if options.json:
        print(json.dumps({"holds": options.holds, "seconds": time.perf_counter() - began, "lines": lines}))
        return
    print(
        "| hold | traffic | regression begins | stopped | within 3 ticks | holds |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for line in lines:
        print(
            "| " + " | ".join(str(line[key]) for key in ("hold", "rate", "onset", "stopped", "caught", "holds")) + " |"
        )


def _false_stops(profile: dict[str, Any], rng: np.random.Generator, rate: float, holds: int) -> list[dict[str, Any]]:
    measured = profile["noise"]
    rough = {"ds_sd": 0.02, "changed": 0.05, "errors": 0.001}
    lines = []
    kinds: list[tuple[str, dict[str, float], Spoil | None]] = [
        ("A/A, noise as measured", measured, None),
        ("A/A, rough: 5 % of the probes differ, 0.1 % errors", rough, None),
        *((f"half: {name}", measured, spoil) for name, spoil in HALF.items()),
    ]
    for name, noise, spoil in kinds:
        stopped = 0
        for _ in range(holds):
            hold = same_arm_twice(profile, rng, rate, noise)
            hold = spoil(hold, rng, 0) if spoil else hold
            stopped += hold.may_stop() and hold.first_stop(0, TICKS) is not None
        lines.append(
            _line(name, rate, "–" if spoil is None else "at the flip", f"{100 * stopped / holds:.2f} %", "–", holds)
        )
    return lines


def _caught(
    profile: dict[str, Any], rng: np.random.Generator, rate: float, holds: int, when: str
) -> list[dict[str, Any]]:
    lines = []
    for name, spoil in TWICE.items():
        first: list[float] = []
        for _ in range(holds):
            onset = 0 if when == "at the flip" else int(rng.integers(1, TICKS - 10))
            hold = spoil(same_arm_twice(profile, rng, rate, profile["noise"]), rng, onset)
            tick = hold.first_stop(onset, onset + 10)
            first.append(math.inf if tick is None else tick - onset + 1)
        ticks = np.array(first)
        lines.append(
            _line(
                f"twice: {name}",
                rate,
                when,
                f"{100 * np.mean(ticks <= 10):.1f} % in 10 ticks",
                f"{100 * np.mean(ticks <= WITHIN):.1f} %",
                holds,
            )
        )
    return lines


def _line(hold: str, rate: float, onset: str, stopped: str, caught: str, holds: int) -> dict[str, Any]:
    return {
        "hold": hold,
        "rate": f"{rate:g} requests/s",
        "onset": onset,
        "stopped": stopped,
        "caught": caught,
        "holds": holds,
    }


if __name__ == "__main__":
    main()

"""How often does the hold's test stop a good Green, and how soon does it catch a bad one?

    python bench/simulate_hold.py [--holds 2000] [--rates 20 40] [--profile bench/hold_profile.json]

Simulates holds of 20 min at 15 s and judges them with the product's own ``judge_stop`` and
``judge_acceptance``. Good holds ask the same arm twice (A/A): with the noise of real runs (``hold_profile.json``,
written by ``record_profile.py``), and with far more of it. Bad ones are at half of, and at twice, each stop
bound. Of twice, only the first 10 ticks of the regression are looked at. Prints the table that stands in
docs/rules/hold.md; ``--json`` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from simulated_holds import TICKS, WELL, Spoil, covering, errors_5xx, flipping, looping, same_arm_twice, shifted, tail

ROUNDS = 12  # of the warm gate: 6 with 2 seeds
WITHIN, LATE = 3, 10

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
ROUGH = {"ds_sd": 0.02, "changed": 0.05, "errors": 0.001}
GOOD = {"as measured": {}, "rough": ROUGH, "rough, 0.45 % errors": {**ROUGH, "errors": 0.0045}}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One line of the table: ``kind`` is good, half or twice; ``onset`` is the tick, None a random one."""

    kind: str
    name: str
    rate: float
    onset: int | None
    holds: int
    profile: dict[str, Any]

    def run(self) -> dict[str, Any]:
        """Simulate the holds."""
        rng = np.random.default_rng([20261124, *self.name.encode(), int(self.rate), self.onset is None])
        stopped = caught = accepted = 0
        open_rules: Counter[str] = Counter()
        by_answers: Counter[str] = Counter()
        for _ in range(self.holds):
            noise = self.profile["noise"] | (GOOD[self.name] if self.kind == "good" else {})
            onset = int(rng.integers(1, TICKS - LATE)) if self.onset is None else self.onset
            hold = same_arm_twice(self.profile, rng, self.rate, noise)
            if self.kind == "twice":
                hold = TWICE[self.name](hold, rng, onset)
                first = next((tick for tick in range(onset, onset + LATE) if hold.stops(tick)), math.inf)
                stopped, caught = stopped + (first < math.inf), caught + (first < onset + WITHIN)
                continue
            hold = HALF[self.name](hold, rng, onset) if self.kind == "half" else hold
            stopped += any(hold.stops(tick) for tick in hold.may_stop())
            not_passing = [verdict for verdict in hold.end() if verdict.outcome not in WELL]
            accepted += not not_passing
            if self.kind == "good":
                warm, end = hold.answered(ROUNDS, traffic=False), hold.answered(TICKS, traffic=True)
                by_answers.update(f"warm: {name}" for name in warm)
                by_answers.update(f"end: {name}" for name in end)
                by_answers["any"] += bool(warm or end)
            open_rules.update(f"{verdict.rule} {verdict.outcome}" for verdict in not_passing)
        end = f"{_percent(accepted, self.holds)} accepted"
        if open_rules:
            end += "; " + ", ".join(f"{name} {_percent(n, self.holds)}" for name, n in open_rules.most_common(3))
        return {
            "hold": {"good": f"A/A, noise {self.name}"}.get(self.kind, f"{self.kind}: {self.name}"),
            "rate": f"{self.rate:g}/s",
            "begins": "–" if self.kind == "good" else "later" if self.onset is None else "at the flip",
            "stopped": _percent(stopped, self.holds),
            "caught": _percent(caught, self.holds) if self.kind == "twice" else "–",
            "end": "–" if self.kind == "twice" else end,
            "holds": self.holds,
            "not passed by answers": {name: _percent(n, self.holds) for name, n in sorted(by_answers.items())},
        }


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.4g} %"


def main() -> None:
    """Run the simulations and print them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--holds", type=int, default=2000, help="simulated holds of each line, half as many of twice (default: 2000)"
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[20, 40], help="live requests a second")
    parser.add_argument("--profile", type=Path, default=Path(__file__).with_name("hold_profile.json"))
    parser.add_argument("--only", choices=("good", "half", "twice"), help="these holds alone")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    options = parser.parse_args()
    profile = json.loads(options.profile.read_text())
    most, fewer = options.holds, max(1, options.holds // 2)
    kinds = [("good", GOOD, (0,), most), ("half", HALF, (0,), most), ("twice", TWICE, (0, None), fewer)]
    jobs = [
        Job(kind=kind, name=name, rate=rate, onset=onset, holds=holds, profile=profile)
        for rate in options.rates
        for kind, names, onsets, holds in kinds
        if options.only in (None, kind)
        for onset in onsets
        for name in names
    ]
    began, columns = time.perf_counter(), ("hold", "rate", "begins", "stopped", "caught", "end", "holds")
    lines = []
    with ProcessPoolExecutor() as pool:
        if not options.json:
            print("| hold | live requests | begins | stopped | within 3 ticks | at its end | holds |")
            print("| --- " * len(columns) + "|", flush=True)
        for line in pool.map(Job.run, jobs):
            lines.append(line)
            if not options.json:
                print("| " + " | ".join(str(line[column]) for column in columns) + " |", flush=True)
                if line["not passed by answers"]:
                    print(f"  answer rules that did not pass: {line['not passed by answers']}", flush=True)
    if options.json:
        print(json.dumps({"holds": options.holds, "seconds": round(time.perf_counter() - began), "lines": lines}))


if __name__ == "__main__":
    main()

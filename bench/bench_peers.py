"""The same simulated holds judged by our rules and by the ways of others: false stops, and how soon harm is caught.

    python bench/bench_peers.py [--holds 300] [--record docs/peers.json]

Holds of 20 minutes with a look every 15 s (``simulated_holds.py``), 20 live requests a second. *Noise* is the rough
one of ``simulate_hold.py``: every 20th probe differs, every 1,000th request fails, on both arms. Each method sees the
same looks and the same bounds: the stop bounds of our rules. Blue has live traffic for those that compare with it,
as in a canary; in a switchover it has none. Prints one JSON line a cell and method. ``false_stops_per_1000``: holds
stopped while Green was acceptable (null where harm begins at the flip); ``within_3``: the share of the others in which
harm was caught in its first three looks; ``median_looks``: of harm, until it was caught; ``missed``: the share in which
it never was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from peer_methods import FEW, MANY, METHODS, NEWEST, Series
from simulate_hold import ROUGH, WITHIN
from simulated_holds import RULES, TICKS, Hold, Spoil, covering, errors_5xx, flipping, same_arm_twice, shifted

from switchover.judge.evidence import BLUE, GREEN
from switchover.judge.measure import CONVERGENT, lambda_states, quantile

OURS = "switchover's stop rules"
RATE = 20
LAST = MANY  # looks that a hold goes on after harm has begun, at least

ACCEPTED: dict[str, Spoil] = {"5xx 0.45 %": errors_5xx(0.0045), "drift 0.05": shifted(0.05)}
TWICE: dict[str, Spoil] = {
    "5xx 2 %": errors_5xx(0.02),
    "coverage 0.20": covering(0.20),
    "drift 0.30": shifted(0.30),
    "flips 0.40": flipping(0.40),
}
NEAR: dict[str, Spoil] = {
    "5xx 1.2 %": errors_5xx(0.012),
    "coverage 0.55": covering(0.55),
    "drift 0.18": shifted(0.18),
    "flips 0.25": flipping(0.25),
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Holds of one kind: good, twice or near; ``onset`` is the look at which harm begins, None a random one."""

    kind: str
    name: str
    noise: dict[str, float]
    onset: int | None = 0

    @property
    def title(self) -> str:
        """The cell in words."""
        begins = "" if self.kind == "good" else ", at the flip" if self.onset == 0 else ", later"
        return f"{self.kind}: {self.name}{begins}, {'noise' if self.noise else 'no noise'}"

    def hold(self, number: int, profile: dict[str, Any]) -> tuple[dict[str, int | None], int]:
        """After which look each method stops one hold, and the look at which harm begins (good holds: none does)."""
        rng = np.random.default_rng([20261201, number, *self.title.encode()])
        clean = same_arm_twice(profile, rng, RATE, profile["noise"] | self.noise)
        onset = int(rng.integers(1, TICKS - LAST)) if self.onset is None else self.onset
        spoil = {**ACCEPTED, **TWICE, **NEAR}.get(self.name)
        hold = spoil(clean, rng, onset) if spoil else clean
        series = series_of(hold, rng.binomial(hold.requests, (profile["noise"] | self.noise)["errors"], TICKS))
        stops: dict[str, int | None] = {OURS: next(_looks_that_stop(clean, hold, onset), None)}
        stops |= {name: method(series) for name, method in METHODS.items()}
        return stops, TICKS if self.kind == "good" else onset


def _looks_that_stop(clean: Hold, hold: Hold, onset: int) -> Iterator[int]:
    looks = [*(look for look in clean.may_stop() if look < onset), *(look for look in hold.may_stop() if look >= onset)]
    return (look for look in looks if hold.stops(look))


def series_of(hold: Hold, blue_errors: Any) -> list[Series]:
    """What the other methods see of a hold: 5xx, lost coverage, the p95 of ΔS and flips, by look and by window."""
    bad = hold.status != 200
    ds, lost = np.where(bad, 1.0, hold.ds), 1 - np.where(bad, 0.0, hold.coverage)
    errors = np.stack([blue_errors, hold.live_errors], axis=1) + np.count_nonzero(bad, axis=(2, 3))
    requests = hold.requests + bad[0, GREEN].size
    cited = np.where(bad, -1, hold.cited)

    def each(figure: Any) -> dict[int, Any]:
        """A figure of some looks, of both arms, (looks, arms), by window."""
        return {
            window: np.array([figure(slice(max(0, look + 1 - window), look + 1)) for look in range(TICKS)])
            for window in (NEWEST, FEW, MANY)
        }

    kinds = (
        (each(lambda part: errors[part].mean(axis=0) / requests), RULES.http_5xx.stop, False),
        (each(lambda part: lost[part].mean(axis=(0, 2, 3))), 1 - (RULES.coverage.stop or 0.0), False),
        (each(lambda part: _p95(ds[part])), RULES.ds_p95_drift.stop, True),
        (_flips(cited), RULES.flip_rate.stop, False),
    )
    return [
        Series(
            green=found[NEWEST][:, GREEN],
            blue=found[NEWEST][:, BLUE],
            by_window={w: of[:, GREEN] - (of[:, BLUE] if beside_blue else 0.0) for w, of in found.items()},
            bound=float(bound or np.inf),
        )
        for found, bound, beside_blue in kinds
    ]


def _p95(ds: Any) -> Any:
    return [quantile(ds[:, arm].ravel(), 0.95) for arm in (BLUE, GREEN)]


def _flips(cited: Any) -> dict[int, Any]:
    """The share of questions that are not → in each look and arm (looks, arms), by window."""
    questions = cited.shape[2]
    found = {}
    for window in (NEWEST, FEW, MANY):
        pairs = [(look, of) for look in range(TICKS) for of in range(max(0, look + 1 - window), look + 1)]
        look, of = np.array(pairs).T
        rows = cited[of]  # (pairs, arms, questions, wordings)
        arm, question, wording = np.indices(rows.shape[1:])
        code = ((look[:, None, None, None] * 2 + arm) * questions + question).ravel()
        same = np.broadcast_to(wording, rows.shape).ravel()
        states = lambda_states(code, same, np.zeros(len(code), np.int64), rows.ravel(), TICKS * 2 * questions)
        found[window] = (states != CONVERGENT).reshape(TICKS, 2, questions).mean(axis=2)
    return found


CELLS = [
    Cell(kind="good", name="A/A", noise={}),
    Cell(kind="good", name="A/A", noise=ROUGH),
    *(Cell(kind="good", name=name, noise=ROUGH) for name in ACCEPTED),
    *(Cell(kind="twice", name=name, noise=ROUGH, onset=onset) for onset in (0, None) for name in TWICE),
    *(Cell(kind="near", name=name, noise=ROUGH, onset=onset) for onset in (0, None) for name in NEAR),
    *(Cell(kind="near", name=name, noise={}) for name in NEAR),
]


def lines_of(cell: Cell, found: list[tuple[dict[str, int | None], int]]) -> list[dict[str, Any]]:
    """One line a method, from where it stopped each hold of a cell and where harm began in it."""
    lines = []
    for method in (OURS, *METHODS):
        stops = [(of[method], onset) for of, onset in found]
        early = sum(stop is not None and stop < onset for stop, onset in stops)
        harmed = [(stop, onset) for stop, onset in stops if onset < TICKS and (stop is None or stop >= onset)]
        looks = [stop - onset + 1 for stop, onset in harmed if stop is not None]
        known = cell.kind == "good" or cell.onset is None
        lines.append(
            {
                "cell": cell.title,
                "method": method,
                "false_stops_per_1000": round(1000 * early / len(stops), 1) if known else None,
                "within_3": round(sum(n <= WITHIN for n in looks) / len(harmed), 3) if harmed else None,
                "median_looks": float(np.median(looks)) if looks else None,
                "missed": round(1 - len(looks) / len(harmed), 3) if harmed else None,
                "holds": len(stops),
            }
        )
    return lines


def main() -> None:
    """Judge the holds and print the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--holds", type=int, default=300, help="holds of each cell (default: 300)")
    parser.add_argument("--record", type=Path, help="write the lines to this file too (docs/peers.json)")
    options = parser.parse_args()
    profile = json.loads(Path(__file__).with_name("hold_profile.json").read_text())
    lines = []
    with ProcessPoolExecutor(2) as pool:
        for cell in CELLS:
            found = list(pool.map(cell.hold, range(options.holds), repeat(profile), chunksize=10))
            for line in lines_of(cell, found):
                lines.append(line)
                print(json.dumps(line), flush=True)
    if options.record:
        options.record.write_text("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")


if __name__ == "__main__":
    main()

"""One million evidence rows against all rules: seconds, memory, and how far from what numpy needs at least.

    python bench/bench_judge.py [--rows 1000000] [--dimensions 64]

Prints one JSON line. ``seconds`` is vectors in, verdicts out: ΔS of every row, the columns put right, every
acceptance rule (with live traffic) and every stop rule over 80 ticks. ``ratio_numpy_floor``: to one cosine
of the same vectors (sums in float64) and one sort of the result. ``ratio_pandas``: how many times longer
pandas groupby takes for the same figures from the same columns (ΔS from vectors is left out of both; the
intervals, the tests and the verdicts are left out of pandas' time only).
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd

from switchover.evidence import BLUE, GREEN, Evidence, SignalSample
from switchover.judge import Verdict, judge_acceptance, judge_stop
from switchover.measure import delta_s
from switchover.rules import Rules
from switchover.sequential import bets

TICKS, SEEDS, REPEATS = 80, 2, 5
FLIP = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = Rules()
Columns = dict[str, Any]


def make(rows: int, dimensions: int) -> tuple[Any, Any, Columns, int]:
    """Vectors of questions and contexts, the other columns, and the number of questions; arm by arm."""
    rng = np.random.default_rng(20261124)
    questions = -(-rows // (TICKS * 2 * 3 * SEEDS))
    shape = (2, TICKS, questions, 3, SEEDS)
    arm, tick, question, paraphrase, seed = (index.ravel() for index in np.indices(shape))
    n = len(tick)
    asked = rng.standard_normal((n, dimensions), dtype=np.float32)
    found = asked + rng.standard_normal((n, dimensions), dtype=np.float32)
    bad = rng.random(n) < 0.0005
    found[bad] = 0.0  # a failed probe, as it is recorded: nothing retrieved, nothing covered, no time
    # As in the sandbox: answers repeat from tick to tick; a tenth of the questions flips with its paraphrase.
    turned = ((question % 10 == 0) & (paraphrase == 1)) | (rng.random(n) < 0.0001)
    cited = np.where(turned, question + questions, question)
    columns: Columns = {
        "tick": tick,
        "arm": arm,
        "question": question,
        "paraphrase": paraphrase,
        "seed": seed,
        "ds_anchor": np.where(bad, 1.0, rng.random(n)),
        "coverage": np.where(bad, 0.0, np.round(rng.beta(5, 1, n), 2)),
        "cited": np.where(bad, -1, cited),
        "status": np.where(bad, 500, 200),
        "tool_loop": np.zeros(n, np.bool_),
        "observed": np.ones(n, np.bool_),
        **{
            f"ms_{s}": np.where(bad, np.inf, rng.lognormal(2, 0.4, n))
            for s in ("retrieve", "rerank", "reason", "total")
        },
    }
    return asked, found, columns, questions


def evidence_of(ds: Any, columns: Columns, questions: int) -> Evidence:
    """The columns as evidence, put right."""
    raw = Evidence(
        questions=tuple(f"q{i}" for i in range(questions)),
        sections=tuple(f"s{i}" for i in range(2 * questions)),
        ds_question=ds,
        **columns,
    )
    return raw.cleaned(unanswerable=np.zeros(len(ds), np.bool_))


def judge(ds: Any, columns: Columns, questions: int) -> list[Verdict]:
    """All verdicts of both gates."""
    evidence = evidence_of(ds, columns, questions)
    signals: list[SignalSample | None] = [
        SignalSample(
            requests=300,
            errors_5xx=0,
            failures=0,
            tool_loops=0,
            p95_ms={},
            since=FLIP + timedelta(seconds=15 * tick),
            until=FLIP + timedelta(seconds=15 * tick + 15),
        )
        for tick in range(TICKS)
    ]
    accepted = judge_acceptance(evidence, rules=RULES, signals=signals, rehearsal_ttr_s=1.0, traffic=True)
    return accepted + judge_stop(evidence, rules=RULES, signals=signals)


def with_pandas(frame: pd.DataFrame) -> dict[str, float]:
    """The same figures by groupby, as a notebook would: what both gates look at, on both readings."""
    bad = (frame.status < 200) | (frame.status > 299)
    ms = [f"ms_{stage}" for stage in ("retrieve", "rerank", "reason", "total")]
    good = frame[(frame.arm == GREEN) | ~bad]
    green, blue = good[good.arm == GREEN], good[good.arm == BLUE]
    doubt = bad & (frame.arm == BLUE)
    strict = frame.assign(
        ds_question=frame.ds_question.mask(doubt, 0.0),
        coverage=frame.coverage.mask(doubt, 1.0),
        ms_total=frame.ms_total.mask(doubt, 0.0),
    )
    found: dict[str, Any] = {"ds_question": green.groupby("paraphrase").ds_question.median().max()}
    for name, rows in (("", good), ("strict_", strict)):
        arms = rows.groupby("arm")
        found[f"{name}ds_p95_drift"] = _difference(arms.ds_question.quantile(0.95))
        for stage in ms if not name else ["ms_total"]:
            p95 = arms[stage].quantile(0.95)
            found[f"{name}{stage}"] = p95[GREEN] / p95[BLUE] - 1
        covered = rows.groupby(["arm", "question"]).coverage.mean().unstack("arm")
        found[f"{name}coverage"] = covered[GREEN].mean()
        found[f"{name}coverage_vs_blue"] = (covered[GREEN] - covered[BLUE]).mean()
    for column in ("ds_question", "ms_total"):
        found[f"interval_{column}"] = good.groupby("arm")[column].quantile([0.94, 0.96]).sum()
    flips = {arm: _flips(rows, ["question"]) for arm, rows in ((GREEN, green), (BLUE, blue))}
    found["flip_rate"] = flips[GREEN].mean()
    found["flips_vs_blue"] = flips[GREEN].mean() - flips[BLUE].mean()
    cites = green.groupby(["seed", "question", "paraphrase"]).cited.agg(["first", "nunique"]).unstack("seed")
    found["inert_seeds"] = (cites["first"][0] != cites["first"][1]).sum() + (cites["nunique"][0] > 1).sum()
    found["asked"] = good.groupby(["arm", "question"])["observed"].any().unstack("arm").sum().sum()
    found["interval_ds_question_median"] = green.groupby("paraphrase").ds_question.quantile([0.48, 0.52]).sum()
    found["error_rate"] = bad[frame.arm == GREEN].mean()
    found["http_5xx"] = (green.status >= 500).mean()
    found["tool_loops"] = green.tool_loop.sum()
    found["fewest_runs"] = frame.groupby(["arm", "question", "paraphrase"]).size().min()
    # The hold: every tick.
    edge = blue.groupby("tick").ds_question.quantile(0.95) + 0.10
    found["beyond_blue"] = (green.ds_question > green.tick.map(edge)).groupby(green.tick).sum().max()
    for bet in bets(0.3):
        found[f"growth_{bet}"] = np.log1p(bet * (0.7 - green.coverage)).groupby(green.tick).sum().max()
    by_tick = [_flips(rows, ["tick", "question"]) for rows in (green, blue)]
    found["losses"] = ((by_tick[0] > by_tick[1]).groupby("tick").sum()).max()
    found["tick_5xx"] = (green.status >= 500).groupby(green.tick).mean().max()
    for name, rows in (("", good), ("strict_", strict)):
        recent = rows[rows.tick >= TICKS - 3]
        found[f"{name}recent_drift"] = _difference(recent.groupby("arm").ds_question.quantile(0.95))
        found[f"{name}recent_coverage"] = recent[recent.arm == GREEN].groupby("question").coverage.mean().mean()
        found[f"{name}recent_flips"] = _flips(recent[recent.arm == GREEN], ["question"]).mean()
        found[f"{name}recent_runs"] = recent.groupby(["arm", "question", "paraphrase"]).size().min()
    return {name: float(value) for name, value in found.items()}


def _difference(by_arm: Any) -> Any:
    return by_arm.loc[GREEN] - by_arm.loc[BLUE]


def _flips(rows: pd.DataFrame, keys: list[str]) -> Any:
    """Whether each question is not convergent: its most cited section has less than 0.8 of the runs, or is
    cited for one paraphrase only."""
    runs = rows.groupby(keys).size()
    sections = rows[rows.cited >= 0].groupby([*keys, "cited"]).paraphrase.agg(["size", "nunique"])
    best = sections.groupby(keys).max().reindex(runs.index, fill_value=0)
    return ((best["size"] < 0.8 * runs) | (best["nunique"] < 2)).astype(float)


def best_of(function: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest of a few runs, and the last result."""
    shortest, result = float("inf"), None
    for _ in range(REPEATS):
        began = time.perf_counter()
        result = function()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest, result


def floor(asked: Any, found: Any) -> Any:
    """What cannot be saved: one cosine, sums in float64, and one sort."""
    with np.errstate(all="ignore"):
        dot = np.einsum("ij,ij->i", asked, found, dtype=np.float64)
        square = np.einsum("ij,ij->i", asked, asked, dtype=np.float64)
        square *= np.einsum("ij,ij->i", found, found, dtype=np.float64)
        return np.sort(1.0 - dot / np.sqrt(square))


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="evidence rows of both arms (default: 1000000)")
    parser.add_argument("--dimensions", type=int, default=64, help="of the vectors (default: 64)")
    options = parser.parse_args()
    asked, found, columns, questions = make(options.rows, options.dimensions)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, verdicts = best_of(lambda: judge(delta_s(asked, found), columns, questions))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ds = delta_s(asked, found)
    judging, _ = best_of(lambda: judge(ds, columns, questions))
    least, _ = best_of(lambda: floor(asked, found))
    kernel, _ = best_of(lambda: np.sort(delta_s(asked, found)))
    frame = pd.DataFrame({**columns, "ds_question": ds})
    theirs, figures = best_of(lambda: with_pandas(frame))
    ours = {verdict.rule: verdict.value for verdict in verdicts[:10]}
    for name in ("ds_question", "ds_p95_drift", "coverage", "coverage_vs_blue", "flip_rate", "flips_vs_blue"):
        if abs(figures[name] - (ours[name] or 0.0)) > 0.02:  # failed probes count as the worst in ours, not in pandas
            sys.exit(f"bench_judge: {name}: ours {ours[name]}, pandas {figures[name]}")
    n = len(ds)
    line = {
        "rows": n,
        "seconds": round(seconds, 4),
        "rows_per_s": round(n / seconds),
        "peak_mb": round(peak / 1024),
        "ratio_numpy_floor": round(seconds / min(least, kernel), 2),
        "ratio_pandas": round(theirs / judging, 2),
        "peak_mb_before": round(before / 1024),
        "seconds_judging": round(judging, 4),
        "seconds_floor": round(min(least, kernel), 4),
        "seconds_pandas": round(theirs, 4),
        "dimensions": options.dimensions,
        "questions": questions,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
